use std::collections::HashSet;

use async_trait::async_trait;
use sqlx::PgConnection;

use crate::StoreError;
use crate::postgres::column;
use crate::write::events::{EventColumns, EventRows};
use domain::event::batch::LedgerRows;

#[async_trait]
impl EventRows for PgConnection {
    async fn take_numbers(&mut self, count: i64) -> Result<Option<i64>, StoreError> {
        let seq = sqlx::query_scalar!("UPDATE ledger_clock SET seq = seq + $1 WHERE id = 1 RETURNING seq", count)
            .fetch_optional(self)
            .await?;
        Ok(seq)
    }

    async fn append_events(&mut self, rows: &LedgerRows<'_>) -> Result<HashSet<i64>, StoreError> {
        let rows = Vec::from_iter(rows.iter().map(EventColumns::from));
        let written = sqlx::query_scalar!(
            r#"
            INSERT INTO events (
                seq, instance_id, event_type, message_id, chat_id, body, body_sha256,
                received_at, deliveries, last_received_at, signed, forwarded, state, reason, file_bytes,
                quoted_message_id
            )
            SELECT new.*
            FROM unnest(
                $1::int8[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::bytea[],
                $8::timestamptz[], $9::int8[], $10::timestamptz[], $11::bool[], $12::bool[], $13::text[],
                $14::text[], $15::int8[], $16::text[]
            ) AS new
            JOIN ledger_clock ON ledger_clock.id = 1
            ON CONFLICT (instance_id, body_sha256) DO UPDATE
            SET deliveries = events.deliveries + excluded.deliveries,
                last_received_at = greatest(events.last_received_at, excluded.last_received_at)
            RETURNING seq
            "#,
            &column(&rows, |row| row.seq),
            column(&rows, |row| row.instance_id) as _,
            column(&rows, |row| row.event_type) as _,
            column(&rows, |row| row.message_id) as _,
            column(&rows, |row| row.chat_id) as _,
            column(&rows, |row| row.body) as _,
            column(&rows, |row| row.body_sha256) as _,
            column(&rows, |row| row.received_at) as _,
            &column(&rows, |row| row.deliveries),
            column(&rows, |row| row.last_received_at) as _,
            &column(&rows, |row| row.signed),
            &column(&rows, |row| row.forwarded),
            column(&rows, |row| row.state) as _,
            column(&rows, |row| row.reason) as _,
            column(&rows, |row| row.file_bytes) as _,
            column(&rows, |row| row.quoted_message_id) as _,
        )
        .fetch_all(self)
        .await?;
        Ok(written.into_iter().collect())
    }

    async fn set_aside(&mut self, seqs: &[i64], reason: &str) -> Result<u64, StoreError> {
        let written =
            sqlx::query!("UPDATE events SET state = 'quarantined', reason = $2 WHERE seq = ANY($1)", seqs, reason);
        Ok(written.execute(self).await?.rows_affected())
    }
}
