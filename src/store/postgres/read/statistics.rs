use async_trait::async_trait;
use sqlx::Postgres;
use time::OffsetDateTime;

use crate::StoreError;
use crate::postgres::column;
use crate::read::ReadTransaction;
use crate::read::statistics::{
    CountedChats, DeliveryCountRow, HourCountRow, MESSAGE_COUNTS_READ, MessageCountRow, ResponseCountRow,
    StatisticsQueries, WaitingRow, deliveries, limit_seconds,
};
use domain::statistics::{AckCount, DeliveryTime, HourCount, MessageCount, ResponseTime, WaitingChats};
use domain::time::calendar::Grid;
use domain::time::timestamp::Timestamp;
use domain::time::wait_limit::WaitLimit;

/// The slices of a grid as columns for `unnest`.
struct GridColumns {
    since: Vec<OffsetDateTime>,
    until: Vec<OffsetDateTime>,
    shift: Vec<i64>,
    origin: Vec<OffsetDateTime>,
}

impl From<&Grid> for GridColumns {
    fn from(Grid { slices, width }: &Grid) -> Self {
        Self {
            since: column(slices, |slice| slice.period.since.to_utc()),
            until: column(slices, |slice| slice.period.until.to_utc()),
            shift: column(slices, |slice| slice.shift),
            origin: column(slices, |slice| slice.origin(*width).to_utc()),
        }
    }
}

/// A LATERAL query counts and groups, so that each slice of each instance is a range of an index, whatever number of
/// rows the planner expects. Messages are grouped by the beginning of their unit, because its number costs twice as
/// much.
#[async_trait]
impl StatisticsQueries for ReadTransaction<Postgres> {
    async fn messages(&mut self, counted: &CountedChats, grid: &Grid) -> Result<Vec<MessageCount>, StoreError> {
        let GridColumns { since, until, shift, origin } = grid.into();
        let CountedChats { instances, kinds } = counted;
        let rows = sqlx::query_as!(
            MessageCountRow,
            r#"
            SELECT
                slice.place - 1 AS "slice!",
                floor((date_part('epoch', counted.unit) + slice.shift) / $5::int8)::int8 AS "number!",
                counted.from_me AS "from_me!",
                counted.type AS "kind?",
                sum(counted.messages)::int8 AS "messages!"
            FROM unnest($1::timestamptz[], $2::timestamptz[], $3::int8[], $6::timestamptz[])
                WITH ORDINALITY AS slice (since, until, shift, origin, place)
            CROSS JOIN unnest($4::text[]) AS instance (id)
            CROSS JOIN LATERAL (
                SELECT
                    date_bin(make_interval(secs => $5::int8), occurred_at, slice.origin) AS unit,
                    from_me,
                    type,
                    count(*) AS messages
                FROM messages
                WHERE instance_id = instance.id
                    AND occurred_at >= slice.since
                    AND occurred_at < slice.until
                    AND NOT is_service
                    AND kind = ANY($8::text[])
                GROUP BY 1, 2, 3
            ) AS counted
            GROUP BY 1, 2, 3, 4
            LIMIT $7
            "#,
            &since,
            &until,
            &shift,
            instances as _,
            grid.width,
            &origin,
            MESSAGE_COUNTS_READ,
            kinds as _,
        )
        .fetch_all(&mut **self)
        .await?;
        Ok(rows.into_iter().map(MessageCount::from).collect())
    }

    async fn hours(&mut self, counted: &CountedChats, grid: &Grid) -> Result<Vec<HourCount>, StoreError> {
        let GridColumns { since, until, shift, origin } = grid.into();
        let CountedChats { instances, kinds } = counted;
        let rows = sqlx::query_as!(
            HourCountRow,
            r#"
            SELECT
                floor((date_part('epoch', counted.unit) + slice.shift) / $5::int8)::int8 % 168 AS "hour!",
                counted.from_me AS "from_me!",
                sum(counted.messages)::int8 AS "messages!"
            FROM unnest($1::timestamptz[], $2::timestamptz[], $3::int8[], $6::timestamptz[])
                AS slice (since, until, shift, origin)
            CROSS JOIN unnest($4::text[]) AS instance (id)
            CROSS JOIN LATERAL (
                SELECT
                    date_bin(make_interval(secs => $5::int8), occurred_at, slice.origin) AS unit,
                    from_me,
                    count(*) AS messages
                FROM messages
                WHERE instance_id = instance.id
                    AND occurred_at >= slice.since
                    AND occurred_at < slice.until
                    AND NOT is_service
                    AND kind = ANY($7::text[])
                GROUP BY 1, 2
            ) AS counted
            GROUP BY 1, 2
            "#,
            &since,
            &until,
            &shift,
            instances as _,
            grid.width,
            &origin,
            kinds as _,
        )
        .fetch_all(&mut **self)
        .await?;
        Ok(rows.into_iter().map(HourCount::from).collect())
    }

