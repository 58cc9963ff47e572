use async_trait::async_trait;
use serde::Serialize;
use sqlx::Sqlite;

use crate::StoreError;
use crate::read::ReadTransaction;
use crate::read::statistics::{
    CountedChats, DeliveryCountRow, HourCountRow, MESSAGE_COUNTS_READ, MessageCountRow, ResponseCountRow,
    StatisticsQueries, WaitingRow, deliveries, limit_seconds,
};
use crate::sqlite::json;
use domain::statistics::{AckCount, DeliveryTime, HourCount, MessageCount, ResponseTime, WaitingChats};
use domain::time::calendar::Grid;
use domain::time::timestamp::Timestamp;
use domain::time::wait_limit::WaitLimit;

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

/// Returns the slices of a grid, and the instances and kinds of chats to count in, for `json_each`.
fn parameters(counted: &CountedChats, grid: &Grid) -> (String, String, String) {
    let slices = grid.slices.iter().enumerate().map(|(place, slice)| SliceRow {
        place,
        since: slice.period.since,
        until: slice.period.until,
        shift: slice.shift,
    });
    (json(slices), json(&counted.instances), json(&counted.kinds))
}

/// `CROSS JOIN` keeps the order of the tables, so each slice of each instance is a range of an index.
#[async_trait]
impl StatisticsQueries for ReadTransaction<Sqlite> {
    async fn messages(&mut self, counted: &CountedChats, grid: &Grid) -> Result<Vec<MessageCount>, StoreError> {
        let (slices, instances, kinds) = parameters(counted, grid);
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
                AND messages.kind IN (SELECT value FROM json_each(?5))
            GROUP BY 1, 2, 3, 4
            LIMIT ?4
            "#,
            slices,
            instances,
            grid.width,
            MESSAGE_COUNTS_READ,
            kinds,
        )
        .fetch_all(&mut **self)
        .await?;
        Ok(rows.into_iter().map(MessageCount::from).collect())
    }

    async fn hours(&mut self, counted: &CountedChats, grid: &Grid) -> Result<Vec<HourCount>, StoreError> {
        let (slices, instances, kinds) = parameters(counted, grid);
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
                AND messages.kind IN (SELECT value FROM json_each(?4))
            GROUP BY 1, 2
            "#,
            slices,
            instances,
            grid.width,
            kinds,
        )
        .fetch_all(&mut **self)
        .await?;
        Ok(rows.into_iter().map(HourCount::from).collect())
    }

    /// A time that is negative, because another clock is behind ours, counts as no time. The milliseconds are the three
    /// digits before the Z.
    async fn deliveries(
        &mut self,
        counted: &CountedChats,
        grid: &Grid,
    ) -> Result<(Vec<AckCount>, Vec<DeliveryTime>), StoreError> {
        let (slices, instances, kinds) = parameters(counted, grid);
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
                AND messages.kind IN (SELECT value FROM json_each(?4))
            GROUP BY 1, 2, 3
            "#,
            slices,
            instances,
            grid.width,
            kinds,
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

    async fn response_times(
        &mut self,
        counted: &CountedChats,
        grid: &Grid,
        within: Option<WaitLimit>,
    ) -> Result<Vec<ResponseTime>, StoreError> {
        let (slices, instances, kinds) = parameters(counted, grid);
        let rows = sqlx::query_as!(
            ResponseCountRow,
            r#"
            WITH slice AS MATERIALIZED (
                SELECT value ->> 'since' AS since, value ->> 'until' AS until, value ->> 'shift' AS shift
                FROM json_each(?1)
            )
            SELECT
                FALSE AS "by_last!: bool",
                (unixepoch(responses.waiting_since) + slice.shift) / ?3 % 168 AS "hour!: i64",
                responses.seconds AS "seconds!: i64",
                CASE
                    WHEN responses.seconds > ?4 THEN responses.seconds_from_last
                    ELSE responses.seconds
                END AS "seconds_from_last!: i64",
                count(*) AS "responses!: i64"
            FROM slice
            CROSS JOIN json_each(?2) AS instance
            CROSS JOIN responses
                ON responses.instance_id = instance.value
                AND responses.waiting_since >= slice.since
                AND responses.waiting_since < slice.until
                AND responses.kind IN (SELECT value FROM json_each(?5))
            GROUP BY 2, 3, 4
            UNION ALL
            SELECT
                TRUE,
                (unixepoch(responses.last_asked_at) + slice.shift) / ?3 % 168 AS hour,
                responses.seconds,
                responses.seconds_from_last,
                count(*)
            FROM slice
            CROSS JOIN json_each(?2) AS instance
            CROSS JOIN responses
                ON responses.instance_id = instance.value
                AND responses.last_asked_at >= slice.since
                AND responses.last_asked_at < slice.until
                AND responses.kind IN (SELECT value FROM json_each(?5))
                AND responses.seconds_from_last < responses.seconds
            WHERE ?4 IS NOT NULL AND responses.seconds > ?4
            GROUP BY 2, 3, 4
            "#,
            slices,
            instances,
            grid.width,
            limit_seconds(within),
            kinds,
        )
        .fetch_all(&mut **self)
        .await?;
        Ok(rows.into_iter().map(ResponseTime::from).collect())
    }

    async fn waiting(&mut self, counted: &CountedChats, since: Timestamp) -> Result<WaitingChats, StoreError> {
        let row = sqlx::query_as!(
            WaitingRow,
            r#"
            SELECT
                count(*) FILTER (WHERE chats.last_asked_at >= ?2) AS "chats!: i64",
                min(CASE WHEN chats.waiting_since >= ?2 THEN chats.waiting_since ELSE chats.last_asked_at END)
                    FILTER (WHERE chats.last_asked_at >= ?2) AS "since: Timestamp",
                count(*) FILTER (WHERE chats.last_asked_at < ?2) AS "longer!: i64"
            FROM json_each(?1) AS instance
            CROSS JOIN chats
                ON chats.instance_id = instance.value
                AND chats.waiting_since IS NOT NULL
                AND +chats.kind IN (SELECT value FROM json_each(?3))
            "#,
            json(&counted.instances),
            since,
            json(&counted.kinds),
        )
        .fetch_one(&mut **self)
        .await?;
        Ok(row.into())
    }
}
