use async_trait::async_trait;
use serde::Serialize;
use sqlx::Sqlite;

use crate::StoreError;
use crate::read::ReadTransaction;
use crate::read::statistics::{
    DeliveryCountRow, HourCountRow, MESSAGE_COUNTS_READ, MessageCountRow, ResponseCountRow, StatisticsQueries,
    deliveries, natural,
};
use crate::sqlite::json;
use domain::instance::InstanceId;
use domain::statistics::{AckCount, DeliveryTime, HourCount, MessageCount, ResponseTime, WaitingChats};
use domain::time::calendar::Grid;
use domain::time::timestamp::Timestamp;

/// Parses an array of numbers that SQLite made.
fn numbers(json: &str) -> Result<Vec<i64>, StoreError> {
    serde_json::from_str(json).map_err(|error| StoreError::Unavailable(format!("the seconds are no numbers: {error}")))
}

/// A slice of a grid.
#[derive(Serialize)]
struct SliceRow {
    place: usize,
    since: Timestamp,
    until: Timestamp,
    shift: i64,
}

/// Returns the slices of a grid and the instances to count in, for `json_each`.
fn parameters(instances: &[InstanceId], grid: &Grid) -> (String, String) {
    let slices = grid.slices.iter().enumerate().map(|(place, slice)| SliceRow {
        place,
        since: slice.period.since,
        until: slice.period.until,
        shift: slice.shift,
    });
    (json(slices), json(instances))
}

/// `CROSS JOIN` keeps the order of the tables, so each slice of each instance is a range of an index.
#[async_trait]
impl StatisticsQueries for ReadTransaction<Sqlite> {
    async fn messages(&mut self, instances: &[InstanceId], grid: &Grid) -> Result<Vec<MessageCount>, StoreError> {
        let (slices, instances) = parameters(instances, grid);
        let rows = sqlx::query_as!(
            MessageCountRow,
            r#"
            WITH slice AS MATERIALIZED (
                SELECT
                    value ->> 'place' AS place,
                    value ->> 'since' AS since,
                    value ->> 'until' AS until,
                    value ->> 'shift' AS shift
                FROM json_each(?1)
            )
            SELECT
                slice.place AS "slice!: i64",
                (unixepoch(messages.occurred_at) + slice.shift) / ?3 AS "number!: i64",
                messages.from_me AS "from_me!: bool",
                messages.type AS "kind: String",
                count(*) AS "messages!: i64"
            FROM slice
            CROSS JOIN json_each(?2) AS instance
            CROSS JOIN messages
                ON messages.instance_id = instance.value
                AND messages.occurred_at >= slice.since
                AND messages.occurred_at < slice.until
                AND NOT messages.is_service
            GROUP BY 1, 2, 3, 4
            LIMIT ?4
            "#,
            slices,
            instances,
            grid.width,
            MESSAGE_COUNTS_READ,
        )
        .fetch_all(&mut **self)
        .await?;
        Ok(rows.into_iter().map(MessageCount::from).collect())
    }

    async fn hours(&mut self, instances: &[InstanceId], grid: &Grid) -> Result<Vec<HourCount>, StoreError> {
        let (slices, instances) = parameters(instances, grid);
        let rows = sqlx::query_as!(
            HourCountRow,
            r#"
            WITH slice AS MATERIALIZED (
                SELECT value ->> 'since' AS since, value ->> 'until' AS until, value ->> 'shift' AS shift
                FROM json_each(?1)
            )
            SELECT
                (unixepoch(messages.occurred_at) + slice.shift) / ?3 % 168 AS "hour!: i64",
                messages.from_me AS "from_me!: bool",
                count(*) AS "messages!: i64"
            FROM slice
            CROSS JOIN json_each(?2) AS instance
            CROSS JOIN messages
                ON messages.instance_id = instance.value
                AND messages.occurred_at >= slice.since
                AND messages.occurred_at < slice.until
                AND NOT messages.is_service
            GROUP BY 1, 2
            "#,
            slices,
            instances,
            grid.width,
        )
        .fetch_all(&mut **self)
        .await?;
        Ok(rows.into_iter().map(HourCount::from).collect())
    }

