use async_trait::async_trait;
use sqlx::PgConnection;

use crate::StoreError;
use crate::postgres::{column, rows};
use crate::write::responses::{AroundColumns, ResponseColumns, ResponseRows};
use domain::chat::response_tracker::{AnswersAround, Questions, Response, WaitSpan};
use domain::chat::{ChatKey, MessagePosition};
use domain::instance::InstanceId;
use domain::time::timestamp::Timestamp;

/// A chat's messages are looked up between two positions of an index that begins with the chat, and in its order. With
/// only `chat_id = …` and `ORDER BY occurred_at`, PostgreSQL may scan the times of a whole instance if a table has no
/// statistics.
#[async_trait]
impl ResponseRows for PgConnection {
    async fn around(&mut self, touched: &[(ChatKey, Timestamp)]) -> Result<Vec<AnswersAround>, StoreError> {
        // A range that has no end is not looked up, because PostgreSQL would read the whole chat for a bound that is NULL or
        // that lies before the first message.
        let rows = sqlx::query_as!(
            AroundColumns,
            r#"
            SELECT
                key.instance_id AS "instance_id!: InstanceId", key.chat_id AS "chat_id!",
                before.occurred_at AS "before?: Timestamp",
                next.occurred_at AS "next_at?: Timestamp", next.id AS "next_id?", next.seq AS "next_seq?",
                asked.occurred_at AS "asked_at?: Timestamp", asked.id AS "asked_id?", asked.seq AS "asked_seq?",
                (
                    SELECT messages.occurred_at
                    FROM messages
                    WHERE messages.instance_id = key.instance_id
                        AND (messages.chat_id, messages.occurred_at)
                            >= (key.chat_id, coalesce(before.next_second, '-infinity'))
                        AND (messages.chat_id, messages.occurred_at) < (key.chat_id, next.next_second)
                        AND next.next_second IS NOT NULL
                        AND NOT messages.from_me
                        AND NOT messages.is_service
                        AND messages.revoked_at IS NULL
                    ORDER BY messages.chat_id DESC, messages.occurred_at DESC
                    LIMIT 1
                ) AS "last_asked_at?: Timestamp",
                after.occurred_at AS "after_at?: Timestamp", after.id AS "after_id?", after.seq AS "after_seq?",
                asked_after.occurred_at AS "asked_after_at?: Timestamp",
                asked_after.id AS "asked_after_id?", asked_after.seq AS "asked_after_seq?",
                (
                    SELECT messages.occurred_at
                    FROM messages
                    WHERE messages.instance_id = key.instance_id
                        AND (messages.chat_id, messages.occurred_at) >= (key.chat_id, next.next_second)
                        AND (messages.chat_id, messages.occurred_at) < (key.chat_id, after.next_second)
                        AND after.next_second IS NOT NULL
                        AND NOT messages.from_me
                        AND NOT messages.is_service
                        AND messages.revoked_at IS NULL
                    ORDER BY messages.chat_id DESC, messages.occurred_at DESC
                    LIMIT 1
                ) AS "last_asked_after_at?: Timestamp"
            FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS key (instance_id, chat_id, second)
            LEFT JOIN LATERAL (
                SELECT
                    messages.occurred_at,
                    date_trunc('second', messages.occurred_at) + interval '1 second' AS next_second
                FROM messages
                WHERE messages.instance_id = key.instance_id
                    AND (messages.chat_id, messages.occurred_at) >= (key.chat_id, '-infinity')
                    AND (messages.chat_id, messages.occurred_at) < (key.chat_id, key.second)
                    AND messages.from_me
                    AND NOT messages.is_service
                ORDER BY messages.chat_id DESC, messages.occurred_at DESC, messages.seq DESC
                LIMIT 1
            ) AS before ON true
            LEFT JOIN LATERAL (
                SELECT
                    messages.occurred_at, messages.id, messages.seq,
                    date_trunc('second', messages.occurred_at) + interval '1 second' AS next_second
                FROM messages
                WHERE messages.instance_id = key.instance_id
                    AND (messages.chat_id, messages.occurred_at) >= (key.chat_id, key.second)
                    AND (messages.chat_id, messages.occurred_at) < (key.chat_id, 'infinity')
                    AND messages.from_me
                    AND NOT messages.is_service
                ORDER BY messages.chat_id, messages.occurred_at, messages.seq
                LIMIT 1
            ) AS next ON true
            LEFT JOIN LATERAL (
                SELECT messages.occurred_at, messages.id, messages.seq
                FROM messages
                WHERE messages.instance_id = key.instance_id
                    AND (messages.chat_id, messages.occurred_at)
                        >= (key.chat_id, coalesce(before.next_second, '-infinity'))
                    AND (messages.chat_id, messages.occurred_at) < (key.chat_id, next.next_second)
                    AND next.next_second IS NOT NULL
                    AND NOT messages.from_me
                    AND NOT messages.is_service
                    AND messages.revoked_at IS NULL
                ORDER BY messages.chat_id, messages.occurred_at, messages.seq
                LIMIT 1
            ) AS asked ON true
            LEFT JOIN LATERAL (
                SELECT
                    messages.occurred_at, messages.id, messages.seq,
                    date_trunc('second', messages.occurred_at) + interval '1 second' AS next_second
                FROM messages
                WHERE messages.instance_id = key.instance_id
                    AND (messages.chat_id, messages.occurred_at) >= (key.chat_id, next.next_second)
                    AND (messages.chat_id, messages.occurred_at) < (key.chat_id, 'infinity')
                    AND next.next_second IS NOT NULL
                    AND messages.from_me
                    AND NOT messages.is_service
                ORDER BY messages.chat_id, messages.occurred_at, messages.seq
                LIMIT 1
            ) AS after ON true
            LEFT JOIN LATERAL (
                SELECT messages.occurred_at, messages.id, messages.seq
                FROM messages
                WHERE messages.instance_id = key.instance_id
                    AND (messages.chat_id, messages.occurred_at) >= (key.chat_id, next.next_second)
                    AND (messages.chat_id, messages.occurred_at) < (key.chat_id, after.next_second)
                    AND after.next_second IS NOT NULL
                    AND NOT messages.from_me
                    AND NOT messages.is_service
                    AND messages.revoked_at IS NULL
                ORDER BY messages.chat_id, messages.occurred_at, messages.seq
                LIMIT 1
            ) AS asked_after ON true
            "#,
            column(touched, |(key, _)| key.instance_id.as_str()) as _,
            column(touched, |(key, _)| key.chat_id.as_str()) as _,
            column(touched, |(_, second)| *second) as _,
        )
        .fetch_all(self)
        .await?;
        Ok(rows.into_iter().map(AnswersAround::from).collect())
    }

