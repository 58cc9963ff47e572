use async_trait::async_trait;
use sqlx::Executor;

use crate::StoreError;
use crate::postgres::PostgresStore;
use crate::write::forwards::{
    AckOwner, COUNTED_LAG, DEAD_KEPT, FailureColumns, FailureState, ForwardClaim, ForwardColumns, ForwardFailure,
    ForwardReport, ForwardSave, ForwardSignal, ForwardState, ForwardStore, ResumeFrom, SaveColumns,
};
use domain::forward::selection::LedgerHead;
use domain::forward::{ForwardName, PAUSED_BY_OWNER};
use domain::time::timestamp::Timestamp;

mod commands;
mod ledger;

/// Lets the commit of this transaction return before it is on disk. A crash of the server undoes at most a second of them,
/// and what they said was sent is sent again.
const WITHOUT_SYNC: &str = "SET LOCAL synchronous_commit = off";

#[async_trait]
impl ForwardStore for PostgresStore {
    async fn register_forward(&self, name: &ForwardName) -> Result<(), StoreError> {
        let name = name.as_str();
        let mut unit = self.begin(&self.job_writer).await?;
        sqlx::query!(
            r#"
            INSERT INTO forwards (name, position)
            SELECT $1, seq FROM ledger_clock WHERE id = 1
            ON CONFLICT (name) DO NOTHING
            "#,
            name,
        )
        .execute(&mut *unit)
        .await?;
        unit.commit().await
    }

    async fn claim_forward(&self, claim: &ForwardClaim) -> Result<Option<ForwardState>, StoreError> {
        let name = claim.name.as_str();
        let mut unit = self.begin(&self.job_writer).await?;
        let row = sqlx::query_as!(
            ForwardColumns,
            r#"
            UPDATE forwards
            SET lease_until = $3, lease_token = lease_token + 1
            WHERE name = $1 AND NOT paused AND (lease_until IS NULL OR lease_until <= $2 OR lease_until > $4)
            RETURNING
                lease_token,
                revision,
                position,
                finished,
                replay_position,
                replay_until,
                replay_finished,
                replay_even_old,
                stopped_since AS "stopped_since: Timestamp",
                stopped_reason
            "#,
            name,
            claim.now as _,
            claim.lease_until as _,
            claim.lease_absurd_after as _,
        )
        .fetch_optional(&mut *unit)
        .await?;
        unit.commit().await?;
        row.map(ForwardState::try_from).transpose()
    }

    async fn save_forward(&self, save: &ForwardSave) -> Result<Option<ForwardSignal>, StoreError> {
        let name = save.name.as_str();
        let columns = SaveColumns::from(save);
        let mut unit = self.begin(&self.job_writer).await?;
        unit.execute(WITHOUT_SYNC).await?;
        let signal = sqlx::query_as!(
            ForwardSignal,
            r#"
            UPDATE forwards
            SET position = $4, finished = $5, lease_until = $6, stopped_since = $7, stopped_reason = $8,
                delivered = delivered + $9, skipped_stale = skipped_stale + $10, given_up = given_up + $11,
                replay_position = CASE WHEN revision = $3 THEN $12::int8 ELSE replay_position END,
                replay_until = CASE WHEN revision = $3 THEN $13::int8 ELSE replay_until END,
                replay_finished = CASE WHEN revision = $3 THEN $14::text ELSE replay_finished END,
                replay_even_old = CASE WHEN revision = $3 THEN $15::bool ELSE replay_even_old END
            WHERE name = $1 AND lease_token = $2
            RETURNING paused, revision, lease_token, lease_until AS "lease_until: Timestamp"
            "#,
            name,
            save.lease_token,
            save.revision,
            columns.position,
            columns.finished,
            save.lease_until as _,
            columns.stopped_since as _,
            columns.stopped_reason,
            save.counts.delivered,
            save.counts.stale,
            save.counts.given_up,
            columns.replay_position,
            columns.replay_until,
            columns.replay_finished,
            columns.replay_even_old,
        )
        .fetch_optional(&mut *unit)
        .await?;
        if signal.is_some() {
            commands::settle(&mut unit, name, &save.settled).await?;
            commands::write_failures(&mut unit, name, &save.failures).await?;
        }
        unit.commit().await?;
        Ok(signal)
    }

    async fn forward_signal(&self, name: &ForwardName) -> Result<Option<ForwardSignal>, StoreError> {
        let name = name.as_str();
        Ok(sqlx::query_as!(
            ForwardSignal,
            r#"
            SELECT paused, revision, lease_token, lease_until AS "lease_until: Timestamp"
            FROM forwards
            WHERE name = $1
            "#,
            name,
        )
        .fetch_optional(&self.read_pool)
        .await?)
    }

    async fn forwards(&self) -> Result<Vec<ForwardReport>, StoreError> {
        Ok(sqlx::query_as!(
            ForwardReport,
            r#"
            SELECT
                name,
                position,
                paused,
                pause_reason,
                replay_until IS NOT NULL AS "replaying!",
                stopped_since AS "stopped_since: Timestamp",
                stopped_reason,
                delivered,
                skipped_stale AS stale,
                given_up,
                (
                    SELECT count(*) FROM forward_failures WHERE forward = forwards.name AND state = 'waiting'
                ) AS "waiting!",
                (SELECT count(*) FROM forward_failures WHERE forward = forwards.name AND state = 'dead') AS "dead!",
                (
                    SELECT count(*) FROM (SELECT FROM events WHERE seq > position ORDER BY seq LIMIT $1) AS later
                ) AS "lag_events!",
                (
                    SELECT received_at FROM events WHERE seq > position ORDER BY seq LIMIT 1
                ) AS "lag_since: Timestamp"
            FROM forwards
            ORDER BY name
            "#,
            COUNTED_LAG,
        )
        .fetch_all(&self.read_pool)
        .await?)
    }

