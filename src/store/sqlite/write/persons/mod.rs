use async_trait::async_trait;
use sqlx::SqliteConnection;

use crate::StoreError;
use crate::sqlite::{SqliteStore, json};
use crate::write::persons::moves::move_messages;
use crate::write::persons::names::GivenName;
use crate::write::persons::{ChatAlias, KnownPersons, NamedChat, OwnerWord, PersonRows, PersonStore, QUOTING, Quoting};
use domain::chat::ChatKey;
use domain::chat::person::aliases::OwnerLink;
use domain::chat::person::evidence::{ChatLink, LinkSource};
use domain::instance::InstanceId;
use domain::message::MessageKey;

mod moves;

#[async_trait]
impl PersonStore for SqliteStore {
    async fn is_moving(&self) -> Result<bool, StoreError> {
        let pending = sqlx::query_scalar!(r#"SELECT EXISTS (SELECT 1 FROM chat_moves) AS "pending!: bool""#);
        Ok(pending.fetch_one(&self.read_pool).await?)
    }

    async fn move_messages(&self, limit: u32) -> Result<bool, StoreError> {
        let mut unit = self.begin().await?;
        let piece = move_messages(&mut **unit, limit).await?;
        unit.commit().await?;
        Ok(piece.more)
    }

    async fn link_persons(&self, word: &OwnerWord) -> Result<(), StoreError> {
        let mut unit = self.begin().await?;
        word.store(&mut **unit).await?;
        unit.commit().await
    }

    async fn name_chats(&self, names: &[GivenName]) -> Result<(), StoreError> {
        let mut unit = self.begin().await?;
        GivenName::store(names, &mut **unit).await?;
        unit.commit().await
    }

    async fn persons(&self, instance_id: &InstanceId) -> Result<KnownPersons, StoreError> {
        let aliases = sqlx::query!(
            r#"
            SELECT alias AS "alias!: String", chat_id AS "chat_id!: String"
            FROM chat_aliases
            WHERE instance_id = ?1 AND alias <> chat_id
            ORDER BY chat_id, alias
            "#,
            instance_id,
        )
        .fetch_all(&self.read_pool)
        .await?;
        let links = sqlx::query_as!(
            ChatLink,
            r#"
            SELECT
                instance_id AS "instance_id!: InstanceId", a AS "a!: String", b AS "b!: String",
                source AS "source!: LinkSource", seq AS "seq!: i64"
            FROM chat_links
            WHERE instance_id = ?1 AND source IN ('stated', 'same message', 'quote')
            "#,
            instance_id,
        )
        .fetch_all(&self.read_pool)
        .await?;
        let owner = sqlx::query_as!(
            OwnerLink,
            r#"
            SELECT
                instance_id AS "instance_id!: InstanceId", a AS "a!: String", b AS "b!: String",
                linked AS "linked!: bool", seq AS "seq!: i64"
            FROM chat_links_owner
            WHERE instance_id = ?1
            "#,
            instance_id,
        )
        .fetch_all(&self.read_pool)
        .await?;
        let names = sqlx::query!(
            r#"
            SELECT chat_id AS "chat_id!: String", name AS "name!: String"
            FROM chat_names
            WHERE instance_id = ?1 AND name IS NOT NULL
            ORDER BY name, chat_id
            "#,
            instance_id,
        )
        .fetch_all(&self.read_pool)
        .await?;
        let aliases = aliases.into_iter().map(|row| (row.alias, row.chat_id)).collect();
        let names = names.into_iter().map(|row| (row.chat_id, row.name)).collect();
        Ok(KnownPersons { aliases, links, owner, names })
    }
}

#[async_trait]
impl PersonRows for SqliteConnection {
    async fn named_chats(&mut self, messages: &[MessageKey]) -> Result<Vec<NamedChat>, StoreError> {
        Ok(sqlx::query_as!(
            NamedChat,
            r#"
            SELECT
                events.instance_id AS "instance_id!: InstanceId",
                events.message_id AS "message_id!: String",
                events.chat_id AS "chat_id!: String",
                min(events.seq) AS "seq!: i64"
            FROM jsonb_each(?1) AS key
            CROSS JOIN events
                ON events.instance_id = key.value ->> 'instance_id' AND events.message_id = key.value ->> 'id'
            WHERE events.event_type IN ('message_received', 'message_sent', 'message_revoked', 'message_deleted')
                AND events.state = 'applied'
                AND (events.chat_id LIKE '%@c.us' OR events.chat_id LIKE '%@lid')
            GROUP BY events.instance_id, events.message_id, events.chat_id
            "#,
            json(messages),
        )
        .fetch_all(self)
        .await?)
    }