    async fn questions_since(
        &mut self,
        since: &[(ChatKey, Timestamp)],
    ) -> Result<Vec<(ChatKey, Questions)>, StoreError> {
        let rows = sqlx::query!(
            r#"
            SELECT
                key.instance_id AS "instance_id!: InstanceId",
                key.chat_id AS "chat_id!",
                first.occurred_at AS "occurred_at: Timestamp",
                first.id,
                first.seq,
                last.occurred_at AS "last_asked_at: Timestamp"
            FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS key (instance_id, chat_id, since)
            CROSS JOIN LATERAL (
                SELECT messages.occurred_at, messages.id, messages.seq
                FROM messages
                WHERE messages.instance_id = key.instance_id
                    AND (messages.chat_id, messages.occurred_at) >= (key.chat_id, key.since)
                    AND (messages.chat_id, messages.occurred_at) < (key.chat_id, 'infinity')
                    AND NOT messages.from_me
                    AND NOT messages.is_service
                    AND messages.revoked_at IS NULL
                ORDER BY messages.chat_id, messages.occurred_at, messages.seq
                LIMIT 1
            ) AS first
            CROSS JOIN LATERAL (
                SELECT messages.occurred_at
                FROM messages
                WHERE messages.instance_id = key.instance_id
                    AND (messages.chat_id, messages.occurred_at) >= (key.chat_id, first.occurred_at)
                    AND (messages.chat_id, messages.occurred_at) < (key.chat_id, 'infinity')
                    AND NOT messages.from_me
                    AND NOT messages.is_service
                    AND messages.revoked_at IS NULL
                ORDER BY messages.chat_id DESC, messages.occurred_at DESC
                LIMIT 1
            ) AS last
            "#,
            column(since, |(key, _)| key.instance_id.as_str()) as _,
            column(since, |(key, _)| key.chat_id.as_str()) as _,
            column(since, |(_, at)| *at) as _,
        )
        .fetch_all(self)
        .await?;
        let found = rows.into_iter().map(|row| {
            let first = MessagePosition { occurred_at: row.occurred_at, seq: row.seq, message_id: row.id };
            let chat = ChatKey { instance_id: row.instance_id, chat_id: row.chat_id };
            (chat, Questions { first, last_at: row.last_asked_at })
        });
        Ok(found.collect())
    }

    async fn delete_responses(&mut self, spans: &[WaitSpan]) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            DELETE FROM responses
            USING unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[])
                AS span (instance_id, chat_id, since, until)
            WHERE responses.instance_id = span.instance_id
                AND responses.chat_id = span.chat_id
                AND responses.waiting_since >= span.since
                AND responses.waiting_since < span.until
            "#,
            column(spans, |it| it.chat.instance_id.as_str()) as _,
            column(spans, |it| it.chat.chat_id.as_str()) as _,
            column(spans, |it| it.from) as _,
            column(spans, |it| it.until) as _,
        )
        .execute(self)
        .await?;
        Ok(())
    }

    async fn save_responses(&mut self, responses: &[Response]) -> Result<u64, StoreError> {
        let rows = rows::<ResponseColumns<'_>, _>(responses);
        let written = sqlx::query!(
            r#"
            INSERT INTO responses (
                instance_id, chat_id, kind, waiting_since, incoming_id, last_asked_at, answered_at, outgoing_id, seconds,
                seconds_from_last
            )
            SELECT new.*
            FROM unnest(
                $1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::text[], $6::timestamptz[],
                $7::timestamptz[], $8::text[], $9::int8[], $10::int8[]
            ) AS new
            JOIN ledger_clock ON ledger_clock.id = 1
            ON CONFLICT (instance_id, chat_id, waiting_since) DO UPDATE
            SET incoming_id = excluded.incoming_id,
                last_asked_at = excluded.last_asked_at,
                answered_at = excluded.answered_at,
                outgoing_id = excluded.outgoing_id,
                seconds = excluded.seconds,
                seconds_from_last = excluded.seconds_from_last
            "#,
            column(&rows, |row| row.instance_id) as _,
            column(&rows, |row| row.chat_id) as _,
            column(&rows, |row| row.kind) as _,
            column(&rows, |row| row.waiting_since) as _,
            column(&rows, |row| row.incoming_id) as _,
            column(&rows, |row| row.last_asked_at) as _,
            column(&rows, |row| row.answered_at) as _,
            column(&rows, |row| row.outgoing_id) as _,
            &column(&rows, |row| row.seconds),
            &column(&rows, |row| row.seconds_from_last),
        )
        .execute(self)
        .await?;
        Ok(written.rows_affected())
    }
}