    async fn forward_failures(
        &self,
        name: &ForwardName,
        state: Option<FailureState>,
        limit: u32,
    ) -> Result<Vec<ForwardFailure>, StoreError> {
        let (name, state) = (name.as_str(), state.map(FailureState::as_str));
        let rows = sqlx::query_as!(
            FailureColumns,
            r#"
            SELECT
                seq,
                state,
                attempts,
                timeouts,
                refusals,
                replay,
                even_old,
                last_failed_at AS "last_failed_at: Timestamp",
                next_attempt_at AS "next_attempt_at: Timestamp",
                class,
                status,
                error
            FROM forward_failures
            WHERE forward = $1 AND ($2::text IS NULL OR state = $2)
            ORDER BY seq
            LIMIT $3
            "#,
            name,
            state,
            i64::from(limit),
        );
        rows.fetch_all(&self.read_pool).await?.into_iter().map(ForwardFailure::try_from).collect()
    }

    async fn ledger_heads(&self, after: i64, until: i64, limit: u32) -> Result<Vec<LedgerHead>, StoreError> {
        ledger::heads(&self.read_pool, after, until, limit).await
    }

    async fn ledger_heads_of(&self, seqs: &[i64]) -> Result<Vec<LedgerHead>, StoreError> {
        ledger::heads_of(&self.read_pool, seqs).await
    }

    async fn ledger_bodies(&self, seqs: &[i64]) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
        ledger::bodies(&self.read_pool, seqs).await
    }

    async fn ack_owners(&self, ids: &[String]) -> Result<Vec<AckOwner>, StoreError> {
        ledger::ack_owners(&self.read_pool, ids).await
    }

    async fn pause_forward(&self, name: &ForwardName) -> Result<bool, StoreError> {
        let name = name.as_str();
        let mut unit = self.begin(&self.job_writer).await?;
        let done = sqlx::query!(
            "UPDATE forwards SET paused = TRUE, pause_reason = $2, revision = revision + 1 WHERE name = $1",
            name,
            PAUSED_BY_OWNER,
        );
        let done = done.execute(&mut *unit).await?.rows_affected();
        unit.commit().await?;
        Ok(done == 1)
    }

    async fn resume_forward(&self, name: &ForwardName, from: ResumeFrom) -> Result<bool, StoreError> {
        let (name, from_now) = (name.as_str(), from == ResumeFrom::Now);
        let mut unit = self.begin(&self.job_writer).await?;
        let done = sqlx::query!(
            r#"
            UPDATE forwards
            SET paused = FALSE, pause_reason = NULL, stopped_since = NULL, stopped_reason = NULL,
                revision = revision + 1, lease_token = lease_token + 1, lease_until = NULL,
                position = CASE WHEN $2::bool THEN (SELECT seq FROM ledger_clock WHERE id = 1) ELSE position END,
                finished = CASE WHEN $2 THEN '[]' ELSE finished END,
                replay_position = CASE WHEN $2 THEN NULL ELSE replay_position END,
                replay_until = CASE WHEN $2 THEN NULL ELSE replay_until END
            WHERE name = $1
            "#,
            name,
            from_now,
        );
        let done = done.execute(&mut *unit).await?.rows_affected();
        if from_now {
            sqlx::query!("DELETE FROM forward_failures WHERE forward = $1 AND state = 'waiting'", name)
                .execute(&mut *unit)
                .await?;
        }
        unit.commit().await?;
        Ok(done == 1)
    }

    async fn retry_forward(&self, name: &ForwardName, dead: bool, now: Timestamp) -> Result<u64, StoreError> {
        let name = name.as_str();
        let mut unit = self.begin(&self.job_writer).await?;
        let due = sqlx::query!(
            r#"
            UPDATE forward_failures
            SET state = 'waiting', timeouts = 0, refusals = 0, next_attempt_at = $3
            WHERE forward = $1 AND (state = 'waiting' OR $2)
            "#,
            name,
            dead,
            now as _,
        );
        let due = due.execute(&mut *unit).await?.rows_affected();
        sqlx::query!("UPDATE forwards SET revision = revision + 1 WHERE name = $1", name).execute(&mut *unit).await?;
        unit.commit().await?;
        Ok(due)
    }

    async fn replay_forward(&self, name: &ForwardName, after: i64, even_old: bool) -> Result<bool, StoreError> {
        let name = name.as_str();
        let mut unit = self.begin(&self.job_writer).await?;
        let done = sqlx::query!(
            r#"
            UPDATE forwards
            SET replay_position = $2, replay_until = position, replay_finished = '[]', replay_even_old = $3,
                revision = revision + 1
            WHERE name = $1 AND replay_until IS NULL
            "#,
            name,
            after,
            even_old,
        );
        let done = done.execute(&mut *unit).await?.rows_affected();
        unit.commit().await?;
        Ok(done == 1)
    }
}