    /// A time that is negative, because another clock is behind ours, counts as no time. The seconds are arrays,
    /// because there are nearly as many as messages.
    async fn deliveries(
        &mut self,
        counted: &CountedChats,
        grid: &Grid,
    ) -> Result<(Vec<AckCount>, Vec<DeliveryTime>), StoreError> {
        let GridColumns { since, until, shift, origin } = grid.into();
        let CountedChats { instances, kinds } = counted;
        let rows = sqlx::query_as!(
            DeliveryCountRow,
            r#"
            SELECT
                slice.place - 1 AS "slice!",
                floor((date_part('epoch', counted.unit) + slice.shift) / $5::int8)::int8 AS "number!",
                counted.ack_rank AS "ack_rank!",
                counted.messages AS "messages!",
                counted.delivered AS "delivered!",
                counted.read AS "read!"
            FROM unnest($1::timestamptz[], $2::timestamptz[], $3::int8[], $6::timestamptz[])
                WITH ORDINALITY AS slice (since, until, shift, origin, place)
            CROSS JOIN unnest($4::text[]) AS instance (id)
            CROSS JOIN LATERAL (
                SELECT
                    date_bin(make_interval(secs => $5::int8), occurred_at, slice.origin) AS unit,
                    ack_rank,
                    count(*) AS messages,
                    coalesce(
                        array_agg(greatest(floor(date_part('epoch', delivered_at - occurred_at)), 0)::int8)
                            FILTER (WHERE delivered_at IS NOT NULL),
                        '{}'
                    ) AS delivered,
                    coalesce(
                        array_agg(greatest(floor(date_part('epoch', read_at - occurred_at)), 0)::int8)
                            FILTER (WHERE read_at IS NOT NULL),
                        '{}'
                    ) AS read
                FROM messages
                WHERE from_me
                    AND NOT is_service
                    AND instance_id = instance.id
                    AND occurred_at >= slice.since
                    AND occurred_at < slice.until
                    AND kind = ANY($7::text[])
                GROUP BY 1, 2
            ) AS counted
            "#,
            &since,
            &until,
            &shift,
            instances as _,
            grid.width,
            &origin,
            kinds as _,
        )
        .fetch_all(&mut **self)
        .await?;
        Ok(deliveries(rows))
    }

    async fn response_times(
        &mut self,
        counted: &CountedChats,
        grid: &Grid,
        within: Option<WaitLimit>,
    ) -> Result<Vec<ResponseTime>, StoreError> {
        let GridColumns { since, until, shift, .. } = grid.into();
        let CountedChats { instances, kinds } = counted;
        let rows = sqlx::query_as!(
            ResponseCountRow,
            r#"
            SELECT
                counted.by_last AS "by_last!", counted.hour AS "hour!", counted.seconds AS "seconds!",
                counted.seconds_from_last AS "seconds_from_last!", counted.responses AS "responses!"
            FROM unnest($1::timestamptz[], $2::timestamptz[], $3::int8[]) AS slice (since, until, shift)
            CROSS JOIN unnest($4::text[]) AS instance (id)
            CROSS JOIN LATERAL (
                SELECT
                    FALSE AS by_last,
                    floor((date_part('epoch', waiting_since) + slice.shift) / $5::int8)::int8 % 168 AS hour,
                    seconds,
                    CASE WHEN seconds > $6::int8 THEN seconds_from_last ELSE seconds END AS seconds_from_last,
                    count(*) AS responses
                FROM responses
                WHERE instance_id = instance.id
                    AND waiting_since >= slice.since
                    AND waiting_since < slice.until
                    AND kind = ANY($7::text[])
                GROUP BY 2, 3, 4
                UNION ALL
                SELECT
                    TRUE,
                    floor((date_part('epoch', last_asked_at) + slice.shift) / $5::int8)::int8 % 168,
                    seconds,
                    seconds_from_last,
                    count(*)
                FROM responses
                WHERE $6::int8 IS NOT NULL
                    AND instance_id = instance.id
                    AND last_asked_at >= slice.since
                    AND last_asked_at < slice.until
                    AND kind = ANY($7::text[])
                    AND seconds_from_last < seconds
                    AND seconds > $6::int8
                GROUP BY 2, 3, 4
            ) AS counted
            "#,
            &since,
            &until,
            &shift,
            instances as _,
            grid.width,
            limit_seconds(within),
            kinds as _,
        )
        .fetch_all(&mut **self)
        .await?;
        Ok(rows.into_iter().map(ResponseTime::from).collect())
    }

    async fn waiting(&mut self, counted: &CountedChats, since: Timestamp) -> Result<WaitingChats, StoreError> {
        let CountedChats { instances, kinds } = counted;
        let row = sqlx::query_as!(
            WaitingRow,
            r#"
            SELECT
                coalesce(sum(waiting.chats), 0)::int8 AS "chats!",
                min(waiting.since) AS "since: Timestamp",
                coalesce(sum(waiting.longer), 0)::int8 AS "longer!"
            FROM unnest($1::text[]) AS instance (id)
            CROSS JOIN LATERAL (
                SELECT
                    count(*) FILTER (WHERE last_asked_at >= $2) AS chats,
                    min(CASE WHEN waiting_since >= $2 THEN waiting_since ELSE last_asked_at END)
                        FILTER (WHERE last_asked_at >= $2) AS since,
                    count(*) FILTER (WHERE last_asked_at < $2) AS longer
                FROM chats
                WHERE instance_id = instance.id AND waiting_since IS NOT NULL AND kind = ANY($3::text[])
            ) AS waiting
            "#,
            instances as _,
            since as _,
            kinds as _,
        )
        .fetch_one(&mut **self)
        .await?;
        Ok(row.into())
    }
}
