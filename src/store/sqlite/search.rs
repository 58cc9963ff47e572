use async_trait::async_trait;
use serde::Serialize;
use sqlx::SqliteConnection;

use super::{SqliteStore, json, keys};
use crate::domain::instance::InstanceId;
use crate::domain::message::MessageKey;
use crate::domain::search::{Facet, Narrowing, SearchEntry, SearchQuery};
use crate::domain::timestamp::Timestamp;
use crate::store::StoreError;
use crate::store::search::{SearchRows, SearchStore};

/// The lower bits of a key tell messages of one millisecond apart.
const ORDINAL_BITS: u32 = 22;

/// Where the keys begin: with 2009, they reach to 2078.
const KEYS_SINCE: Timestamp = Timestamp::from_seconds(1_230_768_000);

/// The first key of a millisecond. Later ones share the last.
fn first_key(at: Timestamp) -> i64 {
    let millis = at.millis() - KEYS_SINCE.millis();
    millis.clamp(i64::MIN >> ORDINAL_BITS, i64::MAX >> ORDINAL_BITS) << ORDINAL_BITS
}

/// A row of `message_search`, with the keys among which its own will be.
#[derive(Serialize)]
struct SearchRow<'e> {
    instance_id: &'e str,
    id: &'e str,
    occurred_at: String,
    first_key: i64,
    last_key: i64,
    words: String,
    facets: String,
}

impl<'e> From<&'e SearchEntry> for SearchRow<'e> {
    fn from(entry: &'e SearchEntry) -> Self {
        let first_key = first_key(entry.occurred_at);
        Self {
            instance_id: entry.instance_id.as_str(),
            id: &entry.id,
            occurred_at: entry.occurred_at.to_rfc3339(),
            first_key,
            last_key: first_key | ((1 << ORDINAL_BITS) - 1),
            words: entry.words.join(" "),
            facets: Vec::from_iter(entry.facets.iter().map(Facet::as_str)).join(" "),
        }
    }
}

/// What is asked, as FTS5 reads it. Words hold no quotes, so that nothing of a query is ever an operator.
fn expression(query: &SearchQuery, narrowing: &Narrowing) -> String {
    let phrases: Vec<String> = query.phrases().iter().map(|phrase| format!("\"{}\"", phrase.join(" "))).collect();
    let words = format!("words : ({})", phrases.join(" AND "));
    let groups = narrowing.groups().iter().map(|group| {
        let facets: Vec<String> = group.iter().map(|facet| format!("\"{}\"", facet.as_str())).collect();
        format!("facets : ({})", facets.join(" OR "))
    });
    let all: Vec<String> = std::iter::once(words).chain(groups).collect();
    all.join(" AND ")
}

#[async_trait]
impl SearchStore for SqliteStore {
    async fn search(
        &self,
        query: &SearchQuery,
        narrowing: &Narrowing,
        limit: u32,
    ) -> Result<Vec<MessageKey>, StoreError> {
        let expression = expression(query, narrowing);
        let rows = sqlx::query!(
            r#"
            SELECT message_search.instance_id AS "instance_id!: String", message_search.id AS "id!: String"
            FROM message_words
            CROSS JOIN message_search ON message_search.search_key = message_words.rowid
            WHERE message_words MATCH ?1
            ORDER BY message_words.rowid DESC
            LIMIT ?2
            "#,
            expression,
            limit,
        )
        .fetch_all(&self.readers)
        .await?;
        Ok(rows.into_iter().map(|row| (InstanceId::from_store(&row.instance_id), row.id)).collect())
    }
}

#[async_trait]
impl SearchRows for SqliteConnection {
    async fn insert_words(&mut self, entries: &[SearchEntry]) -> Result<(), StoreError> {
        let rows = json(entries.iter().map(SearchRow::from));
        sqlx::query!(
            r#"
            INSERT INTO message_search (search_key, instance_id, id, occurred_at, words, facets)
            SELECT
                coalesce(
                    (
                        SELECT max(search_key) + 1
                        FROM message_search
                        WHERE search_key >= value ->> 'first_key' AND search_key <= value ->> 'last_key'
                    ),
                    value ->> 'first_key'
                ) + row_number() OVER (PARTITION BY value ->> 'first_key' ORDER BY key) - 1,
                value ->> 'instance_id',
                value ->> 'id',
                value ->> 'occurred_at',
                value ->> 'words',
                value ->> 'facets'
            FROM json_each(?1)
            "#,
            rows,
        )
        .execute(&mut *self)
        .await?;
        let keys = keys(&Vec::from_iter(entries.iter().map(SearchEntry::key)));
        sqlx::query!(
            r#"
            INSERT INTO message_words (rowid, words, facets)
            SELECT message_search.search_key, message_search.words, message_search.facets
            FROM json_each(?1) AS key
            CROSS JOIN message_search
                ON message_search.instance_id = key.value ->> 'instance_id'
                AND message_search.id = key.value ->> 'id'
            "#,
            keys,
        )
        .execute(self)
        .await?;
        Ok(())
    }

    async fn delete_words(&mut self, messages: &[MessageKey]) -> Result<(), StoreError> {
        let keys = keys(messages);
        sqlx::query!(
            r#"
            INSERT INTO message_words (message_words, rowid, words, facets)
            SELECT 'delete', message_search.search_key, message_search.words, message_search.facets
            FROM json_each(?1) AS key
            CROSS JOIN message_search
                ON message_search.instance_id = key.value ->> 'instance_id'
                AND message_search.id = key.value ->> 'id'
            "#,
            keys,
        )
        .execute(&mut *self)
        .await?;
        sqlx::query!(
            r#"
            DELETE FROM message_search
            WHERE (instance_id, id) IN (SELECT value ->> 'instance_id', value ->> 'id' FROM json_each(?1))
            "#,
            keys,
        )
        .execute(self)
        .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_with_time_as_far_as_they_can() {
        let key = |text: &str| first_key(Timestamp::from_rfc3339(text).unwrap());
        let times = ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "2009-01-01T00:00:00Z", "2078-01-01T00:00:00Z"];
        assert!(times.map(key).is_sorted_by(|a, b| a < b));
        assert_eq!(key("2009-01-01T00:00:00.001Z"), 1 << 22);
        assert_eq!(key("2090-01-01T00:00:00Z"), key("9999-01-01T00:00:00Z"));
    }
}
