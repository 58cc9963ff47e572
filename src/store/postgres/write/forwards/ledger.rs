//! The events that a forward reads.

use sqlx::PgPool;

use super::{AckOwner, LedgerHead};
use crate::StoreError;
use domain::instance::InstanceId;
use domain::time::timestamp::Timestamp;

/// Reads rows of `events`; the literal is the end of the statement.
macro_rules! heads {
    ($end:literal $(, $parameter:expr)*) => {
        sqlx::query_as!(
            LedgerHead,
            r#"
            SELECT
                e.seq,
                e.instance_id AS "instance_id: InstanceId",
                e.event_type,
                e.message_id,
                coalesce(m.chat_id, a.chat_id, e.chat_id) AS "chat_id",
                e.body_sha256,
                octet_length(e.body)::int8 AS "size",
                e.received_at AS "received_at: Timestamp",
                e.signed,
                e.forwarded,
                e.state,
                e.reason
            FROM events AS e
            LEFT JOIN messages AS m ON m.instance_id = e.instance_id AND m.id = e.message_id
            LEFT JOIN chat_aliases AS a ON a.instance_id = e.instance_id AND a.alias = e.chat_id
            "# + $end
            $(, $parameter)*
        )
    };
}

pub(super) async fn heads(pool: &PgPool, after: i64, until: i64, limit: u32) -> Result<Vec<LedgerHead>, StoreError> {
    Ok(heads!("WHERE e.seq > $1 AND e.seq <= $2 ORDER BY e.seq LIMIT $3", after, until, i64::from(limit))
        .fetch_all(pool)
        .await?)
}

pub(super) async fn heads_of(pool: &PgPool, seqs: &[i64]) -> Result<Vec<LedgerHead>, StoreError> {
    Ok(heads!("WHERE e.seq = ANY($1) ORDER BY e.seq", seqs).fetch_all(pool).await?)
}

pub(super) async fn bodies(pool: &PgPool, seqs: &[i64]) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
    let rows = sqlx::query!(
        r#"
        SELECT seq, body AS "body!"
        FROM events
        WHERE seq = ANY($1) AND body IS NOT NULL
        "#,
        seqs,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.seq, row.body)).collect())
}

pub(super) async fn ack_owners(pool: &PgPool, ids: &[String]) -> Result<Vec<AckOwner>, StoreError> {
    Ok(sqlx::query_as!(
        AckOwner,
        r#"
        SELECT
            instance_id AS "instance_id: InstanceId",
            id AS "message_id",
            chat_id
        FROM messages
        WHERE from_me AND NOT is_service AND id = ANY($1) AND instance_id <> '-'
        ORDER BY instance_id
        "#,
        ids,
    )
    .fetch_all(pool)
    .await?)
}
