//! The mark of a database that is being restored. It is a table that `schema::missing` refuses by name.
//!
//! All of this is done while the lock of backups is held, so a remaining session of `pg_restore` belongs to a process
//! that has died.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Executor, PgConnection};
use tokio::time::sleep;

use super::readers::quoted;
use crate::StoreError;
use crate::admin::copies::CopyError;
use crate::admin::schema::RESTORING;
use crate::postgres::{BEGIN, COMMIT};
use domain::forward::PAUSED_BY_RESTORE;

/// The `application_name` of the programs of a backup.
pub(crate) const APPLICATION: &str = "buzon backup";

const MARK: &str = "CREATE TABLE _buzon_restoring ()";
const UNMARK: &str = "DROP TABLE _buzon_restoring";

/// The number of looks for a session that was told to end, and the pause between two looks.
const LOOKS: u32 = 100;
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// True if the schema holds the mark of an unfinished restore by this very user.
pub(crate) async fn is_unfinished(connection: &mut PgConnection) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"
        SELECT EXISTS (
            SELECT
            FROM pg_class
            WHERE relnamespace = current_schema()::regnamespace
                AND relname = $1
                AND relowner = (SELECT oid FROM pg_roles WHERE rolname = current_user)
        ) AS "marked!"
        "#,
        RESTORING,
    )
    .fetch_one(connection)
    .await?)
}

/// Sets the mark. If an interrupted restore has set it before, what that left is removed.
pub(crate) async fn begin(connection: &mut PgConnection) -> Result<(), CopyError> {
    if is_unfinished(connection).await? {
        end_orphans(connection).await?;
        clear(connection).await?;
    } else {
        connection.execute(MARK).await.map_err(StoreError::from)?;
    }
    Ok(())
}

/// Gives the database its id and an epoch, pauses its forwards, which would send again what they sent since the copy, and
/// removes the mark, in one transaction.
pub(crate) async fn end(connection: &mut PgConnection, database_id: &str) -> Result<(), StoreError> {
    connection.execute(BEGIN).await?;
    let named = sqlx::query!(
        "UPDATE installation SET database_id = $1, epoch = replace(gen_random_uuid()::text, '-', '')",
        database_id,
    );
    let named = named.execute(&mut *connection).await?;
    if named.rows_affected() != 1 {
        return Err(StoreError::Swallowed { table: "installation" });
    }
    sqlx::query!("UPDATE forwards SET paused = TRUE, pause_reason = $1, lease_until = NULL", PAUSED_BY_RESTORE)
        .execute(&mut *connection)
        .await?;
    connection.execute(UNMARK).await?;
    connection.execute(COMMIT).await?;
    Ok(())
}

/// Removes the mark if nothing was restored.
pub(crate) async fn abandon(connection: &mut PgConnection) -> Result<(), StoreError> {
    if crate::postgres::tables(connection).await? == [RESTORING] {
        connection.execute(UNMARK).await?;
    }
    Ok(())
}

/// Ends the sessions of programs whose buzon has died, because they would go on to their commit.
async fn end_orphans(connection: &mut PgConnection) -> Result<(), CopyError> {
    for _ in 0..LOOKS {
        let told = sqlx::query_scalar!(
            r#"
            SELECT pg_terminate_backend(pid) AS "told!"
            FROM pg_stat_activity
            WHERE datname = current_database()
                AND usename = current_user
                AND application_name = $1
                AND pid <> pg_backend_pid()
            "#,
            APPLICATION,
        );
        if told.fetch_all(&mut *connection).await.map_err(StoreError::from)?.is_empty() {
            return Ok(());
        }
        sleep(BETWEEN_LOOKS).await;
    }
    Err(CopyError::Failed("a pg_restore of an earlier try does not end".to_owned()))
}

/// Removes everything but the mark. The place was empty when the mark was set.
async fn clear(connection: &mut PgConnection) -> Result<(), StoreError> {
    let left = sqlx::query!(
        r#"
        SELECT relname::text AS "name!", relkind = 'v' AS "is_view!"
        FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'v') AND relname <> $1
        "#,
        RESTORING,
    );
    let left = left.fetch_all(&mut *connection).await?;
    let mut statement = String::from(BEGIN);
    for (kind, is_view) in [("VIEW", true), ("TABLE", false)] {
        let names = Vec::from_iter(left.iter().filter(|it| it.is_view == is_view).map(|it| quoted(&it.name)));
        if !names.is_empty() {
            statement += &format!("; DROP {kind} {} CASCADE", names.join(", "));
        }
    }
    connection.execute(AssertSqlSafe(format!("{statement}; {COMMIT}"))).await?;
    Ok(())
}
