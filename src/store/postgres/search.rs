use std::collections::BTreeMap;
use std::fmt::Write;

use async_trait::async_trait;
use sqlx::PgConnection;

use super::{PostgresStore, column, keys};
use crate::domain::instance::InstanceId;
use crate::domain::message::MessageKey;
use crate::domain::search::{Facet, Narrowing, SearchEntry, SearchQuery};
use crate::store::StoreError;
use crate::store::search::{SearchRows, SearchStore};

/// PostgreSQL keeps no more places of one word.
const MAX_PLACES: usize = 255;

/// The words with their places, and the facets without, as PostgreSQL reads a `tsvector`. Neither holds quotes or
/// backslashes.
fn vector(entry: &SearchEntry) -> String {
    let mut places = BTreeMap::<&str, Vec<usize>>::new();
    for (word, place) in entry.words.iter().zip(1..) {
        places.entry(word).or_default().push(place);
    }
    let mut vector = String::new();
    for (word, places) in places {
        let places: Vec<String> = places.iter().take(MAX_PLACES).map(usize::to_string).collect();
        write!(vector, "'{word}':{} ", places.join(",")).expect("text can be written");
    }
    vector.extend(entry.facets.iter().map(|facet| format!("'{}' ", facet.as_str())));
    vector
}

/// What is asked, as PostgreSQL reads a `tsquery`. Words hold no quotes, so that nothing of a query is ever an
/// operator.
fn expression(query: &SearchQuery, narrowing: &Narrowing) -> String {
    let phrases = query.phrases().iter().map(|phrase| (phrase.iter().map(String::as_str).collect(), " <-> "));
    let groups = narrowing.groups().iter().map(|group| (group.iter().map(Facet::as_str).collect(), " | "));
    let all = phrases.chain(groups).map(|(words, operator): (Vec<&str>, &str)| {
        let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        format!("({})", quoted.join(operator))
    });
    Vec::from_iter(all).join(" & ")
}

#[async_trait]
impl SearchStore for PostgresStore {
    async fn search(
        &self,
        query: &SearchQuery,
        narrowing: &Narrowing,
        limit: u32,
    ) -> Result<Vec<MessageKey>, StoreError> {
        let rows = sqlx::query!(
            r#"
            SELECT instance_id, id
            FROM message_search
            WHERE words @@ $1::text::tsquery
            ORDER BY occurred_at DESC, instance_id DESC, id DESC
            LIMIT $2
            "#,
            expression(query, narrowing),
            i64::from(limit),
        )
        .fetch_all(&self.readers)
        .await?;
        Ok(rows.into_iter().map(|row| (InstanceId::from_store(&row.instance_id), row.id)).collect())
    }
}

#[async_trait]
impl SearchRows for PgConnection {
    async fn insert_words(&mut self, entries: &[SearchEntry]) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            INSERT INTO message_search (instance_id, id, occurred_at, words)
            SELECT entry.instance_id, entry.id, entry.occurred_at, entry.words::tsvector
            FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[])
                AS entry (instance_id, id, occurred_at, words)
            "#,
            column(entries, |it| it.instance_id.as_str()) as _,
            column(entries, |it| it.id.as_str()) as _,
            &column(entries, |it| it.occurred_at.to_utc()),
            &column(entries, vector),
        )
        .execute(self)
        .await?;
        Ok(())
    }

    async fn delete_words(&mut self, messages: &[MessageKey]) -> Result<(), StoreError> {
        let (instance_ids, ids) = keys(messages);
        sqlx::query!(
            r#"
            DELETE FROM message_search
            USING unnest($1::text[], $2::text[]) AS key (instance_id, id)
            WHERE message_search.instance_id = key.instance_id AND message_search.id = key.id
            "#,
            instance_ids as _,
            ids as _,
        )
        .execute(self)
        .await?;
        Ok(())
    }
}
