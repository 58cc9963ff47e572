use async_trait::async_trait;
use sqlx::PgConnection;

use crate::StoreError;
use crate::postgres::{PostgresStore, column, keys};
use crate::write::events::take_numbers;
use crate::write::persons::moves::move_messages;
use crate::write::persons::names::GivenName;
use crate::write::persons::{ChatAlias, KnownPersons, NamedChat, OwnerWord, PersonRows, PersonStore, QUOTING, Quoting};
use domain::chat::ChatKey;
use domain::chat::person::aliases::OwnerLink;
use domain::chat::person::evidence::{ChatLink, LinkSource};
use domain::instance::InstanceId;
use domain::message::MessageKey;

mod moves;

/// Returns the two columns of chats or persons.
fn ids(keys: &[ChatKey]) -> (Vec<&InstanceId>, Vec<&str>) {
    keys.iter().map(|key| (&key.instance_id, key.chat_id.as_str())).unzip()
}

#[async_trait]
impl PersonStore for PostgresStore {
    async fn is_moving(&self) -> Result<bool, StoreError> {
        let pending = sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM chat_moves) AS "pending!""#);
        Ok(pending.fetch_one(&self.read_pool).await?)
    }

    async fn move_messages(&self, limit: u32) -> Result<bool, StoreError> {
        let mut unit = self.begin(&self.job_writer).await?;
        take_numbers(&mut *unit, 0).await?;
        let piece = move_messages(&mut *unit, limit).await?;
        unit.commit().await?;
        self.count_terms(piece.terms);
        Ok(piece.more)
    }

    async fn link_persons(&self, word: &OwnerWord) -> Result<(), StoreError> {
        let mut unit = self.begin(&self.job_writer).await?;
        word.store(&mut *unit).await?;
        unit.commit().await
    }

    async fn name_chats(&self, names: &[GivenName]) -> Result<(), StoreError> {
        let mut unit = self.begin(&self.job_writer).await?;
        GivenName::store(names, &mut *unit).await?;
        unit.commit().await
    }

    async fn persons(&self, instance_id: &InstanceId) -> Result<KnownPersons, StoreError> {
        let aliases = sqlx::query!(
            r#"
            SELECT alias, chat_id
            FROM chat_aliases
            WHERE instance_id = $1 AND alias <> chat_id
            ORDER BY chat_id, alias
            "#,
            instance_id.as_str(),
        )
        .fetch_all(&self.read_pool)
        .await?;
        let links = sqlx::query_as!(
            ChatLink,
            r#"
            SELECT instance_id AS "instance_id: InstanceId", a, b, source AS "source: LinkSource", seq
            FROM chat_links
            WHERE instance_id = $1 AND source IN ('stated', 'same message', 'quote')
            "#,
            instance_id.as_str(),
        )
        .fetch_all(&self.read_pool)
        .await?;
        let owner = sqlx::query_as!(
            OwnerLink,
            r#"
            SELECT instance_id AS "instance_id: InstanceId", a, b, linked, seq
            FROM chat_links_owner
            WHERE instance_id = $1
            "#,
            instance_id.as_str(),
        )
        .fetch_all(&self.read_pool)
        .await?;
        let names = sqlx::query!(
            r#"
            SELECT chat_id, name AS "name!"
            FROM chat_names
            WHERE instance_id = $1 AND name IS NOT NULL
            ORDER BY name, chat_id
            "#,
            instance_id.as_str(),
        )
        .fetch_all(&self.read_pool)
        .await?;
        let aliases = aliases.into_iter().map(|row| (row.alias, row.chat_id)).collect();
        let names = names.into_iter().map(|row| (row.chat_id, row.name)).collect();
        Ok(KnownPersons { aliases, links, owner, names })
    }
}

#[async_trait]
impl PersonRows for PgConnection {
    async fn named_chats(&mut self, messages: &[MessageKey]) -> Result<Vec<NamedChat>, StoreError> {
        let (instance_ids, message_ids) = keys(messages);
        Ok(sqlx::query_as!(
            NamedChat,
            r#"
            SELECT
                events.instance_id AS "instance_id: InstanceId", events.message_id AS "message_id!",
                events.chat_id AS "chat_id!", min(events.seq) AS "seq!"
            FROM unnest($1::text[], $2::text[]) AS key (instance_id, id)
            JOIN events ON events.instance_id = key.instance_id AND events.message_id = key.id
            WHERE events.event_type IN ('message_received', 'message_sent', 'message_revoked', 'message_deleted')
                AND events.state = 'applied'
                AND (events.chat_id LIKE '%@c.us' OR events.chat_id LIKE '%@lid')
            GROUP BY events.instance_id, events.message_id, events.chat_id
            "#,
            instance_ids as _,
            message_ids as _,
        )
        .fetch_all(self)
        .await?)
    }

