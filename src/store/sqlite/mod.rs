//! The store in SQLite: one file and one server.

use std::path::Path;
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Executor, SqliteConnection, SqlitePool};
use tracing::error;

use super::{Availability, EventStore, OpenError, OpenMode, Pending, StoreError};
use crate::admin::examination::warn_of;
use crate::admin::maintenance::Maintenance;
use crate::admin::schema::{self, MIGRATIONS_TABLE};
use crate::write::record::record;
use crate::write::writer::{UnitOfWork, Writer};
use checkpoints::{Checkpoints, LONG_LOG};
use domain::event::Event;
use domain::event::batch::Receipt;
use domain::instance::InstanceId;
use domain::message::MessageKey;
use lock::Lock;
use write::writing::WritingConnection;

mod checkpoints;
mod lock;
pub(crate) mod relocation;
mod search_key;
mod soundness;
mod wal;

pub(crate) mod admin;
pub(crate) mod read;
pub(crate) mod write;

static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrations = sqlx::migrate!("../../migrations/sqlite");
    migrations.dangerous_set_table_name(MIGRATIONS_TABLE);
    migrations
});

/// Begins a batch as a writer: a transaction that began as a reader could not become one while another writes.
const BEGIN: &str = "BEGIN IMMEDIATE";
const COMMIT: &str = "COMMIT";

/// The writer's page cache, in KiB (negative, as SQLite takes it). Pages of indexes that every batch changes stay in
/// memory.
const WRITER_CACHE: &str = "-32768";

/// The time that a statement waits for another process's short transaction.
const BUSY_WAIT: Duration = Duration::from_secs(3);
const READ_CONNECTIONS: u32 = 2;
const REPORT_CONNECTIONS: u32 = 4;
const READ_POOL_WAIT: Duration = Duration::from_secs(2);

pub(super) struct SqliteStore {
    options: SqliteConnectOptions,
    writer: Writer<WritingConnection>,
    /// `None` in a process beside the one that serves.
    checkpoints: Option<Maintenance>,
    read_pool: SqlitePool,
    /// Answers the queries of people and dashboards.
    reports: SqlitePool,
    /// The damage that the writer of events found. No events are taken from then on.
    damage: OnceLock<String>,
    /// The lock on the file, which is held until the store is closed.
    lock: Mutex<Option<Lock>>,
}

impl SqliteStore {
    pub(super) async fn open(path: &Path, pending: Pending, access: OpenMode) -> Result<Self, OpenError> {
        let lock = match access {
            OpenMode::Serve => Some(hold(path).await?),
            OpenMode::Beside => None,
        };
        prepare(path, pending, access).await?;
        let options = options(path);
        let mut writer = WritingConnection::open(&options).await?;
        if access == OpenMode::Serve {
            warn_of(&admin::examination::triggers(&mut writer).await?);
        }
        let pool = |size| SqlitePoolOptions::new().max_connections(size).acquire_timeout(READ_POOL_WAIT);
        let read_pool = pool(READ_CONNECTIONS).connect_lazy_with(options.clone().read_only(true));
        let reports = pool(REPORT_CONNECTIONS).connect_lazy_with(options.clone().read_only(true));
        let checkpoints =
            (access == OpenMode::Serve).then(|| Maintenance::start("checkpoints", Checkpoints::new(options.clone())));
        let (writer, damage) = (Writer::new(Some(writer)), OnceLock::new());
        Ok(Self { options, writer, checkpoints, read_pool, reports, damage, lock: Mutex::new(lock) })
    }

    /// Begins a unit of work.
    async fn begin(&self) -> Result<UnitOfWork<'_, WritingConnection>, StoreError> {
        let mut unit = self.writer.take(WritingConnection::open(&self.options)).await?;
        unit.execute(BEGIN).await?;
        // A process beside the one that moves the database may have waited for the end of the move.
        if self.checkpoints.is_none() {
            relocation::refuse_retired(&mut unit).await?;
        }
        Ok(unit)
    }

    async fn record(&self, events: &[Event]) -> Result<Vec<Receipt>, StoreError> {
        let mut unit = self.begin().await?;
        let receipts = record(&mut **unit, events).await?;
        unit.commit().await?;
        if let Some(checkpoints) = &self.checkpoints {
            checkpoints.wake();
        }
        Ok(receipts)
    }

    /// Fails if damage was found, because such a database may lose what is written to it.
    fn sound(&self) -> Result<(), StoreError> {
        self.damage.get().map_or(Ok(()), |found| Err(StoreError::Damaged(found.clone())))
    }

    /// Remembers damage, and logs it once.
    fn note_damage(&self, found: &StoreError) {
        if let StoreError::Damaged(found) = found
            && self.damage.set(found.clone()).is_ok()
        {
            error!("the database is damaged ({found}) and takes no more events; stop buzon and restore a backup");
        }
    }
}

