use async_trait::async_trait;
use sqlx::{Postgres, QueryBuilder};

use crate::StoreError;
use crate::postgres::outgoing_with_ids;
use crate::postgres::read::position;
use crate::read::ReadTransaction;
use crate::read::events::{
    BEGINNING_BYTES, EventQueries, EventReport, LedgerScan, ScanFilter, ScanIndex, ScanSources, others,
};
use crate::read::feed::OtherRow;
use domain::event::event_id::EventId;
use domain::message::MessageKey;
use domain::page::position::Position;
use domain::page::scan::ScanWindow;
use domain::time::timestamp::Timestamp;

#[async_trait]
impl EventQueries for ReadTransaction<Postgres> {
    async fn position(&mut self) -> Result<Position, StoreError> {
        position(&mut **self).await
    }

    async fn number_of(&mut self, id: &EventId) -> Result<Option<i64>, StoreError> {
        let (least, greatest) = id.hashes();
        let seq = sqlx::query_scalar!(
            "SELECT seq FROM events WHERE instance_id = $1 AND body_sha256 BETWEEN $2 AND $3 LIMIT 1",
            id.instance_id.as_str(),
            least.as_slice(),
            greatest.as_slice(),
        );
        Ok(seq.fetch_optional(&mut **self).await?)
    }

    async fn windows(&mut self, scan: &LedgerScan) -> Result<Vec<ScanWindow>, StoreError> {
        let mut statement = statement(scan);
        let query = statement.build_query_as::<(i64, Option<i64>, Option<i64>, Vec<i64>)>();
        let rows = query.fetch_all(&mut **self).await?;
        let window = |(rows, least, greatest, found)| scan.window(rows, least, greatest, found);
        Ok(rows.into_iter().map(window).collect())
    }

    async fn events_with(&mut self, seqs: &[i64]) -> Result<Vec<EventReport>, StoreError> {
        Ok(sqlx::query_as!(
            EventReport,
            r#"
            SELECT
                seq, instance_id AS "instance_id: _", body_sha256, event_type, message_id, chat_id,
                received_at AS "received_at: _",
                deliveries, last_received_at AS "last_received_at: _", signed, state, reason,
                octet_length(body)::int8 AS size,
                CASE WHEN state <> 'applied' THEN substring(body FROM 1 FOR $2) END AS beginning
            FROM events
            WHERE seq = ANY($1)
            ORDER BY seq
            "#,
            seqs,
            BEGINNING_BYTES,
        )
        .fetch_all(&mut **self)
        .await?)
    }

    async fn others_with(&mut self, seqs: &[i64]) -> Result<Vec<OtherRow>, StoreError> {
        Ok(sqlx::query_as!(
            OtherRow,
            r#"
            SELECT
                settled_seq AS "seq!", instance_id AS "instance_id!: _", message_id, state AS "state: _", reason,
                NULL AS alias, NULL AS chat_id, NULL AS name
            FROM media
            WHERE settled_seq = ANY($1)
            UNION ALL
            SELECT seq, instance_id, NULL, NULL, NULL, alias, chat_id, NULL
            FROM chat_aliases
            WHERE seq = ANY($1)
            UNION ALL
            SELECT seq, instance_id, NULL, NULL, NULL, chat_id, chat_id, name
            FROM chat_names
            WHERE seq = ANY($1)
            ORDER BY 1
            "#,
            seqs,
        )
        .fetch_all(&mut **self)
        .await?)
    }

    async fn body_of(&mut self, seq: i64) -> Result<Option<Vec<u8>>, StoreError> {
        let body =
            sqlx::query_scalar!("SELECT body FROM events WHERE seq = $1", seq).fetch_optional(&mut **self).await?;
        Ok(body.flatten())
    }

    async fn next_arrival(&mut self, seq: i64) -> Result<Option<(i64, Timestamp)>, StoreError> {
        let row = sqlx::query!(
            r#"
            SELECT seq, received_at AS "received_at: Timestamp" FROM events WHERE seq >= $1 ORDER BY seq LIMIT 1
            "#,
            seq,
        )
        .fetch_optional(&mut **self)
        .await?;
        Ok(row.map(|row| (row.seq, row.received_at)))
    }

    async fn outgoing(&mut self, ids: &[String]) -> Result<Vec<MessageKey>, StoreError> {
        outgoing_with_ids(self, ids).await
    }
}

/// Returns the statement that reads a window of each source.
fn statement(scan: &LedgerScan) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new("SELECT seen.* FROM ");
    if let ScanSources::Instances(instances) = &scan.sources {
        query.push("unnest(").push_bind(instances.clone()).push(") AS wanted (instance_id) CROSS JOIN LATERAL ");
    }
    query.push("(SELECT count(*), min(seq), max(seq), coalesce(array_agg(seq) FILTER (WHERE TRUE");
    push_filter(&mut query, &scan.filter);
    let rows = match scan.index {
        ScanIndex::Others { files, chats } => format!("seq FROM {}", others(files, chats)),
        ScanIndex::All | ScanIndex::NotApplied(_) | ScanIndex::Message(_) => {
            "seq, event_type, state, received_at FROM events".to_owned()
        }
    };
    query.push(format_args!("), '{{}}') FROM (SELECT {rows} WHERE seq > ")).push_bind(scan.after);
    query.push(" AND seq < ").push_bind(scan.before);
    if matches!(scan.sources, ScanSources::Instances(_)) {
        query.push(" AND instance_id = wanted.instance_id");
    }
    let order = if scan.ascending { "ASC" } else { "DESC" };
    match &scan.index {
        ScanIndex::All | ScanIndex::Others { .. } => query.push(format_args!(" ORDER BY seq {order}")),
        ScanIndex::NotApplied(state) => {
            query.push(" AND state <> 'applied' AND state = ").push_bind(state.as_str());
            query.push(format_args!(" ORDER BY seq {order}"))
        }
        // There are few rows, which are sorted. An index that has all rows of the instance in order must not be read.
        ScanIndex::Message(id) => {
            query.push(" AND message_id = ").push_bind(id.clone());
            query.push(format_args!(" ORDER BY seq + 0 {order}"))
        }
    };
    query.push(" LIMIT ").push_bind(i64::from(scan.rows)).push(") AS rows_read) AS seen");
    query
}

fn push_filter(query: &mut QueryBuilder<Postgres>, filter: &ScanFilter) {
    if !filter.event_types.is_empty() {
        query.push(" AND event_type = ANY(").push_bind(filter.event_types.clone()).push(")");
    }
    if let Some(state) = filter.state {
        query.push(" AND state = ").push_bind(state.as_str());
    }
    if let Some(since) = filter.since {
        query.push(" AND received_at >= ").push_bind(since);
    }
    if let Some(until) = filter.until {
        query.push(" AND received_at < ").push_bind(until);
    }
}
