use async_trait::async_trait;
use sqlx::{QueryBuilder, Sqlite};

use super::reading::ReadTransaction;
use crate::StoreError;
use crate::read::event_reports::{
    BEGINNING_BYTES, EventQueries, EventReport, EventRow, LedgerClock, LedgerScan, ScanFilter, ScanIndex, ScanSources,
};
use crate::read::feed::FeedFileRow;
use crate::read::instance_reports::{InstanceReport, InstanceReportQueries, InstanceRow, QUARANTINED_COUNTED};
use crate::sqlite::{SqliteStore, json, timestamp};
use crate::write::messages::MessageRows;
use domain::instance::InstanceId;
use domain::message::MessageKey;
use domain::page::scan::ScanWindow;
use domain::time::timestamp::Timestamp;

#[async_trait]
impl LedgerClock for SqliteStore {
    async fn latest_seq(&self) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar!(r#"SELECT seq FROM ledger_clock WHERE id = 1"#).fetch_one(&self.read_pool).await?)
    }
}

#[async_trait]
impl EventQueries for ReadTransaction {
    async fn clock(&mut self) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar!(r#"SELECT seq FROM ledger_clock WHERE id = 1"#).fetch_one(&mut **self).await?)
    }

    async fn windows(&mut self, stretch: &LedgerScan) -> Result<Vec<ScanWindow>, StoreError> {
        let sources: Vec<Option<&InstanceId>> = match &stretch.sources {
            ScanSources::Ledger => vec![None],
            ScanSources::Instances(instances) => instances.iter().map(Some).collect(),
        };
        let mut windows = Vec::new();
        for source in sources {
            let mut statement = statement(stretch, source);
            let query = statement.build_query_as::<(i64, Option<i64>, Option<i64>, String)>();
            let (rows, least, greatest, found) = query.fetch_one(&mut **self).await?;
            let found = serde_json::from_str(&found).expect("SQLite makes an array of numbers");
            windows.push(stretch.window(rows, least, greatest, found));
        }
        Ok(windows)
    }

    async fn events_with(&mut self, seqs: &[i64]) -> Result<Vec<EventReport>, StoreError> {
        let seqs = json(seqs);
        let rows = sqlx::query_as!(
            EventRow::<String>,
            r#"
            SELECT
                seq AS "seq!: i64",
                instance_id AS "instance_id!: String",
                event_type AS "event_type: String",
                message_id AS "message_id: String",
                chat_id AS "chat_id: String",
                received_at AS "received_at!: String",
                deliveries AS "deliveries!: i64",
                last_received_at AS "last_received_at!: String",
                signed AS "signed!: bool",
                state AS "state!: String",
                reason AS "reason: String",
                length(body) AS "size: i64",
                CASE WHEN state <> 'applied' THEN substr(body, 1, ?2) END AS "beginning: Vec<u8>"
            FROM json_each(?1) AS wanted
            CROSS JOIN events ON events.seq = wanted.value
            ORDER BY wanted.value
            "#,
            seqs,
            BEGINNING_BYTES,
        )
        .fetch_all(&mut **self)
        .await?;
        rows.into_iter().map(|row| row.read(|at| timestamp(&at))).collect()
    }

    async fn files_with(&mut self, seqs: &[i64]) -> Result<Vec<FeedFileRow>, StoreError> {
        let seqs = json(seqs);
        let rows = sqlx::query_as!(
            FeedFileRow,
            r#"
            SELECT
                settled_seq AS "seq!: i64",
                instance_id AS "instance_id!: String",
                message_id AS "message_id!: String",
                state AS "state!: String",
                reason AS "reason: String"
            FROM json_each(?1) AS wanted
            CROSS JOIN media ON media.settled_seq = wanted.value
            ORDER BY wanted.value
            "#,
            seqs,
        )
        .fetch_all(&mut **self)
        .await?;
        Ok(rows)
    }

    async fn body_of(&mut self, seq: i64) -> Result<Option<Vec<u8>>, StoreError> {
        let body =
            sqlx::query_scalar!("SELECT body FROM events WHERE seq = ?1", seq).fetch_optional(&mut **self).await?;
        Ok(body.flatten())
    }

    async fn next_arrival(&mut self, seq: i64) -> Result<Option<(i64, Timestamp)>, StoreError> {
        let row = sqlx::query!("SELECT seq, received_at FROM events WHERE seq >= ?1 ORDER BY seq LIMIT 1", seq)
            .fetch_optional(&mut **self)
            .await?;
        row.map(|row| Ok((row.seq, timestamp(&row.received_at)?))).transpose()
    }

