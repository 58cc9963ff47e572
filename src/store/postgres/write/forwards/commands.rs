//! The events that a forward could not send.

use sqlx::PgConnection;

use super::{DEAD_KEPT, FailureColumns, FailureState, ForwardFailure};
use crate::StoreError;
use crate::error::all_written;
use crate::postgres::{column, rows};

/// Removes events that have ended.
pub(super) async fn settle(connection: &mut PgConnection, name: &str, seqs: &[i64]) -> Result<(), StoreError> {
    if seqs.is_empty() {
        return Ok(());
    }
    sqlx::query!("DELETE FROM forward_failures WHERE forward = $1 AND seq = ANY($2)", name, seqs,)
        .execute(connection)
        .await?;
    Ok(())
}

/// Writes failures over those of the same events.
pub(super) async fn write_failures(
    connection: &mut PgConnection,
    name: &str,
    failures: &[ForwardFailure],
) -> Result<(), StoreError> {
    if failures.is_empty() {
        return Ok(());
    }
    let rows: Vec<FailureColumns> = rows(failures);
    let written = sqlx::query!(
        r#"
        INSERT INTO forward_failures (
            forward, seq, state, attempts, timeouts, refusals, replay, even_old, last_failed_at, next_attempt_at, class,
            status, error
        )
        SELECT $1, *
        FROM unnest(
            $2::int8[], $3::text[], $4::int4[], $5::int4[], $6::int4[], $7::bool[], $8::bool[], $9::timestamptz[],
            $10::timestamptz[], $11::text[], $12::int4[], $13::text[]
        )
        ON CONFLICT (forward, seq) DO UPDATE
        SET state = excluded.state, attempts = excluded.attempts, timeouts = excluded.timeouts,
            refusals = excluded.refusals, replay = excluded.replay, even_old = excluded.even_old,
            last_failed_at = excluded.last_failed_at, next_attempt_at = excluded.next_attempt_at,
            class = excluded.class, status = excluded.status, error = excluded.error
        "#,
        name,
        &column(&rows, |row| row.seq),
        column(&rows, |row| row.state.as_str()) as _,
        &column(&rows, |row| row.attempts),
        &column(&rows, |row| row.timeouts),
        &column(&rows, |row| row.refusals),
        &column(&rows, |row| row.replay),
        &column(&rows, |row| row.even_old),
        column(&rows, |row| row.last_failed_at) as _,
        column(&rows, |row| row.next_attempt_at) as _,
        column(&rows, |row| row.class.as_str()) as _,
        column(&rows, |row| row.status) as _,
        column(&rows, |row| row.error.as_str()) as _,
    )
    .execute(&mut *connection)
    .await?;
    all_written("forward_failures", failures.len(), written.rows_affected())?;
    if failures.iter().any(|failure| failure.state == FailureState::Dead) {
        sqlx::query!(
            r#"
            DELETE FROM forward_failures
            WHERE forward = $1 AND state = 'dead' AND seq <= (
                SELECT seq
                FROM forward_failures
                WHERE forward = $1 AND state = 'dead'
                ORDER BY seq DESC
                LIMIT 1 OFFSET $2
            )
            "#,
            name,
            DEAD_KEPT,
        )
        .execute(connection)
        .await?;
    }
    Ok(())
}
