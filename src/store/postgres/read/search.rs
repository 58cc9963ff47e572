use std::collections::BTreeMap;
use std::fmt::Write;

use async_trait::async_trait;
use sqlx::{PgConnection, Postgres, QueryBuilder};

use super::listing::push_condition;
use crate::StoreError;
use crate::postgres::column;
use crate::read::ReadTransaction;
use crate::read::search::{SearchQueries, SearchRequest, SearchRows, WeekStep};
use domain::instance::InstanceId;
use domain::message::MessageKey;
use domain::search::{Facet, SearchEntry, SearchFilter, SearchQuery};
use domain::time::timestamp::Timestamp;

/// The maximum number of places that PostgreSQL keeps of one word.
const MAX_PLACES: usize = 255;

/// Returns the words with their places, and the facets without places, as text of a `tsvector`. Neither contains quotes
/// or backslashes.
fn vector(entry: &SearchEntry) -> String {
    let mut places = BTreeMap::<&str, Vec<usize>>::new();
    for (word, place) in entry.words.split(' ').zip(1..) {
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

/// Returns the query as text of a `tsquery`. Words contain no quotes, so no part of a query is ever an operator.
fn expression(query: &SearchQuery, narrowing: &SearchFilter) -> String {
    let phrases = query.phrases().iter().map(|phrase| (phrase.iter().map(String::as_str).collect(), " <-> "));
    let groups = narrowing.groups().iter().map(|group| (group.iter().map(Facet::as_str).collect(), " | "));
    let all = phrases.chain(groups).map(|(words, operator): (Vec<&str>, &str)| {
        let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        format!("({})", quoted.join(operator))
    });
    Vec::from_iter(all).join(" & ")
}

#[async_trait]
impl SearchQueries for ReadTransaction<Postgres> {
    async fn first_time(
        &mut self,
        request: &SearchRequest<'_>,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let times = sqlx::query!(
            r#"
            SELECT min(edge.first) AS "first: Timestamp", max(edge.last) AS "last: Timestamp"
            FROM unnest($1::text[]) AS wanted (instance_id)
            CROSS JOIN LATERAL (
                SELECT min(occurred_at) AS first, max(occurred_at) AS last
                FROM messages
                WHERE messages.instance_id = wanted.instance_id AND occurred_at >= $2 AND occurred_at <= $3
            ) AS edge
            "#,
            request.instances as _,
            from as _,
            to as _,
        )
        .fetch_one(&mut **self)
        .await?;
        Ok(if request.ascending { times.first } else { times.last })
    }

    /// A GIN index has no order, so all messages that are found in the step are sorted.
    async fn found(
        &mut self,
        request: &SearchRequest<'_>,
        step: WeekStep,
        limit: u32,
    ) -> Result<Vec<(MessageKey, Timestamp)>, StoreError> {
        let narrowing = request.narrowing.clone().and_any_of(step.first.to(step.last).map(Facet::week));
        let order = if request.ascending { "ASC" } else { "DESC" };
        let mut query = QueryBuilder::new(
            "SELECT found.instance_id, found.id, found.occurred_at FROM message_search AS found WHERE words @@ ",
        );
        query.push_bind(expression(request.query, &narrowing)).push("::text::tsquery");
        for (sign, edge) in [(">", &request.after), ("<", &request.before)] {
            query.push(" AND (found.occurred_at, found.instance_id, found.id) ").push(sign);
            query.push(" (").push_bind(edge.at()).push(", ").push_bind(edge.instance_id().to_owned());
            query.push(", ").push_bind(edge.rest().concat()).push(")");
        }
        if !request.conditions.is_empty() {
            // The message must be found by its key. OFFSET keeps the other conditions out, for which there are indexes,
            // and no index has the number of the event.
            query.push(
                " AND EXISTS (SELECT FROM (SELECT * FROM messages WHERE messages.instance_id = found.instance_id \
                 AND messages.id = found.id AND event_seq > 0 OFFSET 0) AS messages WHERE TRUE",
            );
            request.conditions.iter().for_each(|condition| push_condition(&mut query, condition));
            query.push(")");
        }
        for (sign, column) in [(" ORDER BY ", "occurred_at"), (", ", "instance_id"), (", ", "id")] {
            query.push(sign).push("found.").push(column).push(" ").push(order);
        }
        query.push(" LIMIT ").push_bind(i64::from(limit));
        let rows: Vec<(InstanceId, String, Timestamp)> = query.build_query_as().fetch_all(&mut **self).await?;
        Ok(rows.into_iter().map(|(instance_id, id, at)| (MessageKey { instance_id, id }, at)).collect())
    }
}

#[async_trait]
impl SearchRows for PgConnection {
    async fn insert_words(&mut self, entries: &[SearchEntry]) -> Result<u64, StoreError> {
        let written = sqlx::query!(
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
        Ok(written.rows_affected())
    }

    async fn delete_words(&mut self, messages: &[(MessageKey, Timestamp)]) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            DELETE FROM message_search
            USING unnest($1::text[], $2::timestamptz[], $3::text[]) AS sought (instance_id, occurred_at, id)
            WHERE message_search.instance_id = sought.instance_id
                AND message_search.occurred_at = sought.occurred_at
                AND message_search.id = sought.id
            "#,
            column(messages, |(key, _)| key.instance_id.as_str()) as _,
            &column(messages, |(_, at)| at.to_utc()),
            column(messages, |(key, _)| key.id.as_str()) as _,
        )
        .execute(self)
        .await?;
        Ok(())
    }
}
