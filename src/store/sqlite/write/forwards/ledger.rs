//! The events that a forward reads.

use sqlx::SqlitePool;

use super::{AckOwner, LedgerHead};
use crate::StoreError;
use crate::sqlite::json;
use domain::instance::InstanceId;
use domain::time::timestamp::Timestamp;

/// Reads rows of `events`; the literal is the end of the statement.
macro_rules! heads {
    ($end:literal $(, $parameter:expr)*) => {
        sqlx::query_as!(
            LedgerHead,
            r#"
            SELECT
                e.seq AS "seq!: i64",
                e.instance_id AS "instance_id!: InstanceId",
                e.event_type AS "event_type: String",
                e.message_id AS "message_id: String",
                coalesce(m.chat_id, a.chat_id, e.chat_id) AS "chat_id: String",
                e.body_sha256 AS "body_sha256!: Vec<u8>",
                length(e.body) AS "size: i64",
                e.received_at AS "received_at!: Timestamp",
                e.signed AS "signed!: bool",
                e.forwarded AS "forwarded!: bool",
                e.state AS "state!: String",
                e.reason AS "reason: String"
            FROM events AS e
            LEFT JOIN messages AS m ON m.instance_id = e.instance_id AND m.id = e.message_id
            LEFT JOIN chat_aliases AS a ON a.instance_id = e.instance_id AND a.alias = e.chat_id
            "# + $end
            $(, $parameter)*
        )
    };
}

pub(super) async fn heads(
    pool: &SqlitePool,
    after: i64,
    until: i64,
    limit: u32,
) -> Result<Vec<LedgerHead>, StoreError> {
    Ok(heads!("WHERE e.seq > ?1 AND e.seq <= ?2 ORDER BY e.seq LIMIT ?3", after, until, limit).fetch_all(pool).await?)
}

pub(super) async fn heads_of(pool: &SqlitePool, seqs: &[i64]) -> Result<Vec<LedgerHead>, StoreError> {
    let seqs = json(seqs);
    Ok(heads!("WHERE e.seq IN (SELECT value FROM json_each(?1)) ORDER BY e.seq", seqs).fetch_all(pool).await?)
}

pub(super) async fn bodies(pool: &SqlitePool, seqs: &[i64]) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
    let rows = sqlx::query!(
        r#"
        SELECT seq AS "seq!: i64", body AS "body!: Vec<u8>"
        FROM events
        WHERE seq IN (SELECT value FROM json_each(?1)) AND body IS NOT NULL
        "#,
        json(seqs),
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.seq, row.body)).collect())
}

pub(super) async fn ack_owners(pool: &SqlitePool, ids: &[String]) -> Result<Vec<AckOwner>, StoreError> {
    Ok(sqlx::query_as!(
        AckOwner,
        r#"
        SELECT
            instance_id AS "instance_id!: InstanceId",
            id AS "message_id!: String",
            chat_id AS "chat_id: String"
        FROM messages
        WHERE from_me AND NOT is_service AND id IN (SELECT value FROM json_each(?1)) AND instance_id <> '-'
        ORDER BY instance_id
        "#,
        json(ids),
    )
    .fetch_all(pool)
    .await?)
}