/// Checks that the file exists.
///
/// # Errors
/// [`OpenError::Absent`] if there is no file.
pub(super) fn present(path: &Path) -> Result<(), OpenError> {
    match path.try_exists() {
        Ok(true) => Ok(()),
        Ok(false) => {
            let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
            let folder = whole.parent().unwrap_or(&whole).display().to_string();
            Err(OpenError::Absent { path: path.display().to_string(), folder })
        }
        Err(error) => Err(lock::unusable(path, &error)),
    }
}

/// Locks the database for this process, and examines it before anything is written.
async fn hold(path: &Path) -> Result<Lock, OpenError> {
    let lock = Lock::take(path)?;
    soundness::look(path).await?;
    Ok(lock)
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_WAIT)
        .disable_statement_logging()
}

/// Opens a connection for writing, and makes sure that its commits are on disk. Where SQLite cannot use the journal
/// that was asked for, it silently uses another.
async fn connect(options: &SqliteConnectOptions) -> Result<SqliteConnection, StoreError> {
    const FULL: i64 = 2;
    let options = options
        .clone()
        .pragma("secure_delete", "FAST")
        .pragma("cache_size", WRITER_CACHE)
        .pragma("wal_autocheckpoint", LONG_LOG.to_string());
    let mut connection = options.pragma("temp_store", "memory").connect().await?;
    let journal: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut connection).await?;
    let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut connection).await?;
    match (journal.as_str(), synchronous) {
        ("wal", FULL) => Ok(connection),
        _ => Err(StoreError::Unsafe(format!(
            "journal_mode is {journal} and synchronous is {synchronous}; buzon needs wal and {FULL} (FULL), \
             which a local disk gives"
        ))),
    }
}

pub(super) async fn migrate(path: &Path) -> Result<usize, OpenError> {
    let _lock = hold(path).await?;
    let done = prepare(path, Pending::Run, OpenMode::Serve).await?;
    // This connection gives the file its write-ahead log, and refuses a file that cannot have one.
    connect(&options(path)).await?.close().await.map_err(StoreError::from)?;
    Ok(done)
}

/// Prepares the schema on a connection that leaves the file as it is, because it may be another program's.
async fn prepare(path: &Path, pending: Pending, access: OpenMode) -> Result<usize, OpenError> {
    lock::beside(path, "").map_err(|error| lock::unusable(path, &error))?;
    let plain = SqliteConnectOptions::new().filename(path).create_if_missing(access == OpenMode::Serve);
    let plain = plain.busy_timeout(BUSY_WAIT);
    let mut connection = plain.connect().await.map_err(StoreError::from)?;
    relocation::refuse_retired(&mut connection).await?;
    let tables = tables(&mut connection).await?;
    let done = schema::prepare(&mut connection, &MIGRATIONS, &tables, pending).await;
    connection.close().await.map_err(StoreError::from)?;
    done
}

async fn tables(connection: &mut SqliteConnection) -> Result<Vec<String>, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"
        SELECT name AS "name!: String"
        FROM sqlite_master
        WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\_%' ESCAPE '\'
        ORDER BY name
        "#
    )
    .fetch_all(connection)
    .await?)
}

#[async_trait]
impl EventStore for SqliteStore {
    async fn record_batch(&self, events: &[Event]) -> Result<Vec<Receipt>, StoreError> {
        self.sound()?;
        self.record(events).await.inspect_err(|error| self.note_damage(error))
    }
}

#[async_trait]
impl Availability for SqliteStore {
    async fn ping(&self) -> Result<(), StoreError> {
        self.sound()?;
        sqlx::query_scalar!(r#"SELECT seq FROM ledger_clock WHERE id = 1"#).fetch_one(&self.read_pool).await?;
        Ok(())
    }

    async fn close(&self) {
        self.read_pool.close().await;
        self.reports.close().await;
        if let Some(checkpoints) = &self.checkpoints {
            checkpoints.close().await;
        }
        if let Some(connection) = self.writer.close().await {
            // An error does not matter, because nothing uses the connection any more.
            let _ = connection.close().await;
        }
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// Returns the rows as one parameter: a JSON array of objects, which a statement takes apart with `jsonb_each`. That
/// keeps each row parsed, whereas `json_each` makes text of the row again for every column.
fn json<R: Serialize>(rows: impl IntoIterator<Item = R>) -> String {
    let rows: Vec<R> = rows.into_iter().collect();
    serde_json::to_string(&rows).expect("text, numbers and flags are JSON")
}

/// Returns the keys of the outgoing messages with these ids, in all instances but `-`. Service messages are none.
async fn outgoing_with_ids(connection: &mut SqliteConnection, ids: &[String]) -> Result<Vec<MessageKey>, StoreError> {
    Ok(sqlx::query_as!(
        MessageKey,
        r#"
        SELECT instance_id AS "instance_id!: InstanceId", id AS "id!: String"
        FROM messages
        WHERE from_me AND NOT is_service AND id IN (SELECT value FROM jsonb_each(?1)) AND instance_id <> '-'
        "#,
        json(ids),
    )
    .fetch_all(connection)
    .await?)
}
