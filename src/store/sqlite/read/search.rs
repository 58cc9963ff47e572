use async_trait::async_trait;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::listing::push_condition;
use crate::StoreError;
use crate::read::ReadTransaction;
use crate::read::listing::{ListedMessage, ListedMessageRow};
use crate::read::search::{SearchQueries, SearchRequest, WeekStep};
use crate::sqlite::search_key::{first_key, last_key};
use domain::search::{SearchFilter, SearchPhrase, SearchQuery};
use domain::time::timestamp::Timestamp;

/// Returns the query as an FTS5 expression. Words contain no quotes, so no part of a query is ever an operator.
fn expression(query: &SearchQuery, narrowing: &SearchFilter) -> String {
    let phrase = |phrase: &SearchPhrase| {
        let goes_on = if phrase.is_beginning { " *" } else { "" };
        format!("\"{}\"{goes_on}", phrase.words.join(" "))
    };
    let phrases: Vec<String> = query.phrases().iter().map(phrase).collect();
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
        let order = if request.ascending { "ASC" } else { "DESC" };
        let mut query = QueryBuilder::new("SELECT occurred_at FROM message_search WHERE search_key >= ");
        query.push_bind(first_key(from)).push(" AND search_key <= ").push_bind(last_key(to));
        query.push(" AND occurred_at >= ").push_bind(from).push(" AND occurred_at <= ").push_bind(to);
        query.push(format_args!(" ORDER BY search_key {order} LIMIT 1"));
        Ok(query.build_query_scalar().fetch_optional(&mut **self).await?)
    }

    async fn found(
        &mut self,
        request: &SearchRequest<'_>,
        step: WeekStep,
        limit: u32,
    ) -> Result<Vec<ListedMessage>, StoreError> {
        let (from, to) = (first_key(step.first.begins()), first_key(step.last.ends()));
        let mut rows = found(self, request, step, (from, to), Some(limit)).await?;
        // Within a millisecond, search keys are in the order in which words were indexed, last of all those of a message
        // that was changed, but a page is in the order of the numbers.
        if let Some(&ListedMessage { at, .. }) = rows.last().filter(|_| rows.len() >= limit as usize) {
            rows.retain(|row| first_key(row.at) != first_key(at));
            rows.extend(found(self, request, step, (first_key(at), last_key(at)), None).await?);
        }
        Ok(rows)
    }
}

/// Returns the messages that are found in a step from one search key to another, both included, in the order of these
/// keys.
async fn found(
    connection: &mut SqliteConnection,
    request: &SearchRequest<'_>,
    step: WeekStep,
    (from, to): (i64, i64),
    limit: Option<u32>,
) -> Result<Vec<ListedMessage>, StoreError> {
    let order = if request.ascending { "ASC" } else { "DESC" };
    let mut query = QueryBuilder::new(
        "SELECT message_search.instance_id, message_search.id, message_search.occurred_at, message_search.seq \
         FROM message_words CROSS JOIN message_search ON message_search.search_key = message_words.rowid \
         WHERE message_words MATCH ",
    );
    query.push_bind(expression(request.query, &request.narrowing));
    query.push(" AND message_words.rowid >= ").push_bind(from).push(" AND message_words.rowid <= ").push_bind(to);
    query.push(" AND message_search.occurred_at >= ").push_bind(step.first.begins());
    query.push(" AND message_search.occurred_at < ").push_bind(step.last.ends());
    for (sign, edge) in [(">", &request.range.after), ("<", &request.range.before)] {
        query.push(" AND (message_search.occurred_at, message_search.seq) ").push(sign);
        query.push(" (").push_bind(edge.at).push(", ").push_bind(edge.number()).push(")");
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
    let rows: Vec<ListedMessageRow> = query.build_query_as().fetch_all(connection).await?;
    Ok(rows.into_iter().map(ListedMessage::from).collect())
}
