//! The events that a forward could not send.

use sqlx::SqliteConnection;

use super::{DEAD_KEPT, FailureColumns, FailureState, ForwardFailure};
use crate::StoreError;
use crate::error::all_written;
use crate::sqlite::json;

/// Removes events that have ended.
pub(super) async fn settle(connection: &mut SqliteConnection, name: &str, seqs: &[i64]) -> Result<(), StoreError> {
    if seqs.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "DELETE FROM forward_failures WHERE forward = ?1 AND seq IN (SELECT value FROM json_each(?2))",
        name,
        json(seqs),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes failures over those of the same events.
pub(super) async fn write_failures(
    connection: &mut SqliteConnection,
    name: &str,
    failures: &[ForwardFailure],
) -> Result<(), StoreError> {
    if failures.is_empty() {
        return Ok(());
    }
    let written = sqlx::query!(
        r#"
        INSERT INTO forward_failures (
            forward, seq, state, attempts, timeouts, refusals, replay, even_old, last_failed_at, next_attempt_at, class,
            status, error
        )
        SELECT
            ?1, value ->> 'seq', value ->> 'state', value ->> 'attempts', value ->> 'timeouts', value ->> 'refusals',
            value ->> 'replay', value ->> 'even_old', value ->> 'last_failed_at', value ->> 'next_attempt_at',
            value ->> 'class', value ->> 'status', value ->> 'error'
        FROM jsonb_each(?2)
        WHERE true
        ON CONFLICT (forward, seq) DO UPDATE
        SET state = excluded.state, attempts = excluded.attempts, timeouts = excluded.timeouts,
            refusals = excluded.refusals, replay = excluded.replay, even_old = excluded.even_old,
            last_failed_at = excluded.last_failed_at, next_attempt_at = excluded.next_attempt_at,
            class = excluded.class, status = excluded.status, error = excluded.error
        "#,
        name,
        json(failures.iter().map(FailureColumns::from)),
    )
    .execute(&mut *connection)
    .await?;
    all_written("forward_failures", failures.len(), written.rows_affected())?;
    if failures.iter().any(|failure| failure.state == FailureState::Dead) {
        sqlx::query!(
            r#"
            DELETE FROM forward_failures
            WHERE forward = ?1 AND state = 'dead' AND seq <= (
                SELECT seq
                FROM forward_failures
                WHERE forward = ?1 AND state = 'dead'
                ORDER BY seq DESC
                LIMIT 1 OFFSET ?2
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