    async fn quoting(&mut self, messages: &[MessageKey]) -> Result<Vec<Quoting>, StoreError> {
        let keys = json(messages);
        Ok(sqlx::query_as!(
            Quoting,
            r#"
            SELECT
                events.instance_id AS "instance_id!: InstanceId",
                events.quoted_message_id AS "quoted_message_id!: String",
                events.chat_id AS "chat_id!: String",
                events.seq AS "seq!: i64"
            FROM jsonb_each(?1) AS key
            CROSS JOIN events ON events.seq IN (
                SELECT seq
                FROM events
                WHERE instance_id = key.value ->> 'instance_id'
                    AND quoted_message_id = key.value ->> 'id'
                    AND state = 'applied'
                    AND (chat_id LIKE '%@c.us' OR chat_id LIKE '%@lid')
                ORDER BY seq
                LIMIT ?2
            )
            "#,
            keys,
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
            SELECT
                link.value ->> 'instance_id', link.value ->> 'a', link.value ->> 'b', link.value ->> 'source',
                link.value ->> 'seq'
            FROM jsonb_each(?1) AS link
            WHERE NOT EXISTS (
                SELECT 1
                FROM chat_links AS known
                WHERE known.instance_id = link.value ->> 'instance_id'
                    AND known.a = link.value ->> 'a'
                    AND known.b = link.value ->> 'b'
                    AND known.source = link.value ->> 'source'
                    AND known.seq <= link.value ->> 'seq'
            )
            ON CONFLICT (instance_id, a, b, source) DO UPDATE SET seq = excluded.seq
            RETURNING
                instance_id AS "instance_id!: InstanceId", a AS "a!: String", b AS "b!: String",
                source AS "source!: LinkSource", seq AS "seq!: i64"
            "#,
            json(links),
        )
        .fetch_all(self)
        .await?)
    }

