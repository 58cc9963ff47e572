use async_trait::async_trait;
use sqlx::Sqlite;

use crate::StoreError;
use crate::read::ReadTransaction;
use crate::read::instances::{InstanceQueries, InstanceReport, InstanceRow, QUARANTINED_COUNTED};
use crate::sqlite::json;
use domain::instance::InstanceId;
use domain::time::timestamp::Timestamp;

#[async_trait]
impl InstanceQueries for ReadTransaction<Sqlite> {
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
            SELECT instance_id AS "instance_id!: InstanceId" FROM known WHERE known.instance_id IS NOT NULL
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
                first.instance_id AS "instance_id!: _",
                first.body_sha256 AS "first_sha256!: Vec<u8>",
                first.received_at AS "first_received_at!: _",
                last.body_sha256 AS "last_sha256!: Vec<u8>",
                last.received_at AS "last_received_at!: _",
                (
                    SELECT max(occurred_at) FROM messages WHERE instance_id = wanted.value AND NOT is_service
                ) AS "last_message_at: _",
                (
                    SELECT count(*) FROM messages
                    WHERE instance_id = wanted.value AND occurred_at >= ?2 AND occurred_at < ?3 AND NOT from_me
                        AND NOT is_service
                ) AS "incoming!: i64",
                (
                    SELECT count(*) FROM messages
                    WHERE instance_id = wanted.value AND occurred_at >= ?2 AND occurred_at < ?3 AND from_me
                        AND NOT is_service
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
            json(instances),
            since,
            until,
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
            CROSS JOIN events AS last
                ON last.seq = (SELECT max(seq) FROM events WHERE events.instance_id = known.instance_id)
            ORDER BY last.instance_id
            "#
        )
        .fetch_all(&mut **self)
        .await?;
        Ok(rows.into_iter().map(|row| (row.instance_id, row.received_at)).collect())
    }
}
