use std::collections::HashSet;

use async_trait::async_trait;
use serde::Serialize;
use sqlx::SqliteConnection;

use crate::StoreError;
use crate::sqlite::json;
use crate::write::events::EventRows;
use domain::event::batch::{LedgerRow, LedgerRows};

/// A row of the ledger; its body is the slice of `length` bytes from `start` (the first is 1) in a parameter of its
/// own, because JSON holds no bytes.
#[derive(Serialize)]
struct EventRow<'e> {
    seq: i64,
    instance_id: &'e str,
    event_type: Option<&'e str>,
    message_id: Option<&'e str>,
    chat_id: Option<&'e str>,
    start: usize,
    length: usize,
    body_sha256: String,
    received_at: String,
    deliveries: i64,
    last_received_at: String,
    signed: bool,
    state: &'static str,
    reason: Option<&'e str>,
}

impl<'e> EventRow<'e> {
    /// Appends the body to `bodies`.
    fn new(row: &LedgerRow<'e>, bodies: &mut Vec<u8>) -> Self {
        let event = row.event;
        let start = bodies.len() + 1;
        bodies.extend_from_slice(&event.body);
        Self {
            seq: row.seq,
            instance_id: event.instance_id.as_str(),
            event_type: event.interpretation.subject.event_type.as_deref(),
            message_id: event.interpretation.subject.message_id.as_deref(),
            chat_id: event.interpretation.subject.chat_id.as_deref(),
            start,
            length: event.body.len(),
            body_sha256: hex::encode(event.body_sha256),
            received_at: event.received_at.to_rfc3339(),
            deliveries: row.deliveries,
            last_received_at: row.last_received_at.to_rfc3339(),
            signed: event.signed,
            state: event.interpretation.state.as_str(),
            reason: event.interpretation.reason.as_deref(),
        }
    }
}

#[async_trait]
impl EventRows for SqliteConnection {
    async fn take_numbers(&mut self, count: i64) -> Result<Option<i64>, StoreError> {
        let seq = sqlx::query_scalar!("UPDATE ledger_clock SET seq = seq + ?1 WHERE id = 1 RETURNING seq", count)
            .fetch_optional(self)
            .await?;
        Ok(seq)
    }

    async fn append_events(&mut self, rows: &LedgerRows<'_>) -> Result<HashSet<i64>, StoreError> {
        let mut bodies = Vec::new();
        let rows = json(rows.iter().map(|row| EventRow::new(row, &mut bodies)));
        let written = sqlx::query_scalar!(
            r#"
            INSERT INTO events (
                seq, instance_id, event_type, message_id, chat_id, body, body_sha256,
                received_at, deliveries, last_received_at, signed, state, reason
            )
            SELECT
                value ->> 'seq',
                value ->> 'instance_id',
                value ->> 'event_type',
                value ->> 'message_id',
                value ->> 'chat_id',
                coalesce(substr(?2, value ->> 'start', value ->> 'length'), x''),
                unhex(value ->> 'body_sha256'),
                value ->> 'received_at',
                value ->> 'deliveries',
                value ->> 'last_received_at',
                value ->> 'signed',
                value ->> 'state',
                value ->> 'reason'
            FROM jsonb_each(?1)
            WHERE true
            ON CONFLICT (instance_id, body_sha256) DO UPDATE
            SET deliveries = events.deliveries + excluded.deliveries,
                last_received_at = max(events.last_received_at, excluded.last_received_at)
            RETURNING seq AS "seq!: i64"
            "#,
            rows,
            bodies,
        )
        .fetch_all(self)
        .await?;
        Ok(written.into_iter().collect())
    }

    async fn set_aside(&mut self, seqs: &[i64], reason: &str) -> Result<u64, StoreError> {
        let seqs = json(seqs);
        let written = sqlx::query!(
            r#"
            UPDATE events
            SET state = 'quarantined', reason = ?2
            WHERE seq IN (SELECT value FROM jsonb_each(?1))
            "#,
            seqs,
            reason,
        )
        .execute(self)
        .await?;
        Ok(written.rows_affected())
    }
}