    async fn forget_links(&mut self, links: &[ChatLink]) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            DELETE FROM chat_links
            WHERE (instance_id, a, b, source, seq) IN (
                SELECT value ->> 'instance_id', value ->> 'a', value ->> 'b', value ->> 'source', value ->> 'seq'
                FROM jsonb_each(?1)
            )
            "#,
            json(links),
        )
        .execute(self)
        .await?;
        Ok(())
    }

    async fn links_of(&mut self, persons: &[ChatKey]) -> Result<Vec<ChatLink>, StoreError> {
        Ok(sqlx::query_as!(
            ChatLink,
            r#"
            SELECT
                chat_links.instance_id AS "instance_id!: InstanceId",
                chat_links.a AS "a!: String",
                chat_links.b AS "b!: String",
                chat_links.source AS "source!: LinkSource",
                chat_links.seq AS "seq!: i64"
            FROM jsonb_each(?1) AS key
            CROSS JOIN chat_links
                ON chat_links.instance_id = key.value ->> 'instance_id' AND chat_links.a = key.value ->> 'chat_id'
            UNION
            SELECT chat_links.instance_id, chat_links.a, chat_links.b, chat_links.source, chat_links.seq
            FROM jsonb_each(?1) AS key
            CROSS JOIN chat_links
                ON chat_links.instance_id = key.value ->> 'instance_id'
                AND chat_links.b = key.value ->> 'chat_id'
                AND chat_links.source <> 'first message'
            UNION
            SELECT other.instance_id, other.a, other.b, other.source, other.seq
            FROM jsonb_each(?1) AS key
            CROSS JOIN chat_links AS own
                ON own.instance_id = key.value ->> 'instance_id'
                AND own.a = key.value ->> 'chat_id'
                AND own.source = 'number'
            CROSS JOIN chat_links AS other
                ON other.instance_id = own.instance_id
                AND other.b = own.b
                AND other.source <> 'first message'
                AND other.source = 'number'
            "#,
            json(persons),
        )
        .fetch_all(self)
        .await?)
    }

    async fn owner_links(&mut self, persons: &[ChatKey]) -> Result<Vec<OwnerLink>, StoreError> {
        Ok(sqlx::query_as!(
            OwnerLink,
            r#"
            SELECT
                owner.instance_id AS "instance_id!: InstanceId",
                owner.a AS "a!: String",
                owner.b AS "b!: String",
                owner.linked AS "linked!: bool",
                owner.seq AS "seq!: i64"
            FROM jsonb_each(?1) AS key
            CROSS JOIN chat_links_owner AS owner
                ON owner.instance_id = key.value ->> 'instance_id' AND owner.a = key.value ->> 'chat_id'
            UNION
            SELECT owner.instance_id, owner.a, owner.b, owner.linked, owner.seq
            FROM jsonb_each(?1) AS key
            CROSS JOIN chat_links_owner AS owner
                ON owner.instance_id = key.value ->> 'instance_id' AND owner.b = key.value ->> 'chat_id'
            "#,
            json(persons),
        )
        .fetch_all(self)
        .await?)
    }

    async fn save_owner_link(&mut self, link: &OwnerLink) -> Result<u64, StoreError> {
        let written = sqlx::query!(
            r#"
            INSERT INTO chat_links_owner (instance_id, a, b, linked, seq)
            VALUES (?1, ?2, ?3, ?4, ?5)
            ON CONFLICT (instance_id, a, b) DO UPDATE SET linked = excluded.linked, seq = excluded.seq
            "#,
            link.instance_id,
            link.a,
            link.b,
            link.linked,
            link.seq,
        )
        .execute(self)
        .await?;
        Ok(written.rows_affected())
    }

    async fn aliases(&mut self, ids: &[ChatKey]) -> Result<Vec<ChatAlias>, StoreError> {
        Ok(sqlx::query_as!(
            ChatAlias,
            r#"
            SELECT
                chat_aliases.instance_id AS "instance_id!: InstanceId",
                chat_aliases.alias AS "alias!: String",
                chat_aliases.chat_id AS "chat_id!: String",
                chat_aliases.seq AS "seq!: i64"
            FROM jsonb_each(?1) AS key
            CROSS JOIN chat_aliases
                ON chat_aliases.instance_id = key.value ->> 'instance_id'
                AND chat_aliases.alias = key.value ->> 'chat_id'
            "#,
            json(ids),
        )
        .fetch_all(self)
        .await?)
    }

    async fn save_aliases(&mut self, aliases: &[ChatAlias]) -> Result<u64, StoreError> {
        let written = sqlx::query!(
            r#"
            INSERT INTO chat_aliases (instance_id, alias, chat_id, seq)
            SELECT value ->> 'instance_id', value ->> 'alias', value ->> 'chat_id', value ->> 'seq'
            FROM jsonb_each(?1)
            WHERE true
            ON CONFLICT (instance_id, alias) DO UPDATE SET chat_id = excluded.chat_id, seq = excluded.seq
            "#,
            json(aliases),
        )
        .execute(self)
        .await?;
        Ok(written.rows_affected())
    }

    async fn save_names(&mut self, names: &[GivenName]) -> Result<u64, StoreError> {
        let written = sqlx::query!(
            r#"
            INSERT INTO chat_names (instance_id, chat_id, name, seq)
            SELECT value ->> 'instance_id', value ->> 'chat_id', value ->> 'name', value ->> 'seq'
            FROM jsonb_each(?1)
            WHERE true
            ON CONFLICT (instance_id, chat_id) DO UPDATE SET name = excluded.name, seq = excluded.seq
            "#,
            json(names),
        )
        .execute(self)
        .await?;
        Ok(written.rows_affected())
    }

    async fn given_names(&mut self, chats: &[ChatKey]) -> Result<Vec<(ChatKey, String)>, StoreError> {
        let rows = sqlx::query!(
            r#"
            SELECT
                value ->> 'instance_id' AS "instance_id!: InstanceId",
                value ->> 'chat_id' AS "chat_id!: String",
                (
                    SELECT named.name
                    FROM (
                        SELECT value ->> 'chat_id' AS id
                        WHERE NOT EXISTS (
                            SELECT 1
                            FROM chat_aliases
                            WHERE instance_id = value ->> 'instance_id' AND alias = value ->> 'chat_id' AND chat_id <> alias
                        )
                        UNION
                        SELECT alias
                        FROM chat_aliases
                        WHERE instance_id = value ->> 'instance_id' AND chat_id = value ->> 'chat_id'
                    ) AS ids
                    CROSS JOIN chat_names AS named
                        ON named.instance_id = value ->> 'instance_id' AND named.chat_id = ids.id
                    ORDER BY named.seq DESC
                    LIMIT 1
                ) AS "name: String"
            FROM jsonb_each(?1)
            "#,
            json(chats),
        )
        .fetch_all(self)
        .await?;
        let named = rows
            .into_iter()
            .filter_map(|row| Some((ChatKey { instance_id: row.instance_id, chat_id: row.chat_id }, row.name?)));
        Ok(named.collect())
    }
}