    async fn quoting(&mut self, messages: &[MessageKey]) -> Result<Vec<Quoting>, StoreError> {
        let (instance_ids, message_ids) = keys(messages);
        Ok(sqlx::query_as!(
            Quoting,
            r#"
            SELECT
                key.instance_id AS "instance_id!: InstanceId", key.id AS "quoted_message_id!",
                quoting.chat_id AS "chat_id!", quoting.seq
            FROM unnest($1::text[], $2::text[]) AS key (instance_id, id)
            CROSS JOIN LATERAL (
                SELECT events.chat_id, events.seq
                FROM events
                WHERE events.instance_id = key.instance_id
                    AND events.quoted_message_id = key.id
                    AND events.state = 'applied'
                    AND (events.chat_id LIKE '%@c.us' OR events.chat_id LIKE '%@lid')
                ORDER BY events.seq
                LIMIT $3
            ) AS quoting
            "#,
            instance_ids as _,
            message_ids as _,
            QUOTING,
        )
        .fetch_all(self)
        .await?)
    }

    async fn add_links(&mut self, links: &[ChatLink]) -> Result<Vec<ChatLink>, StoreError> {
        Ok(sqlx::query_as!(
            ChatLink,
            r#"
            INSERT INTO chat_links (instance_id, a, b, source, seq)
            SELECT link.instance_id, link.a, link.b, link.source, link.seq
            FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::int8[])
                AS link (instance_id, a, b, source, seq)
            WHERE NOT EXISTS (
                SELECT
                FROM chat_links AS known
                WHERE known.instance_id = link.instance_id
                    AND known.a = link.a
                    AND known.b = link.b
                    AND known.source = link.source
                    AND known.seq <= link.seq
            )
            ON CONFLICT (instance_id, a, b, source) DO UPDATE SET seq = excluded.seq
            RETURNING instance_id AS "instance_id: InstanceId", a, b, source AS "source: LinkSource", seq
            "#,
            column(links, |link| link.instance_id.as_str()) as _,
            column(links, |link| link.a.as_str()) as _,
            column(links, |link| link.b.as_str()) as _,
            column(links, |link| link.source.as_str()) as _,
            &column(links, |link| link.seq),
        )
        .fetch_all(self)
        .await?)
    }

    async fn forget_links(&mut self, links: &[ChatLink]) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            DELETE FROM chat_links
            USING unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::int8[])
                AS link (instance_id, a, b, source, seq)
            WHERE chat_links.instance_id = link.instance_id
                AND chat_links.a = link.a
                AND chat_links.b = link.b
                AND chat_links.source = link.source
                AND chat_links.seq = link.seq
            "#,
            column(links, |link| link.instance_id.as_str()) as _,
            column(links, |link| link.a.as_str()) as _,
            column(links, |link| link.b.as_str()) as _,
            column(links, |link| link.source.as_str()) as _,
            &column(links, |link| link.seq),
        )
        .execute(self)
        .await?;
        Ok(())
    }

    async fn links_of(&mut self, persons: &[ChatKey]) -> Result<Vec<ChatLink>, StoreError> {
        let (instance_ids, chat_ids) = ids(persons);
        Ok(sqlx::query_as!(
            ChatLink,
            r#"
            SELECT
                chat_links.instance_id AS "instance_id!: InstanceId", chat_links.a AS "a!", chat_links.b AS "b!",
                chat_links.source AS "source!: LinkSource", chat_links.seq AS "seq!"
            FROM unnest($1::text[], $2::text[]) AS key (instance_id, id)
            JOIN chat_links ON chat_links.instance_id = key.instance_id AND chat_links.a = key.id
            UNION
            SELECT chat_links.instance_id, chat_links.a, chat_links.b, chat_links.source, chat_links.seq
            FROM unnest($1::text[], $2::text[]) AS key (instance_id, id)
            JOIN chat_links
                ON chat_links.instance_id = key.instance_id AND chat_links.b = key.id AND chat_links.source <> 'first message'
            UNION
            SELECT other.instance_id, other.a, other.b, other.source, other.seq
            FROM unnest($1::text[], $2::text[]) AS key (instance_id, id)
            JOIN chat_links AS own
                ON own.instance_id = key.instance_id AND own.a = key.id AND own.source = 'number'
            JOIN chat_links AS other
                ON other.instance_id = own.instance_id AND other.b = own.b AND other.source = 'number'
            "#,
            instance_ids as _,
            chat_ids as _,
        )
        .fetch_all(self)
        .await?)
    }

    async fn owner_links(&mut self, persons: &[ChatKey]) -> Result<Vec<OwnerLink>, StoreError> {
        let (instance_ids, chat_ids) = ids(persons);
        Ok(sqlx::query_as!(
            OwnerLink,
            r#"
            SELECT
                owner.instance_id AS "instance_id!: InstanceId", owner.a AS "a!", owner.b AS "b!",
                owner.linked AS "linked!", owner.seq AS "seq!"
            FROM unnest($1::text[], $2::text[]) AS key (instance_id, id)
            JOIN chat_links_owner AS owner ON owner.instance_id = key.instance_id AND owner.a = key.id
            UNION
            SELECT owner.instance_id, owner.a, owner.b, owner.linked, owner.seq
            FROM unnest($1::text[], $2::text[]) AS key (instance_id, id)
            JOIN chat_links_owner AS owner ON owner.instance_id = key.instance_id AND owner.b = key.id
            "#,
            instance_ids as _,
            chat_ids as _,
        )
        .fetch_all(self)
        .await?)
    }

    async fn save_owner_link(&mut self, link: &OwnerLink) -> Result<u64, StoreError> {
        let written = sqlx::query!(
            r#"
            INSERT INTO chat_links_owner (instance_id, a, b, linked, seq)
            VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (instance_id, a, b) DO UPDATE SET linked = excluded.linked, seq = excluded.seq
            "#,
            link.instance_id.as_str(),
            link.a,
            link.b,
            link.linked,
            link.seq,
        )
        .execute(self)
        .await?;
        Ok(written.rows_affected())
    }

    async fn aliases(&mut self, persons: &[ChatKey]) -> Result<Vec<ChatAlias>, StoreError> {
        let (instance_ids, chat_ids) = ids(persons);
        Ok(sqlx::query_as!(
            ChatAlias,
            r#"
            SELECT
                chat_aliases.instance_id AS "instance_id: InstanceId", chat_aliases.alias, chat_aliases.chat_id,
                chat_aliases.seq
            FROM unnest($1::text[], $2::text[]) AS key (instance_id, id)
            JOIN chat_aliases ON chat_aliases.instance_id = key.instance_id AND chat_aliases.alias = key.id
            "#,
            instance_ids as _,
            chat_ids as _,
        )
        .fetch_all(self)
        .await?)
    }

    async fn save_aliases(&mut self, aliases: &[ChatAlias]) -> Result<u64, StoreError> {
        let written = sqlx::query!(
            r#"
            INSERT INTO chat_aliases (instance_id, alias, chat_id, seq)
            SELECT new.*
            FROM unnest($1::text[], $2::text[], $3::text[], $4::int8[]) AS new
            JOIN ledger_clock ON ledger_clock.id = 1
            ON CONFLICT (instance_id, alias) DO UPDATE SET chat_id = excluded.chat_id, seq = excluded.seq
            "#,
            column(aliases, |it| it.instance_id.as_str()) as _,
            column(aliases, |it| it.alias.as_str()) as _,
            column(aliases, |it| it.chat_id.as_str()) as _,
            &column(aliases, |it| it.seq),
        )
        .execute(self)
        .await?;
        Ok(written.rows_affected())
    }

    async fn save_names(&mut self, names: &[GivenName]) -> Result<u64, StoreError> {
        let written = sqlx::query!(
            r#"
            INSERT INTO chat_names (instance_id, chat_id, name, seq)
            SELECT new.*
            FROM unnest($1::text[], $2::text[], $3::text[], $4::int8[]) AS new
            JOIN ledger_clock ON ledger_clock.id = 1
            ON CONFLICT (instance_id, chat_id) DO UPDATE SET name = excluded.name, seq = excluded.seq
            "#,
            column(names, |it| it.instance_id.as_str()) as _,
            column(names, |it| it.chat_id.as_str()) as _,
            column(names, |it| it.name.as_deref()) as _,
            &column(names, |it| it.seq),
        )
        .execute(self)
        .await?;
        Ok(written.rows_affected())
    }

    async fn given_names(&mut self, chats: &[ChatKey]) -> Result<Vec<(ChatKey, String)>, StoreError> {
        let (instance_ids, chat_ids) = ids(chats);
        let rows = sqlx::query!(
            r#"
            SELECT key.instance_id AS "instance_id!: InstanceId", key.id AS "chat_id!", last.name AS "name?"
            FROM unnest($1::text[], $2::text[]) AS key (instance_id, id)
            CROSS JOIN LATERAL (
                SELECT named.name
                FROM (
                    SELECT key.id AS id
                    WHERE NOT EXISTS (
                        SELECT FROM chat_aliases AS own
                        WHERE own.instance_id = key.instance_id AND own.alias = key.id AND own.chat_id <> own.alias
                    )
                    UNION
                    SELECT other.alias
                    FROM chat_aliases AS other
                    WHERE other.instance_id = key.instance_id AND other.chat_id = key.id
                ) AS ids
                JOIN chat_names AS named ON named.instance_id = key.instance_id AND named.chat_id = ids.id
                ORDER BY named.seq DESC
                LIMIT 1
            ) AS last
            "#,
            instance_ids as _,
            chat_ids as _,
        )
        .fetch_all(self)
        .await?;
        let named = rows
            .into_iter()
            .filter_map(|row| Some((ChatKey { instance_id: row.instance_id, chat_id: row.chat_id }, row.name?)));
        Ok(named.collect())
    }
}
