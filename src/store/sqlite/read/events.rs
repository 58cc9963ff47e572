use async_trait::async_trait;
use sqlx::{QueryBuilder, Sqlite};

use crate::StoreError;
use crate::read::ReadTransaction;
use crate::read::events::{
    BEGINNING_BYTES, EventQueries, EventReport, LedgerScan, ScanFilter, ScanIndex, ScanSources, others,
};
use crate::read::feed::OtherRow;
use crate::sqlite::read::position;
use crate::sqlite::{json, outgoing_with_ids};
use domain::event::event_id::EventId;
use domain::instance::InstanceId;
use domain::message::MessageKey;
use domain::page::position::Position;
use domain::page::scan::ScanWindow;
use domain::time::timestamp::Timestamp;

#[async_trait]
impl EventQueries for ReadTransaction<Sqlite> {
    async fn position(&mut self) -> Result<Position, StoreError> {
        position(&mut **self).await
    }

    async fn number_of(&mut self, id: &EventId) -> Result<Option<i64>, StoreError> {
        let ((least, greatest), instance_id) = (id.hashes(), &id.instance_id);
        let (least, greatest) = (least.as_slice(), greatest.as_slice());
        Ok(sqlx::query_scalar!(
            "SELECT seq FROM events WHERE instance_id = ?1 AND body_sha256 BETWEEN ?2 AND ?3 LIMIT 1",
            instance_id,
            least,
            greatest,
        )
        .fetch_optional(&mut **self)
        .await?)
    }

    async fn windows(&mut self, scan: &LedgerScan) -> Result<Vec<ScanWindow>, StoreError> {
        let sources: Vec<Option<&InstanceId>> = match &scan.sources {
            ScanSources::Ledger => vec![None],
            ScanSources::Instances(instances) => instances.iter().map(Some).collect(),
        };
        let mut windows = Vec::new();
        for source in sources {
            let mut statement = statement(scan, source);
            let query = statement.build_query_as::<(i64, Option<i64>, Option<i64>, String)>();
            let (rows, least, greatest, found) = query.fetch_one(&mut **self).await?;
            let found = serde_json::from_str(&found).expect("SQLite makes an array of numbers");
            windows.push(scan.window(rows, least, greatest, found));
        }
        Ok(windows)
    }

    async fn events_with(&mut self, seqs: &[i64]) -> Result<Vec<EventReport>, StoreError> {
        Ok(sqlx::query_as!(
            EventReport,
            r#"
            SELECT
                seq AS "seq!: i64",
                instance_id AS "instance_id!: _",
                body_sha256 AS "body_sha256!: Vec<u8>",
                event_type AS "event_type: String",
                message_id AS "message_id: String",
                chat_id AS "chat_id: String",
                received_at AS "received_at!: _",
                deliveries AS "deliveries!: i64",
                last_received_at AS "last_received_at!: _",
                signed AS "signed!: bool",
                state AS "state!: String",
                reason AS "reason: String",
                length(body) AS "size: i64",
                CASE WHEN state <> 'applied' THEN substr(body, 1, ?2) END AS "beginning: Vec<u8>"
            FROM json_each(?1) AS wanted
            CROSS JOIN events ON events.seq = wanted.value
            ORDER BY wanted.value
            "#,
            json(seqs),
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
                settled_seq AS "seq!: i64",
                instance_id AS "instance_id!: _",
                message_id AS "message_id: String",
                state AS "state: _",
                reason AS "reason: String",
                NULL AS "alias: String",
                NULL AS "chat_id: String",
                NULL AS "name: String"
            FROM json_each(?1) AS wanted
            CROSS JOIN media ON media.settled_seq = wanted.value
            UNION ALL
            SELECT seq, instance_id, NULL, NULL, NULL, alias, chat_id, NULL
            FROM json_each(?1) AS wanted
            CROSS JOIN chat_aliases ON chat_aliases.seq = wanted.value
            UNION ALL
            SELECT seq, instance_id, NULL, NULL, NULL, chat_id, chat_id, name
            FROM json_each(?1) AS wanted
            CROSS JOIN chat_names ON chat_names.seq = wanted.value
            ORDER BY 1
            "#,
            json(seqs),
        )
        .fetch_all(&mut **self)
        .await?)
    }

    async fn body_of(&mut self, seq: i64) -> Result<Option<Vec<u8>>, StoreError> {
        let body =
            sqlx::query_scalar!("SELECT body FROM events WHERE seq = ?1", seq).fetch_optional(&mut **self).await?;
        Ok(body.flatten())
    }

    async fn next_arrival(&mut self, seq: i64) -> Result<Option<(i64, Timestamp)>, StoreError> {
        let row = sqlx::query!(
            r#"
            SELECT seq, received_at AS "received_at: Timestamp" FROM events WHERE seq >= ?1 ORDER BY seq LIMIT 1
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

/// Returns the statement that reads a window of one source.
fn statement(scan: &LedgerScan, source: Option<&InstanceId>) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new("SELECT count(*), min(seq), max(seq), json_group_array(seq) FILTER (WHERE TRUE");
    push_filter(&mut query, &scan.filter);
    // Without a filter, an index that has only the number is enough.
    let rows = match &scan.index {
        ScanIndex::Others { files, chats } => format!("seq FROM {}", others(*files, *chats)),
        _ if scan.filter.is_open() => "seq FROM events".to_owned(),
        _ => "seq, event_type, state, received_at FROM events".to_owned(),
    };
    query.push(format_args!(") FROM (SELECT {rows} WHERE seq > ")).push_bind(scan.after);
    query.push(" AND seq < ").push_bind(scan.before);
    if let Some(instance) = source {
        query.push(" AND instance_id = ").push_bind(instance.clone());
    }
    match &scan.index {
        ScanIndex::All | ScanIndex::Others { .. } => {}
        // The partial index has the events that are not applied, and SQLite reads it only if the statement says so.
        ScanIndex::NotApplied(state) => {
            query.push(" AND state <> 'applied' AND state = ").push_bind(state.as_str());
        }
        ScanIndex::Message(id) => {
            query.push(" AND message_id = ").push_bind(id.clone());
        }
    }
    let order = if scan.ascending { "ASC" } else { "DESC" };
    query.push(format_args!(" ORDER BY seq {order} LIMIT ")).push_bind(scan.rows).push(")");
    query
}

fn push_filter(query: &mut QueryBuilder<Sqlite>, filter: &ScanFilter) {
    if !filter.event_types.is_empty() {
        query.push(" AND event_type IN (SELECT value FROM json_each(").push_bind(json(&filter.event_types)).push("))");
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