    async fn outgoing(&mut self, ids: &[String]) -> Result<Vec<MessageKey>, StoreError> {
        (**self).outgoing_with_ids(ids).await
    }
}

/// Reads a window of one source.
fn statement(stretch: &LedgerScan, source: Option<&InstanceId>) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new("SELECT count(*), min(seq), max(seq), json_group_array(seq) FILTER (WHERE TRUE");
    push_sieve(&mut query, &stretch.sieve);
    // An index that has the number alone is enough where nothing else is asked for.
    let (columns, number) = match &stretch.path {
        ScanIndex::Settled => ("settled_seq AS seq FROM media", "settled_seq"),
        _ if stretch.sieve.is_open() => ("seq FROM events", "seq"),
        _ => ("seq, event_type, state, received_at FROM events", "seq"),
    };
    query.push(format_args!(") FROM (SELECT {columns} WHERE {number} > ")).push_bind(stretch.after);
    query.push(format_args!(" AND {number} < ")).push_bind(stretch.before);
    if let Some(instance) = source {
        query.push(" AND instance_id = ").push_bind(instance.as_str().to_owned());
    }
    match &stretch.path {
        ScanIndex::All | ScanIndex::Settled => {}
        // The index holds what is not applied, and SQLite wants to be told so.
        ScanIndex::NotApplied(state) => {
            query.push(" AND state <> 'applied' AND state = ").push_bind(state.as_str());
        }
        ScanIndex::Message(id) => {
            query.push(" AND message_id = ").push_bind(id.clone());
        }
    }
    let order = if stretch.ascending { "ASC" } else { "DESC" };
    query.push(format_args!(" ORDER BY {number} {order} LIMIT ")).push_bind(stretch.rows).push(")");
    query
}

fn push_sieve(query: &mut QueryBuilder<Sqlite>, sieve: &ScanFilter) {
    if !sieve.event_types.is_empty() {
        query.push(" AND event_type IN (SELECT value FROM json_each(").push_bind(json(&sieve.event_types)).push("))");
    }
    if let Some(state) = sieve.state {
        query.push(" AND state = ").push_bind(state.as_str());
    }
    if let Some(since) = sieve.since {
        query.push(" AND received_at >= ").push_bind(since.to_rfc3339());
    }
    if let Some(until) = sieve.until {
        query.push(" AND received_at < ").push_bind(until.to_rfc3339());
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
        let instances = json(instances.iter().map(InstanceId::as_str));
        let (since, until) = (since.to_rfc3339(), until.to_rfc3339());
        let rows = sqlx::query_as!(
            InstanceRow::<String>,
            r#"
            SELECT
                first.instance_id AS "instance_id!: String",
                first.seq AS "first_seq!: i64",
                first.received_at AS "first_received_at!: String",
                last.seq AS "last_seq!: i64",
                last.received_at AS "last_received_at!: String",
                (SELECT max(occurred_at) FROM messages WHERE instance_id = wanted.value) AS "last_message_at: String",
                (
                    SELECT count(*) FROM messages
                    WHERE instance_id = wanted.value AND occurred_at >= ?2 AND occurred_at < ?3 AND NOT from_me
                ) AS "incoming!: i64",
                (
                    SELECT count(*) FROM messages
                    WHERE instance_id = wanted.value AND occurred_at >= ?2 AND occurred_at < ?3 AND from_me
                ) AS "outgoing!: i64",
                (
                    SELECT count(*)
                    FROM (
                        SELECT 1 FROM events
                        WHERE instance_id = wanted.value AND state <> 'applied' AND state = 'quarantined'
                        LIMIT ?4
                    )
                ) AS "quarantined!: i64"
            FROM json_each(?1) AS wanted
            CROSS JOIN events AS first
                ON first.seq = (SELECT min(seq) FROM events WHERE instance_id = wanted.value)
            CROSS JOIN events AS last
                ON last.seq = (SELECT max(seq) FROM events WHERE instance_id = wanted.value)
            "#,
            instances,
            since,
            until,
            QUARANTINED_COUNTED,
        )
        .fetch_all(&mut **self)
        .await?;
        rows.into_iter().map(|row| row.read(|at| timestamp(&at))).collect()
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
            SELECT last.instance_id AS "instance_id!: String", last.received_at AS "received_at!: String"
            FROM known
            CROSS JOIN events AS last
                ON last.seq = (SELECT max(seq) FROM events WHERE events.instance_id = known.instance_id)
            ORDER BY last.instance_id
            "#
        )
        .fetch_all(&mut **self)
        .await?;
        rows.iter().map(|row| Ok((InstanceId::from_store(&row.instance_id), timestamp(&row.received_at)?))).collect()
    }
}
