use async_trait::async_trait;
use sqlx::Postgres;

use crate::StoreError;
use crate::read::ReadTransaction;
use crate::read::instances::{InstanceQueries, InstanceReport, InstanceRow, QUARANTINED_COUNTED};
use domain::instance::InstanceId;
use domain::time::timestamp::Timestamp;

#[async_trait]
impl InstanceQueries for ReadTransaction<Postgres> {
    async fn known_instances(&mut self) -> Result<Vec<InstanceId>, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"
            WITH RECURSIVE known (instance_id) AS (
                SELECT min(instance_id) FROM events
                UNION ALL
                SELECT (SELECT min(instance_id) FROM events WHERE events.instance_id > known.instance_id)
                FROM known
                WHERE known.instance_id IS NOT NULL
            )
            SELECT instance_id AS "instance_id!: InstanceId" FROM known WHERE instance_id IS NOT NULL
            "#
        )
        .fetch_all(&mut **self)
        .await?)
    }

    async fn instance_reports(
        &mut self,
        instances: &[InstanceId],
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<InstanceReport>, StoreError> {
        let rows = sqlx::query_as!(
            InstanceRow,
            r#"
            SELECT
                wanted.instance_id AS "instance_id!: _",
                first.body_sha256 AS first_sha256,
                first.received_at AS "first_received_at: _",
                last.body_sha256 AS last_sha256,
                last.received_at AS "last_received_at: _",
                latest.occurred_at AS "last_message_at?: _",
                today.incoming AS "incoming!",
                today.outgoing AS "outgoing!",
                counted.quarantined AS "quarantined!"
            FROM unnest($1::text[]) AS wanted (instance_id)
            CROSS JOIN LATERAL (
                SELECT body_sha256, received_at
                FROM events
                WHERE instance_id = wanted.instance_id
                ORDER BY seq
                LIMIT 1
            ) AS first
            CROSS JOIN LATERAL (
                SELECT body_sha256, received_at
                FROM events
                WHERE instance_id = wanted.instance_id
                ORDER BY seq DESC
                LIMIT 1
            ) AS last
            LEFT JOIN LATERAL (
                SELECT occurred_at
                FROM messages
                WHERE instance_id = wanted.instance_id AND NOT is_service
                ORDER BY occurred_at DESC, seq DESC
                LIMIT 1
            ) AS latest ON TRUE
            CROSS JOIN LATERAL (
                SELECT
                    count(*) FILTER (WHERE NOT from_me) AS incoming,
                    count(*) FILTER (WHERE from_me) AS outgoing
                FROM messages
                WHERE instance_id = wanted.instance_id AND occurred_at >= $2 AND occurred_at < $3 AND NOT is_service
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
            since as _,
            until as _,
            QUARANTINED_COUNTED,
        )
        .fetch_all(&mut **self)
        .await?;
        Ok(rows.into_iter().map(InstanceReport::from).collect())
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
            SELECT last.instance_id AS "instance_id!: InstanceId", last.received_at AS "received_at!: Timestamp"
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
        Ok(rows.into_iter().map(|row| (row.instance_id, row.received_at)).collect())
    }
}
