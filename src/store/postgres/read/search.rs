use async_trait::async_trait;
use sqlx::{Postgres, QueryBuilder};

use super::listing::push_condition;
use crate::StoreError;
use crate::read::ReadTransaction;
use crate::read::listing::{ListedMessage, ListedMessageRow};
use crate::read::search::{SearchQueries, SearchRequest, WeekStep};
use domain::search::{Facet, SearchFilter, SearchQuery};
use domain::time::timestamp::Timestamp;

/// Returns the query as text of a `tsquery`. Words contain no quotes, so no part of a query is ever an operator.
fn expression(query: &SearchQuery, narrowing: &SearchFilter) -> String {
    let quoted = |word: &str| format!("'{word}'");
    let phrases = query.phrases().iter().map(|phrase| {
        let words: Vec<String> = phrase.words.iter().map(|word| quoted(word)).collect();
        format!("({}{})", words.join(" <-> "), if phrase.is_beginning { ":*" } else { "" })
    });
    let groups = narrowing.groups().iter().map(|group| {
        let facets: Vec<String> = group.iter().map(|facet| quoted(facet.as_str())).collect();
        format!("({})", facets.join(" | "))
    });
    Vec::from_iter(phrases.chain(groups)).join(" & ")
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
    ) -> Result<Vec<ListedMessage>, StoreError> {
        let narrowing = request.narrowing.clone().and_any_of(step.first.to(step.last).map(Facet::week));
        let order = if request.ascending { "ASC" } else { "DESC" };
        let mut query = QueryBuilder::new(
            "SELECT found.instance_id, found.id, found.occurred_at, found.seq FROM message_search AS found WHERE words @@ ",
        );
        query.push_bind(expression(request.query, &narrowing)).push("::text::tsquery");
        for (sign, edge) in [(">", &request.range.after), ("<", &request.range.before)] {
            query.push(" AND (found.occurred_at, found.seq) ").push(sign).push(" (").push_bind(edge.at);
            query.push(", ").push_bind(edge.number()).push(")");
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
        query.push(format_args!(" ORDER BY found.occurred_at {order}, found.seq {order} LIMIT "));
        query.push_bind(i64::from(limit));
        let rows: Vec<ListedMessageRow> = query.build_query_as().fetch_all(&mut **self).await?;
        Ok(rows.into_iter().map(ListedMessage::from).collect())
    }
}
