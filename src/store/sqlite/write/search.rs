use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use serde::Serialize;
use sqlx::SqliteConnection;

use crate::StoreError;
use crate::sqlite::json;
use crate::sqlite::search_key::{first_key, last_key};
use crate::write::search::SearchRows;
use domain::search::{Facet, SearchEntry, SearchPlace};

/// A row of `message_search`.
#[derive(Serialize)]
struct SearchRow<'e> {
    search_key: i64,
    instance_id: &'e str,
    id: &'e str,
    occurred_at: String,
    seq: i64,
    words: &'e str,
    facets: String,
}

impl<'e> SearchRow<'e> {
    fn new(search_key: i64, entry: &'e SearchEntry) -> Self {
        Self {
            search_key,
            instance_id: entry.instance_id.as_str(),
            id: &entry.id,
            occurred_at: entry.occurred_at.to_rfc3339(),
            seq: entry.seq,
            words: &entry.words,
            facets: Vec::from_iter(entry.facets.iter().map(Facet::as_str)).join(" "),
        }
    }
}

/// The number of a message, and the range of keys that the key of its words is in.
#[derive(Serialize)]
struct Sought {
    seq: i64,
    first_key: i64,
    last_key: i64,
}

#[async_trait]
impl SearchRows for SqliteConnection {
    /// Inserts in the order of the keys, because FTS5 begins a new segment at a key that is below the one before.
    async fn insert_words(&mut self, entries: &[SearchEntry]) -> Result<u64, StoreError> {
        let mut entries = Vec::from_iter(entries);
        entries.sort_by_key(|entry| entry.occurred_at);
        let mut free = free_keys(self, &entries).await?;
        let rows = json(entries.into_iter().map(|entry| {
            let key = free.entry(first_key(entry.occurred_at)).or_insert_with_key(|first| *first);
            *key += 1;
            SearchRow::new(*key - 1, entry)
        }));
        let written = sqlx::query!(
            r#"
            INSERT INTO message_search (search_key, instance_id, id, occurred_at, seq, words, facets)
            SELECT
                value ->> 'search_key', value ->> 'instance_id', value ->> 'id', value ->> 'occurred_at',
                value ->> 'seq', value ->> 'words', value ->> 'facets'
            FROM jsonb_each(?1)
            "#,
            rows,
        )
        .execute(&mut *self)
        .await?;
        sqlx::query!(
            r#"
            INSERT INTO message_words (rowid, words, facets)
            SELECT value ->> 'search_key', value ->> 'words', value ->> 'facets'
            FROM jsonb_each(?1)
            "#,
            rows,
        )
        .execute(self)
        .await?;
        Ok(written.rows_affected())
    }

    async fn delete_words(&mut self, places: &[SearchPlace]) -> Result<(), StoreError> {
        let sought = json(places.iter().map(|SearchPlace { occurred_at, seq, .. }| Sought {
            seq: *seq,
            first_key: first_key(*occurred_at),
            last_key: last_key(*occurred_at),
        }));
        let keys = sqlx::query_scalar!(
            r#"
            WITH sought AS MATERIALIZED (
                SELECT
                    value ->> 'seq' AS seq,
                    value ->> 'first_key' AS first_key,
                    value ->> 'last_key' AS last_key
                FROM jsonb_each(?1)
            )
            SELECT message_search.search_key
            FROM sought
            CROSS JOIN message_search
                ON message_search.search_key >= sought.first_key
                AND message_search.search_key <= sought.last_key
                AND message_search.seq = sought.seq
            "#,
            sought,
        )
        .fetch_all(&mut *self)
        .await?;
        if keys.is_empty() {
            return Ok(());
        }
        let keys = json(keys);
        sqlx::query!(
            r#"
            INSERT INTO message_words (message_words, rowid, words, facets)
            SELECT 'delete', search_key, words, facets
            FROM message_search
            WHERE search_key IN (SELECT value FROM jsonb_each(?1))
            "#,
            keys,
        )
        .execute(&mut *self)
        .await?;
        sqlx::query!("DELETE FROM message_search WHERE search_key IN (SELECT value FROM jsonb_each(?1))", keys)
            .execute(self)
            .await?;
        Ok(())
    }
}

/// Returns the first free key of each millisecond of these entries that has messages already.
async fn free_keys(
    connection: &mut SqliteConnection,
    entries: &[&SearchEntry],
) -> Result<HashMap<i64, i64>, StoreError> {
    let spans = BTreeMap::from_iter(entries.iter().map(|it| (first_key(it.occurred_at), last_key(it.occurred_at))));
    let rows = sqlx::query!(
        r#"
        SELECT
            span.value ->> 0 AS "first_key!: i64",
            (
                SELECT max(search_key)
                FROM message_search
                WHERE search_key >= span.value ->> 0 AND search_key <= span.value ->> 1
            ) AS "taken: i64"
        FROM jsonb_each(?1) AS span
        "#,
        json(spans),
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().filter_map(|row| Some((row.first_key, row.taken? + 1))).collect())
}
