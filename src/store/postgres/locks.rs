//! Reports locks that other sessions hold for too long, and their holders.

use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;
use time::OffsetDateTime;

use super::TABLES;
use super::dial::dial;
use crate::OpenError;
use crate::StoreError;
use crate::admin::copies::CopyError;
use domain::time::timestamp::Timestamp;

/// PostgreSQL's code for a lock that was not free in time.
const NOT_AVAILABLE: &str = "55P03";

/// The number of the advisory lock of migrations, so that one process migrates at a time. Every role that may connect
/// can hold such a lock.
const MIGRATION: i64 = 0x6275_7a6f_6e00_0002;
const BACKUP: i64 = 0x6275_7a6f_6e00_0001;
/// The number of attempts to take that lock.
const BACKUP_ATTEMPTS: u32 = 3;

/// Waits for the lock of migrations, which ends with the connection.
pub(super) async fn migrating(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!("SELECT pg_advisory_lock($1)", MIGRATION).execute(connection).await?;
    Ok(())
}

/// Adds the holder of the lock to the error of work that did not get a lock in time. A statement's own time limit may
/// be shorter; in that case only an exclusive lock can be the reason.
pub(super) async fn named<T>(options: &PgConnectOptions, outcome: Result<T, OpenError>) -> Result<T, OpenError> {
    let weak = match &outcome {
        Err(OpenError::Store(StoreError::Contended { code })) if code == NOT_AVAILABLE => true,
        Err(OpenError::Store(StoreError::TooSlow)) => false,
        _ => return outcome,
    };
    let Ok(mut connection) = dial(options).await else { return outcome };
    match holder(&mut connection, &TABLES, MIGRATION, weak).await {
        Ok(Some(holder)) => Err(holder.into()),
        Ok(None) | Err(_) => outcome,
    }
}

/// Takes the lock of backups and restores, so that one is under way at a time. The lock ends with the connection. A holder
/// that is gone by the time it is looked for has given up the lock, so it is tried again.
pub(super) async fn backing_up(connection: &mut PgConnection) -> Result<(), CopyError> {
    for _ in 0..BACKUP_ATTEMPTS {
        let held = sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock($1) AS "held!""#, BACKUP);
        if held.fetch_one(&mut *connection).await.map_err(StoreError::from)? {
            return Ok(());
        }
        if let Some(holder) = holder(connection, &[], BACKUP, true).await? {
            return Err(CopyError::busy(Some(&holder.shown())));
        }
    }
    Err(CopyError::busy(None))
}

struct LockHolder {
    table: Option<String>,
    pid: i32,
    role: Option<String>,
    application: Option<String>,
    since: Option<OffsetDateTime>,
}

/// Returns the holder of the advisory lock with this number, or else of the strongest lock on one of these tables.
/// Among equal locks, the oldest holder is returned.
async fn holder(
    connection: &mut PgConnection,
    tables: &[&str],
    number: i64,
    weak: bool,
) -> Result<Option<LockHolder>, StoreError> {
    Ok(sqlx::query_as!(
        LockHolder,
        r#"
        SELECT
            pg_class.relname::text AS "table?",
            pg_stat_activity.pid AS "pid!",
            pg_stat_activity.usename::text AS role,
            pg_stat_activity.application_name AS application,
            coalesce(pg_stat_activity.xact_start, pg_stat_activity.backend_start) AS since
        FROM pg_locks
        JOIN pg_stat_activity ON pg_stat_activity.pid = pg_locks.pid
        LEFT JOIN pg_class
            ON pg_class.oid = pg_locks.relation
            AND pg_class.relnamespace = current_schema()::regnamespace
            AND pg_class.relname = ANY($1)
        WHERE pg_locks.granted
            AND pg_locks.pid <> pg_backend_pid()
            AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND ($2 OR pg_locks.mode = 'AccessExclusiveLock')
            AND (
                pg_class.oid IS NOT NULL
                OR (
                    pg_locks.locktype = 'advisory'
                    AND pg_locks.objsubid = 1
                    AND pg_locks.classid::int8 << 32 | pg_locks.objid::int8 = $3
                )
            )
        ORDER BY
            pg_locks.locktype = 'advisory' DESC,
            pg_locks.mode = 'AccessExclusiveLock' DESC,
            since
        LIMIT 1
        "#,
        tables as _,
        weak,
        number,
    )
    .fetch_optional(connection)
    .await?)
}

impl LockHolder {
    /// Names are escaped, because every client chooses its own.
    fn shown(&self) -> String {
        let name = |name: &Option<String>| format!("{:?}", name.as_deref().unwrap_or_default());
        let since = self.since.map(|since| format!(", since {}", Timestamp::from_utc(since).to_rfc3339()));
        format!(
            "process {} of the server (role {}, application {}{})",
            self.pid,
            name(&self.role),
            name(&self.application),
            since.unwrap_or_default()
        )
    }
}

impl From<LockHolder> for OpenError {
    fn from(holder: LockHolder) -> Self {
        let lock = match &holder.table {
            Some(table) => format!("the lock on the table {table}"),
            None => "the lock for migrations (an advisory lock of this database)".to_owned(),
        };
        Self::Held { lock, holder: holder.shown() }
    }
}
