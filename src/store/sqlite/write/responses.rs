use async_trait::async_trait;
use sqlx::SqliteConnection;

use crate::StoreError;
use crate::sqlite::json;
use crate::write::responses::{AroundColumns, ResponseColumns, ResponseRows};
use domain::chat::response_tracker::{AnswersAround, Questions, Response, WaitSpan};
use domain::chat::{ChatKey, MessagePosition};
use domain::instance::InstanceId;
use domain::time::timestamp::Timestamp;

#[async_trait]
impl ResponseRows for SqliteConnection {
    async fn around(&mut self, touched: &[(ChatKey, Timestamp)]) -> Result<Vec<AnswersAround>, StoreError> {
        // The first 20 characters of a time, with '999Z', are the last millisecond of its second.
        let rows = sqlx::query_as!(
            AroundColumns,
            r#"
            SELECT
                key.instance_id AS "instance_id!: InstanceId",
                key.chat_id AS "chat_id!: String",
                before.occurred_at AS "before?: Timestamp",
                next.occurred_at AS "next_at?: Timestamp",
                next.id AS "next_id?: String",
                next.seq AS "next_seq?: i64",
                asked.occurred_at AS "asked_at?: Timestamp",
                asked.id AS "asked_id?: String",
                asked.seq AS "asked_seq?: i64",
                (
                    SELECT occurred_at
                    FROM messages
                    WHERE instance_id = key.instance_id
                        AND chat_id = key.chat_id
                        AND NOT from_me
                        AND NOT is_service
                        AND revoked_at IS NULL
                        AND occurred_at > coalesce(substr(before.occurred_at, 1, 20) || '999Z', '')
                        AND occurred_at <= substr(next.occurred_at, 1, 20) || '999Z'
                    ORDER BY occurred_at DESC
                    LIMIT 1
                ) AS "last_asked_at?: Timestamp",
                after.occurred_at AS "after_at?: Timestamp",
                after.id AS "after_id?: String",
                after.seq AS "after_seq?: i64",
                asked_after.occurred_at AS "asked_after_at?: Timestamp",
                asked_after.id AS "asked_after_id?: String",
                asked_after.seq AS "asked_after_seq?: i64",
                (
                    SELECT occurred_at
                    FROM messages
                    WHERE instance_id = key.instance_id
                        AND chat_id = key.chat_id
                        AND NOT from_me
                        AND NOT is_service
                        AND revoked_at IS NULL
                        AND occurred_at > substr(next.occurred_at, 1, 20) || '999Z'
                        AND occurred_at <= substr(after.occurred_at, 1, 20) || '999Z'
                    ORDER BY occurred_at DESC
                    LIMIT 1
                ) AS "last_asked_after_at?: Timestamp"
            FROM (
                SELECT
                    value ->> '$[0].instance_id' AS instance_id,
                    value ->> '$[0].chat_id' AS chat_id,
                    value ->> 1 AS second
                FROM jsonb_each(?1)
            ) AS key
            LEFT JOIN messages AS before ON before.rowid = (
                SELECT rowid
                FROM messages INDEXED BY messages_answers
                WHERE instance_id = key.instance_id AND chat_id = key.chat_id AND from_me AND NOT is_service
                    AND occurred_at < key.second
                ORDER BY occurred_at DESC, seq DESC
                LIMIT 1
            )
            LEFT JOIN messages AS next ON next.rowid = (
                SELECT rowid
                FROM messages INDEXED BY messages_answers
                WHERE instance_id = key.instance_id AND chat_id = key.chat_id AND from_me AND NOT is_service
                    AND occurred_at >= key.second
                ORDER BY occurred_at, seq
                LIMIT 1
            )
            LEFT JOIN messages AS asked ON asked.rowid = (
                SELECT rowid
                FROM messages
                WHERE instance_id = key.instance_id
                    AND chat_id = key.chat_id
                    AND NOT from_me
                    AND NOT is_service
                    AND revoked_at IS NULL
                    AND occurred_at > coalesce(substr(before.occurred_at, 1, 20) || '999Z', '')
                    AND occurred_at <= substr(next.occurred_at, 1, 20) || '999Z'
                ORDER BY occurred_at, seq
                LIMIT 1
            )
            LEFT JOIN messages AS after ON after.rowid = (
                SELECT rowid
                FROM messages INDEXED BY messages_answers
                WHERE instance_id = key.instance_id
                    AND chat_id = key.chat_id
                    AND from_me
                    AND NOT is_service
                    AND occurred_at > substr(next.occurred_at, 1, 20) || '999Z'
                ORDER BY occurred_at, seq
                LIMIT 1
            )
            LEFT JOIN messages AS asked_after ON asked_after.rowid = (
                SELECT rowid
                FROM messages
                WHERE instance_id = key.instance_id
                    AND chat_id = key.chat_id
                    AND NOT from_me
                    AND NOT is_service
                    AND revoked_at IS NULL
                    AND occurred_at > substr(next.occurred_at, 1, 20) || '999Z'
                    AND occurred_at <= substr(after.occurred_at, 1, 20) || '999Z'
                ORDER BY occurred_at, seq
                LIMIT 1
            )
            "#,
            json(touched),
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
                messages.instance_id AS "instance_id!: InstanceId",
                messages.chat_id AS "chat_id!: String",
                messages.occurred_at AS "occurred_at!: Timestamp",
                messages.id AS "id!: String",
                messages.seq AS "seq!: i64",
                (
                    SELECT occurred_at
                    FROM messages AS last
                    WHERE last.instance_id = messages.instance_id
                        AND last.chat_id = messages.chat_id
                        AND NOT last.from_me
                        AND NOT last.is_service
                        AND last.revoked_at IS NULL
                        AND last.occurred_at >= messages.occurred_at
                    ORDER BY last.occurred_at DESC
                    LIMIT 1
                ) AS "last_asked_at!: Timestamp"
            FROM jsonb_each(?1) AS key
            CROSS JOIN messages ON messages.rowid = (
                SELECT rowid
                FROM messages
                WHERE instance_id = key.value ->> '$[0].instance_id'
                    AND chat_id = key.value ->> '$[0].chat_id'
                    AND NOT from_me
                    AND NOT is_service
                    AND revoked_at IS NULL
                    AND occurred_at >= key.value ->> 1
                ORDER BY occurred_at, seq
                LIMIT 1
            )
            "#,
            json(since),
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
            WHERE (instance_id, chat_id, waiting_since) IN (
                SELECT responses.instance_id, responses.chat_id, responses.waiting_since
                FROM jsonb_each(?1) AS span
                CROSS JOIN responses
                    ON responses.instance_id = span.value ->> 'instance_id'
                    AND responses.chat_id = span.value ->> 'chat_id'
                    AND responses.waiting_since >= span.value ->> 'from'
                    AND responses.waiting_since < span.value ->> 'until'
            )
            "#,
            json(spans),
        )
        .execute(self)
        .await?;
        Ok(())
    }

    async fn save_responses(&mut self, responses: &[Response]) -> Result<u64, StoreError> {
        let written = sqlx::query!(
            r#"
            INSERT INTO responses (
                instance_id, chat_id, kind, waiting_since, incoming_id, last_asked_at, answered_at, outgoing_id, seconds,
                seconds_from_last
            )
            SELECT
                value ->> 'instance_id', value ->> 'chat_id', value ->> 'kind', value ->> 'waiting_since',
                value ->> 'incoming_id', value ->> 'last_asked_at', value ->> 'answered_at', value ->> 'outgoing_id', value ->> 'seconds',
                value ->> 'seconds_from_last'
            FROM jsonb_each(?1)
            WHERE true
            ON CONFLICT (instance_id, chat_id, waiting_since) DO UPDATE
            SET incoming_id = excluded.incoming_id,
                last_asked_at = excluded.last_asked_at,
                answered_at = excluded.answered_at,
                outgoing_id = excluded.outgoing_id,
                seconds = excluded.seconds,
                seconds_from_last = excluded.seconds_from_last
            "#,
            json(responses.iter().map(ResponseColumns::from)),
        )
        .execute(self)
        .await?;
        Ok(written.rows_affected())
    }
}
