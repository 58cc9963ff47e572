//! Copies are made by `VACUUM INTO` in one read transaction. The writer goes on; only its log cannot start over until
//! the copy is done. The copy has no empty pages, and needs no log.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tokio::task::spawn_blocking;
use tokio::time::interval;

use crate::OpenError;
use crate::StoreError;
use crate::admin::copies::{Contents, Copied, Copies, CopyError, DatabaseKind, ObjectRow, known, objects};
use crate::sqlite::lock::{Lock, beside, unusable};
use crate::sqlite::{BUSY_WAIT, MIGRATIONS, present, relocation, soundness, tables};
use domain::forward::PAUSED_BY_RESTORE;
use platform::private_folder;

/// The table that every database has that can be copied.
const NEEDED: &str = "installation";
const OWNER_ONLY: u32 = 0o600;
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

pub(crate) struct SqliteCopies {
    path: PathBuf,
    /// The lock that excludes other backups.
    held: Option<File>,
    /// The lock that excludes servers.
    place: Option<Lock>,
}

impl SqliteCopies {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), held: None, place: None }
    }

    fn shown(&self) -> String {
        self.path.display().to_string()
    }

    fn unusable(&self, error: &io::Error) -> CopyError {
        unusable(&self.path, error).into()
    }

    /// Returns the path of a file beside the database.
    fn beside(&self, ending: &str) -> Result<PathBuf, CopyError> {
        beside(&self.path, ending).map_err(|error| self.unusable(&error))
    }

    async fn reader(&self) -> Result<SqliteConnection, StoreError> {
        let options = SqliteConnectOptions::new().filename(&self.path).read_only(true).busy_timeout(BUSY_WAIT);
        Ok(options.disable_statement_logging().connect().await?)
    }
}

#[async_trait]
impl Copies for SqliteCopies {
    async fn hold(&mut self) -> Result<String, CopyError> {
        present(&self.path)?;
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(self.beside(".backup-lock")?);
        let lock = lock.map_err(|error| self.unusable(&error))?;
        match lock.try_lock() {
            Ok(()) => self.held = Some(lock),
            Err(TryLockError::WouldBlock) => return Err(CopyError::busy(None)),
            Err(TryLockError::Error(error)) => return Err(self.unusable(&error)),
        }
        look(&self.path).await?;
        let mut connection = self.reader().await?;
        relocation::refuse_retired(&mut connection).await?;
        if !tables(&mut connection).await?.iter().any(|table| table == NEEDED) {
            return Err(CopyError::Useless(format!("{} is no database of buzon", self.shown())));
        }
        let contents = contents(&mut connection).await?;
        connection.close().await.map_err(StoreError::from)?;
        Ok(contents.database_id)
    }

    async fn copy(&mut self, to: &Path, written: &(dyn Fn(u64) + Send + Sync)) -> Result<Copied, CopyError> {
        let name = to.to_str().ok_or_else(|| CopyError::Useless(format!("{} is no text", to.display())))?;
        let mut connection = self.reader().await?;
        {
            let mut vacuum = std::pin::pin!(sqlx::query("VACUUM INTO ?1").bind(name).execute(&mut connection));
            let mut looks = interval(BETWEEN_LOOKS);
            loop {
                tokio::select! {
                    done = &mut vacuum => {
                        done.map_err(StoreError::from)?;
                        break;
                    }
                    _ = looks.tick() => written(to.metadata().map_or(0, |file| file.len())),
                }
            }
        }
        connection.close().await.map_err(StoreError::from)?;
        without_sessions(to).await?;
        File::open(to)?.sync_all()?;
        inspect(to).await
    }

    async fn take_place(&mut self, contents: &Contents) -> Result<(), CopyError> {
        if contents.kind != DatabaseKind::Sqlite {
            return Err(CopyError::other_kind(contents.kind, DatabaseKind::Sqlite));
        }
        known(contents.schema_version, MIGRATIONS.iter().map(|migration| migration.version).max())?;
        if let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            private_folder::make(folder).map_err(|error| self.unusable(&error))?;
        }
        self.place = Some(Lock::take(&self.path)?);
        // SQLite would take a log without a database for that of the restored one.
        for ending in ["", "-wal", "-journal"] {
            let file = self.beside(ending)?;
            if file.metadata().is_ok_and(|file| file.len() > 0) {
                return Err(CopyError::not_empty(&file.display().to_string()));
            }
        }
        Ok(())
    }

    async fn restore(&mut self, mut from: File, _: &Contents, database_id: &str) -> Result<(), CopyError> {
        let (place, whole) = (self.beside(".restoring")?, self.beside("")?);
        let to = place.clone();
        let copying = spawn_blocking(move || {
            let mut file = File::create(&to)?;
            file.set_permissions(Permissions::from_mode(OWNER_ONLY))?;
            io::copy(&mut from, &mut file).map(drop)
        });
        copying.await.map_err(io::Error::other)??;
        inspect(&place).await?;
        rename_database(&place, database_id).await?;
        File::open(&place)?.sync_all()?;
        fs::rename(&place, &whole)?;
        File::open(whole.parent().unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(())
    }
}

