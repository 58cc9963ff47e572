//! PostgreSQL keeps more of removed rows than the pages of a table: this gets rid of it.

use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Executor, PgConnection};

use crate::StoreError;

/// The longest wait for transactions that began before, and the pause between two looks.
const OTHERS_WAIT: Duration = Duration::from_secs(60);
const OTHERS_PAUSE: Duration = Duration::from_millis(100);

/// Waits until no transaction can see any more what was removed, because that would be copied too.
pub(super) async fn wait_for_others(connection: &mut PgConnection) -> Result<(), StoreError> {
    let now: String =
        sqlx::query_scalar("SELECT (txid_current() & 4294967295)::text").fetch_one(&mut *connection).await?;
    let end = Instant::now() + OTHERS_WAIT;
    while Instant::now() < end {
        let others: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() \
             AND age(backend_xmin) >= age($1::text::xid))",
        )
        .bind(&now)
        .fetch_one(&mut *connection)
        .await?;
        if !others {
            return Ok(());
        }
        tokio::time::sleep(OTHERS_PAUSE).await;
    }
    Err(StoreError::Unavailable("a transaction that began before does not end; see pg_stat_activity".to_owned()))
}

/// Replaces the samples that the planner keeps of the columns of an empty table, which no analysis does. It analyses a row that
/// nobody else ever sees.
pub(super) async fn forget_samples(connection: &mut PgConnection, table: &str) -> Result<(), StoreError> {
    let empty = format!("SELECT NOT EXISTS (SELECT FROM {table})");
    if !sqlx::query_scalar::<_, bool>(AssertSqlSafe(empty)).fetch_one(&mut *connection).await? {
        return Ok(());
    }
    let columns: Vec<(String, String)> = sqlx::query_as(
        "SELECT attname::text, atttypid::regtype::text FROM pg_attribute \
         WHERE attrelid = $1::regclass AND attnum > 0 AND attnotnull AND NOT attisdropped AND attidentity = ''",
    )
    .bind(table)
    .fetch_all(&mut *connection)
    .await?;
    let value = |kind: &str| match kind {
        "timestamp with time zone" => "now()",
        "boolean" => "false",
        "text" | "bytea" | "tsvector" => "''",
        _ => "0",
    };
    let names = Vec::from_iter(columns.iter().map(|(name, _)| name.as_str())).join(", ");
    let values = Vec::from_iter(columns.iter().map(|(_, kind)| value(kind))).join(", ");
    let statements = format!(
        "BEGIN; INSERT INTO {table} ({names}) VALUES ({values}); ANALYZE {table}; \
         DELETE FROM {table} WHERE xmin::text = (txid_current() & 4294967295)::text; COMMIT"
    );
    connection.execute(AssertSqlSafe(statements)).await?;
    Ok(())
}