    /// A time that is negative, because another clock is behind ours, counts as no time. The milliseconds are the three
    /// digits before the Z.
    async fn deliveries(
        &mut self,
        instances: &[InstanceId],
        grid: &Grid,
    ) -> Result<(Vec<AckCount>, Vec<DeliveryTime>), StoreError> {
        let (slices, instances) = parameters(instances, grid);
        let rows = sqlx::query!(
            r#"
            WITH slice AS MATERIALIZED (
                SELECT
                    value ->> 'place' AS place,
                    value ->> 'since' AS since,
                    value ->> 'until' AS until,
                    value ->> 'shift' AS shift
                FROM json_each(?1)
            )
            SELECT
                slice.place AS "slice!: i64",
                (unixepoch(messages.occurred_at) + slice.shift) / ?3 AS "number!: i64",
                messages.ack_rank AS "ack_rank!: i16",
                count(*) AS "messages!: i64",
                json_group_array(
                    max(
                        (
                            (unixepoch(messages.delivered_at) - unixepoch(messages.occurred_at)) * 1000
                            + substr(messages.delivered_at, -4, 3) - substr(messages.occurred_at, -4, 3)
                        ) / 1000,
                        0
                    )
                ) FILTER (WHERE messages.delivered_at IS NOT NULL) AS "delivered!: String",
                json_group_array(
                    max(
                        (
                            (unixepoch(messages.read_at) - unixepoch(messages.occurred_at)) * 1000
                            + substr(messages.read_at, -4, 3) - substr(messages.occurred_at, -4, 3)
                        ) / 1000,
                        0
                    )
                ) FILTER (WHERE messages.read_at IS NOT NULL) AS "read!: String"
            FROM slice
            CROSS JOIN json_each(?2) AS instance
            CROSS JOIN messages
                ON messages.instance_id = instance.value
                AND messages.from_me
                AND messages.occurred_at >= slice.since
                AND messages.occurred_at < slice.until
                AND NOT messages.is_service
            GROUP BY 1, 2, 3
            "#,
            slices,
            instances,
            grid.width,
        )
        .fetch_all(&mut **self)
        .await?;
        let rows = rows.into_iter().map(|row| {
            let (delivered, read) = (numbers(&row.delivered)?, numbers(&row.read)?);
            let (slice, number, ack_rank, messages) = (row.slice, row.number, row.ack_rank, row.messages);
            Ok(DeliveryCountRow { slice, number, ack_rank, messages, delivered, read })
        });
        Ok(deliveries(rows.collect::<Result<_, StoreError>>()?))
    }

    async fn response_times(&mut self, instances: &[InstanceId], grid: &Grid) -> Result<Vec<ResponseTime>, StoreError> {
        let (slices, instances) = parameters(instances, grid);
        let rows = sqlx::query_as!(
            ResponseCountRow,
            r#"
            WITH slice AS MATERIALIZED (
                SELECT value ->> 'since' AS since, value ->> 'until' AS until, value ->> 'shift' AS shift
                FROM json_each(?1)
            )
            SELECT
                (unixepoch(responses.waiting_since) + slice.shift) / ?3 % 168 AS "hour!: i64",
                responses.seconds AS "seconds!: i64",
                count(*) AS "responses!: i64"
            FROM slice
            CROSS JOIN json_each(?2) AS instance
            CROSS JOIN responses
                ON responses.instance_id = instance.value
                AND responses.waiting_since >= slice.since
                AND responses.waiting_since < slice.until
            GROUP BY 1, 2
            "#,
            slices,
            instances,
            grid.width,
        )
        .fetch_all(&mut **self)
        .await?;
        Ok(rows.into_iter().map(ResponseTime::from).collect())
    }

    async fn waiting(&mut self, instances: &[InstanceId]) -> Result<WaitingChats, StoreError> {
        let row = sqlx::query!(
            r#"
            SELECT count(*) AS "chats!: i64", min(chats.waiting_since) AS "since: Timestamp"
            FROM json_each(?1) AS instance
            CROSS JOIN chats ON chats.instance_id = instance.value AND chats.waiting_since IS NOT NULL
            "#,
            json(instances),
        )
        .fetch_one(&mut **self)
        .await?;
        Ok(WaitingChats { chats: natural(row.chats), since: row.since })
    }
}