/// Examines a database that no server has open. SQLite would take a damaged log for a short one, and the copy would
/// silently lack the rest.
async fn look(path: &Path) -> Result<(), OpenError> {
    match Lock::take(path) {
        Ok(_lock) => soundness::look(path).await,
        Err(OpenError::Locked { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes the sessions from a copy, and their bytes from its file: whoever finds a copy finds no session, and a restored
/// database has none.
async fn without_sessions(copy: &Path) -> Result<(), StoreError> {
    let options = SqliteConnectOptions::new().filename(copy).journal_mode(SqliteJournalMode::Memory);
    let mut connection = options.pragma("secure_delete", "ON").disable_statement_logging().connect().await?;
    sqlx::query!("DELETE FROM sessions").execute(&mut connection).await?;
    Ok(connection.close().await?)
}

/// Reads the whole copy, and returns its contents.
///
/// # Errors
/// [`CopyError::Damaged`] if the copy is no intact database.
pub(crate) async fn inspect(path: &Path) -> Result<Copied, CopyError> {
    let damaged = |error: StoreError| match error {
        StoreError::Damaged(found) => CopyError::Damaged(found),
        error => error.into(),
    };
    let options = SqliteConnectOptions::new().filename(path).read_only(true).immutable(true);
    let mut connection = options.disable_statement_logging().connect().await.map_err(|error| damaged(error.into()))?;
    let check = sqlx::query_scalar("PRAGMA integrity_check(3)").fetch_all(&mut connection);
    let found: Vec<String> = check.await.map_err(|error| damaged(error.into()))?;
    if found != ["ok"] {
        return Err(CopyError::Damaged(found.join("; ")));
    }
    let contents = contents(&mut connection).await?;
    let rows = sqlx::query_as!(
        ObjectRow,
        r#"
        SELECT DISTINCT object_key AS "object_key!: String", size AS "size!: i64"
        FROM media
        WHERE object_key IS NOT NULL
        ORDER BY object_key
        "#
    );
    let rows = rows.fetch_all(&mut connection).await.map_err(StoreError::from)?;
    connection.close().await.map_err(StoreError::from)?;
    Ok(Copied { contents, objects: objects(rows)? })
}

async fn contents(connection: &mut SqliteConnection) -> Result<Contents, CopyError> {
    let schema_version: i64 = sqlx::query_scalar("SELECT max(version) FROM _buzon_migrations WHERE success")
        .fetch_one(&mut *connection)
        .await
        .map_err(StoreError::from)?;
    known(schema_version, MIGRATIONS.iter().map(|migration| migration.version).max())?;
    let database_id = sqlx::query_scalar!("SELECT database_id FROM installation WHERE id = 1")
        .fetch_one(&mut *connection)
        .await
        .map_err(StoreError::from)?;
    let last_seq = sqlx::query_scalar!("SELECT seq FROM ledger_clock WHERE id = 1")
        .fetch_one(&mut *connection)
        .await
        .map_err(StoreError::from)?;
    Ok(Contents { kind: DatabaseKind::Sqlite, database_id, schema_version, last_seq, postgres: None })
}

/// Gives a database its id and an epoch, pauses its forwards, which would send again what they sent since the copy, and sets
/// the journal mode that all databases of buzon have.
async fn rename_database(path: &Path, database_id: &str) -> Result<(), StoreError> {
    let options = SqliteConnectOptions::new().filename(path).journal_mode(SqliteJournalMode::Wal);
    let mut connection = options.disable_statement_logging().connect().await?;
    let named = sqlx::query!(
        "UPDATE installation SET database_id = ?1, epoch = lower(hex(randomblob(16))) WHERE id = 1",
        database_id,
    );
    named.execute(&mut connection).await?;
    sqlx::query!("UPDATE forwards SET paused = TRUE, pause_reason = ?1, lease_until = NULL", PAUSED_BY_RESTORE)
        .execute(&mut connection)
        .await?;
    Ok(connection.close().await?)
}
