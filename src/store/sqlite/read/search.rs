use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use serde::Serialize;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::listing::push_condition;
use crate::StoreError;
use crate::read::ReadTransaction;
use crate::read::search::{SearchQueries, SearchRequest, SearchRows, WeekStep};
use crate::sqlite::json;
use domain::instance::InstanceId;
use domain::message::MessageKey;
use domain::search::{Facet, SearchEntry, SearchFilter, SearchQuery};
use domain::time::timestamp::Timestamp;

/// The number of lower bits of a key, which tell messages of one millisecond apart.
const ORDINAL_BITS: u32 = 22;

/// The time of key 0. With 2009, the keys reach to 2078.
const KEYS_SINCE: Timestamp = Timestamp::from_seconds(1_230_768_000);

/// Returns the first key of a millisecond. All later times than 2078 share the last millisecond.
fn first_key(at: Timestamp) -> i64 {
    let millis = at.millis() - KEYS_SINCE.millis();
    millis.clamp(i64::MIN >> ORDINAL_BITS, i64::MAX >> ORDINAL_BITS) << ORDINAL_BITS
}

/// Returns the last key of a millisecond.
fn last_key(at: Timestamp) -> i64 {
    first_key(at) | ((1 << ORDINAL_BITS) - 1)
}

/// A row of `message_search`.
#[derive(Serialize)]
struct SearchRow<'e> {
    search_key: i64,
    instance_id: &'e str,
    id: &'e str,
    occurred_at: String,
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
            words: &entry.words,
            facets: Vec::from_iter(entry.facets.iter().map(Facet::as_str)).join(" "),
        }
    }
}

/// A message, and the range of keys that the key of its words is in.
#[derive(Serialize)]
struct Sought<'k> {
    instance_id: &'k str,
    id: &'k str,
    first_key: i64,
    last_key: i64,
}

/// Returns the query as an FTS5 expression. Words contain no quotes, so no part of a query is ever an operator.
fn expression(query: &SearchQuery, narrowing: &SearchFilter) -> String {
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
impl SearchQueries for ReadTransaction<Sqlite> {
    async fn first_time(
        &mut self,
        request: &SearchRequest<'_>,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let (first_key, last_key) = (first_key(from), last_key(to));
        let connection = &mut **self;
        let at = match request.ascending {
            true => {
                sqlx::query_scalar!(
                    r#"
                    SELECT occurred_at AS "at: Timestamp"
                    FROM message_search
                    WHERE search_key >= ?1 AND search_key <= ?2 AND occurred_at >= ?3 AND occurred_at <= ?4
                    ORDER BY search_key
                    LIMIT 1
                    "#,
                    first_key,
                    last_key,
                    from,
                    to,
                )
                .fetch_optional(connection)
                .await?
            }
            false => {
                sqlx::query_scalar!(
                    r#"
                    SELECT occurred_at AS "at: Timestamp"
                    FROM message_search
                    WHERE search_key >= ?1 AND search_key <= ?2 AND occurred_at >= ?3 AND occurred_at <= ?4
                    ORDER BY search_key DESC
                    LIMIT 1
                    "#,
                    first_key,
                    last_key,
                    from,
                    to,
                )
                .fetch_optional(connection)
                .await?
            }
        };
        Ok(at)
    }

    async fn found(
        &mut self,
        request: &SearchRequest<'_>,
        step: WeekStep,
        limit: u32,
    ) -> Result<Vec<(MessageKey, Timestamp)>, StoreError> {
        let (from, to) = (first_key(step.first.begins()), first_key(step.last.ends()));
        let mut rows = found(self, request, step, (from, to), Some(limit)).await?;
        // Within a millisecond, search keys are in the order of arrival, but a page is in the order of the primary
        // keys.
        if let Some(&FoundRow { at, .. }) = rows.last().filter(|_| rows.len() >= limit as usize) {
            rows.retain(|row| first_key(row.at) != first_key(at));
            rows.extend(found(self, request, step, (first_key(at), last_key(at)), None).await?);
        }
        Ok(rows.into_iter().map(|row| (row.key, row.at)).collect())
    }
}

struct FoundRow {
    key: MessageKey,
    at: Timestamp,
}

/// Returns the messages that are found in a step from one search key to another, both included, in the order of these
/// keys.
async fn found(
    connection: &mut SqliteConnection,
    request: &SearchRequest<'_>,
    step: WeekStep,
    (from, to): (i64, i64),
    limit: Option<u32>,
) -> Result<Vec<FoundRow>, StoreError> {
    let order = if request.ascending { "ASC" } else { "DESC" };
    let mut query = QueryBuilder::new(
        "SELECT message_search.instance_id, message_search.id, message_search.occurred_at \
         FROM message_words CROSS JOIN message_search ON message_search.search_key = message_words.rowid \
         WHERE message_words MATCH ",
    );
    query.push_bind(expression(request.query, &request.narrowing));
    query.push(" AND message_words.rowid >= ").push_bind(from).push(" AND message_words.rowid <= ").push_bind(to);
    query.push(" AND message_search.occurred_at >= ").push_bind(step.first.begins());
    query.push(" AND message_search.occurred_at < ").push_bind(step.last.ends());
    for (sign, edge) in [(">", &request.after), ("<", &request.before)] {
        query.push(" AND (message_search.occurred_at, message_search.instance_id, message_search.id) ");
        query.push(sign).push(" (").push_bind(edge.at());
        query.push(", ").push_bind(edge.instance_id().to_owned());
        query.push(", ").push_bind(edge.rest().concat()).push(")");
    }
    if !request.conditions.is_empty() {
        query.push(
            " AND EXISTS (SELECT 1 FROM messages WHERE messages.instance_id = message_search.instance_id \
             AND messages.id = message_search.id",
        );
        request.conditions.iter().for_each(|condition| push_condition(&mut query, condition, ""));
        query.push(")");
    }
    query.push(" ORDER BY message_words.rowid ").push(order);
    if let Some(limit) = limit {
        query.push(" LIMIT ").push_bind(limit);
    }
    let rows: Vec<(InstanceId, String, Timestamp)> = query.build_query_as().fetch_all(connection).await?;
    Ok(rows.into_iter().map(|(instance_id, id, at)| FoundRow { key: MessageKey { instance_id, id }, at }).collect())
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
            INSERT INTO message_search (search_key, instance_id, id, occurred_at, words, facets)
            SELECT
                value ->> 'search_key',
                value ->> 'instance_id',
                value ->> 'id',
                value ->> 'occurred_at',
                value ->> 'words',
                value ->> 'facets'
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

    async fn delete_words(&mut self, messages: &[(MessageKey, Timestamp)]) -> Result<(), StoreError> {
        let sought = json(messages.iter().map(|(MessageKey { instance_id, id }, at)| Sought {
            instance_id: instance_id.as_str(),
            id,
            first_key: first_key(*at),
            last_key: last_key(*at),
        }));
        let keys = sqlx::query_scalar!(
            r#"
            WITH sought AS MATERIALIZED (
                SELECT
                    value ->> 'id' AS id,
                    value ->> 'instance_id' AS instance_id,
                    value ->> 'first_key' AS first_key,
                    value ->> 'last_key' AS last_key
                FROM jsonb_each(?1)
            )
            SELECT message_search.search_key
            FROM sought
            CROSS JOIN message_search
                ON message_search.search_key >= sought.first_key
                AND message_search.search_key <= sought.last_key
                AND message_search.id = sought.id
                AND message_search.instance_id = sought.instance_id
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
    let spans = json(spans);
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
        spans,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().filter_map(|row| Some((row.first_key, row.taken? + 1))).collect())
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
