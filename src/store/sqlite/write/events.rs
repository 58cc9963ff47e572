use std::collections::HashSet;

use async_trait::async_trait;
use serde::Serialize;
use sqlx::SqliteConnection;

use crate::StoreError;
use crate::sqlite::json;
use crate::write::events::{EventColumns, EventRows};
use domain::event::batch::{LedgerRow, LedgerRows};

/// A row of the ledger, whose body is the slice of `length` bytes from `start` (the first is 1) in a parameter of its
/// own, because JSON holds no bytes. Without a length, there is no body.
#[derive(Serialize)]
struct SlicedEvent<'e> {
    #[serde(flatten)]
    columns: EventColumns<'e>,
    start: usize,
    length: Option<usize>,
}

impl<'e> SlicedEvent<'e> {
    /// Appends the body to `bodies`.
    fn new(row: &LedgerRow<'e>, bodies: &mut Vec<u8>) -> Self {
        let columns = EventColumns::from(row);
        let (start, length) = (bodies.len() + 1, columns.body.map(<[u8]>::len));
        bodies.extend_from_slice(columns.body.unwrap_or_default());
        Self { columns, start, length }
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
        let written = sqlx::query_scalar!(
            r#"
            INSERT INTO events (
                seq, instance_id, event_type, message_id, chat_id, body, body_sha256,
                received_at, deliveries, last_received_at, signed, forwarded, state, reason, file_bytes,
                quoted_message_id
            )
            SELECT
                value ->> 'seq', value ->> 'instance_id', value ->> 'event_type', value ->> 'message_id',
                value ->> 'chat_id',
                CASE WHEN value ->> 'length' >= 0 THEN coalesce(substr(?2, value ->> 'start', value ->> 'length'), x'') END,
                unhex(value ->> 'body_sha256'), value ->> 'received_at', value ->> 'deliveries',
                value ->> 'last_received_at', value ->> 'signed', value ->> 'forwarded', value ->> 'state',
                value ->> 'reason', value ->> 'file_bytes', value ->> 'quoted_message_id'
            FROM jsonb_each(?1)
            WHERE true
            ON CONFLICT (instance_id, body_sha256) DO UPDATE
            SET deliveries = events.deliveries + excluded.deliveries,
                last_received_at = max(events.last_received_at, excluded.last_received_at)
            RETURNING seq AS "seq!: i64"
            "#,
            json(rows.iter().map(|row| SlicedEvent::new(row, &mut bodies))),
            bodies,
        )
        .fetch_all(self)
        .await?;
        Ok(written.into_iter().collect())
    }

    async fn set_aside(&mut self, seqs: &[i64], reason: &str) -> Result<u64, StoreError> {
        let written = sqlx::query!(
            r#"
            UPDATE events
            SET state = 'quarantined', reason = ?2
            WHERE seq IN (SELECT value FROM jsonb_each(?1))
            "#,
            json(seqs),
            reason,
        )
        .execute(self)
        .await?;
        Ok(written.rows_affected())
    }
}
