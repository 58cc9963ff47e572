use async_trait::async_trait;
use sqlx::{Postgres, QueryBuilder};
use time::OffsetDateTime;

use super::reading::ReadTransaction;
use crate::StoreError;
use crate::postgres::{PostgresStore, column};
use crate::read::event_reports::{
    BEGINNING_BYTES, EventQueries, EventReport, EventRow, LedgerClock, LedgerScan, ScanFilter, ScanIndex, ScanSources,
};
use crate::read::feed::FeedFileRow;
use crate::read::instance_reports::{InstanceReport, InstanceReportQueries, InstanceRow, QUARANTINED_COUNTED};
use crate::write::messages::MessageRows;
use domain::instance::InstanceId;
use domain::message::MessageKey;
use domain::page::scan::ScanWindow;
use domain::time::timestamp::Timestamp;

#[async_trait]
impl LedgerClock for PostgresStore {
    async fn latest_seq(&self) -> Result<i64, StoreError> {
        let seq = sqlx::query_scalar!(r#"SELECT seq AS "seq!" FROM ledger_clock WHERE id = 1"#);
        Ok(seq.fetch_one(&self.read_pool).await?)
    }
}

#[async_trait]
impl EventQueries for ReadTransaction {
    async fn clock(&mut self) -> Result<i64, StoreError> {
        let seq = sqlx::query_scalar!(r#"SELECT seq AS "seq!" FROM ledger_clock WHERE id = 1"#);
        Ok(seq.fetch_one(&mut **self).await?)
    }

    async fn windows(&mut self, stretch: &LedgerScan) -> Result<Vec<ScanWindow>, StoreError> {
        let mut statement = statement(stretch);
        let query = statement.build_query_as::<(i64, Option<i64>, Option<i64>, Vec<i64>)>();
        let rows = query.fetch_all(&mut **self).await?;
        let window = |(rows, least, greatest, found)| stretch.window(rows, least, greatest, found);
        Ok(rows.into_iter().map(window).collect())
    }

    async fn events_with(&mut self, seqs: &[i64]) -> Result<Vec<EventReport>, StoreError> {
        let rows = sqlx::query_as!(
            EventRow::<OffsetDateTime>,
            r#"
            SELECT
                seq, instance_id, event_type, message_id, chat_id, received_at, deliveries, last_received_at, signed,
                state, reason,
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
        .await?;
        rows.into_iter().map(|row| row.read(|at| Ok(Timestamp::from_utc(at)))).collect()
    }

    async fn files_with(&mut self, seqs: &[i64]) -> Result<Vec<FeedFileRow>, StoreError> {
        let rows = sqlx::query_as!(
            FeedFileRow,
            r#"
            SELECT settled_seq AS "seq!", instance_id, message_id, state, reason
            FROM media
            WHERE settled_seq = ANY($1)
            ORDER BY settled_seq
            "#,
            seqs,
        )
        .fetch_all(&mut **self)
        .await?;
        Ok(rows)
    }

    async fn body_of(&mut self, seq: i64) -> Result<Option<Vec<u8>>, StoreError> {
        let body =
            sqlx::query_scalar!("SELECT body FROM events WHERE seq = $1", seq).fetch_optional(&mut **self).await?;
        Ok(body.flatten())
    }

    async fn next_arrival(&mut self, seq: i64) -> Result<Option<(i64, Timestamp)>, StoreError> {
        let row = sqlx::query!("SELECT seq, received_at FROM events WHERE seq >= $1 ORDER BY seq LIMIT 1", seq)
            .fetch_optional(&mut **self)
            .await?;
        Ok(row.map(|row| (row.seq, Timestamp::from_utc(row.received_at))))
    }

    async fn outgoing(&mut self, ids: &[String]) -> Result<Vec<MessageKey>, StoreError> {
        (**self).outgoing_with_ids(ids).await
    }
}

/// Reads a window of each source.
fn statement(stretch: &LedgerScan) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new("SELECT seen.* FROM ");
    if let ScanSources::Instances(instances) = &stretch.sources {
        let instances: Vec<String> = instances.iter().map(|it| it.as_str().to_owned()).collect();
        query.push("unnest(").push_bind(instances).push(") AS wanted (instance_id) CROSS JOIN LATERAL ");
    }
    query.push("(SELECT count(*), min(seq), max(seq), coalesce(array_agg(seq) FILTER (WHERE TRUE");
    push_sieve(&mut query, &stretch.sieve);
    let (columns, number) = match stretch.path {
        ScanIndex::Settled => ("settled_seq AS seq FROM media", "settled_seq"),
        ScanIndex::All | ScanIndex::NotApplied(_) | ScanIndex::Message(_) => {
            ("seq, event_type, state, received_at FROM events", "seq")
        }
    };
    query.push(format_args!("), '{{}}') FROM (SELECT {columns} WHERE {number} > ")).push_bind(stretch.after);
    query.push(format_args!(" AND {number} < ")).push_bind(stretch.before);
    if matches!(stretch.sources, ScanSources::Instances(_)) {
        query.push(" AND instance_id = wanted.instance_id");
    }
    let order = if stretch.ascending { "ASC" } else { "DESC" };
    match &stretch.path {
        ScanIndex::All | ScanIndex::Settled => query.push(format_args!(" ORDER BY {number} {order}")),
        ScanIndex::NotApplied(state) => {
            query.push(" AND state <> 'applied' AND state = ").push_bind(state.as_str());
            query.push(format_args!(" ORDER BY seq {order}"))
        }
        // Few rows, which are to be sorted: an index that has all rows of the instance in order is no help.
        ScanIndex::Message(id) => {
            query.push(" AND message_id = ").push_bind(id.clone());
            query.push(format_args!(" ORDER BY seq + 0 {order}"))
        }
    };
    query.push(" LIMIT ").push_bind(i64::from(stretch.rows)).push(") AS rows_read) AS seen");
    query
}

fn push_sieve(query: &mut QueryBuilder<Postgres>, sieve: &ScanFilter) {
    if !sieve.event_types.is_empty() {
        query.push(" AND event_type = ANY(").push_bind(sieve.event_types.clone()).push(")");
    }
    if let Some(state) = sieve.state {
        query.push(" AND state = ").push_bind(state.as_str());
    }
    if let Some(since) = sieve.since {
        query.push(" AND received_at >= ").push_bind(since.to_utc());
    }
    if let Some(until) = sieve.until {
        query.push(" AND received_at < ").push_bind(until.to_utc());
    }
}

#[async_trait]
impl InstanceReportQueries for ReadTransaction {
    async fn instance_reports(
        &mut self,
        instances: &[InstanceId],
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<InstanceReport>, StoreError> {
        let instances = column(instances, InstanceId::as_str);
        let rows = sqlx::query_as!(
            InstanceRow::<OffsetDateTime>,
            r#"
            SELECT
                wanted.instance_id AS "instance_id!",
                first.seq AS first_seq,
                first.received_at AS first_received_at,
                last.seq AS last_seq,
                last.received_at AS last_received_at,
                latest.occurred_at AS "last_message_at?",
                today.incoming AS "incoming!",
                today.outgoing AS "outgoing!",
                counted.quarantined AS "quarantined!"
            FROM unnest($1::text[]) AS wanted (instance_id)
            CROSS JOIN LATERAL (
                SELECT seq, received_at FROM events WHERE instance_id = wanted.instance_id ORDER BY seq LIMIT 1
            ) AS first
            CROSS JOIN LATERAL (
                SELECT seq, received_at FROM events WHERE instance_id = wanted.instance_id ORDER BY seq DESC LIMIT 1
            ) AS last
            LEFT JOIN LATERAL (
                SELECT occurred_at
                FROM messages
                WHERE instance_id = wanted.instance_id
                ORDER BY occurred_at DESC, id DESC
                LIMIT 1
            ) AS latest ON TRUE
            CROSS JOIN LATERAL (
                SELECT
                    count(*) FILTER (WHERE NOT from_me) AS incoming,
                    count(*) FILTER (WHERE from_me) AS outgoing
                FROM messages
                WHERE instance_id = wanted.instance_id AND occurred_at >= $2 AND occurred_at < $3
            ) AS today
            CROSS JOIN LATERAL (
                SELECT count(*) AS quarantined
                FROM (
                    SELECT
                    FROM events
                    WHERE instance_id = wanted.instance_id AND state = 'quarantined'
                    LIMIT $4
                ) AS counting
            ) AS counted
            "#,
            instances as _,
            since.to_utc(),
            until.to_utc(),
            QUARANTINED_COUNTED,
        )
        .fetch_all(&mut **self)
        .await?;
        rows.into_iter().map(|row| row.read(|at| Ok(Timestamp::from_utc(at)))).collect()
    }

    async fn last_arrivals(&mut self) -> Result<Vec<(InstanceId, Timestamp)>, StoreError> {
        let rows = sqlx::query!(
            r#"
            WITH RECURSIVE known (instance_id) AS (
                SELECT min(instance_id) FROM events
                UNION ALL
                SELECT (SELECT min(instance_id) FROM events WHERE events.instance_id > known.instance_id)
                FROM known
                WHERE known.instance_id IS NOT NULL
            )
            SELECT last.instance_id AS "instance_id!", last.received_at AS "received_at!"
            FROM known
            CROSS JOIN LATERAL (
                SELECT instance_id, received_at
                FROM events
                WHERE events.instance_id = known.instance_id
                ORDER BY seq DESC
                LIMIT 1
            ) AS last
            ORDER BY last.instance_id
            "#
        )
        .fetch_all(&mut **self)
        .await?;
        let arrival = |id: &str, at| (InstanceId::from_store(id), Timestamp::from_utc(at));
        Ok(rows.iter().map(|row| arrival(&row.instance_id, row.received_at)).collect())
    }
}
