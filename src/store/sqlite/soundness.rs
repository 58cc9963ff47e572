//! A look at a database before anything of it is written. What is damaged is for a person to mend, and SQLite would begin
//! by clearing away a log that it cannot read.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tokio::time::sleep;

use super::lock::{beside, unusable};
use super::{BUSY_WAIT, wal};
use crate::{OpenError, StoreError};

/// How long SQLite may look through the file. It comes to some hundred megabytes; the rest of a larger database is
/// looked at when it is read.
const LOOK: Duration = Duration::from_millis(500);
/// A short command beside us may be writing the file at this very moment; damage is there each time.
const LOOKS: u32 = 3;
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
/// Of SQLite's own, between two looks at the time.
const INSTRUCTIONS: i32 = 1_000;

/// Leaves the database and its log as they are, byte for byte. Where a log is left of a process that died, SQLite makes
/// the index of it anew (`-shm`).
///
/// # Errors
/// [`OpenError::Damaged`] if the file is no database, or one that cannot be trusted.
pub(super) async fn look(path: &Path) -> Result<(), OpenError> {
    let damaged = |reason: String| OpenError::Damaged { path: path.display().to_string(), reason };
    let files = DatabaseFiles::of(path).map_err(|error| unusable(path, &error))?;
    if let Some(reason) = files.broken_log {
        return Err(damaged(reason.to_owned()));
    }
    // A new database; or one that a process left in the middle of its first migration, which must be undone to be read.
    if files.size == 0 || files.unfinished {
        return Ok(());
    }
    let options = reading(path, &files);
    let mut looks = 1;
    loop {
        match quick_check(&options).await {
            Ok(found) if found == "ok" => return Ok(()),
            Err(StoreError::TooSlow) => return Ok(()),
            Ok(_) | Err(StoreError::Damaged(_)) if looks < LOOKS => looks += 1,
            Ok(found) | Err(StoreError::Damaged(found)) => return Err(damaged(found)),
            Err(error) => return Err(error.into()),
        }
        sleep(BETWEEN_LOOKS).await;
    }
}

/// Without a log nobody else writes, and SQLite need not even make its own files to read.
fn reading(path: &Path, files: &DatabaseFiles) -> SqliteConnectOptions {
    let options = SqliteConnectOptions::new().filename(path).read_only(true).immutable(files.log == 0);
    options.busy_timeout(BUSY_WAIT).disable_statement_logging()
}

/// Has a look, and says how to read more without leaving anything behind; `None` where there is nothing yet.
pub(super) async fn for_reading(path: &Path) -> Result<Option<SqliteConnectOptions>, OpenError> {
    look(path).await?;
    let files = DatabaseFiles::of(path).map_err(|error| unusable(path, &error))?;
    Ok((files.size > 0).then(|| reading(path, &files)))
}

/// The first thing that is wrong, or `ok`.
///
/// # Errors
/// [`StoreError::TooSlow`] if nothing was found in time.
async fn quick_check(options: &SqliteConnectOptions) -> Result<String, StoreError> {
    let mut connection = options.connect().await?;
    let end = Instant::now() + LOOK;
    connection.lock_handle().await?.set_progress_handler(INSTRUCTIONS, move || Instant::now() < end);
    let found = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut connection).await;
    connection.close().await?;
    Ok(found?)
}

/// What lies there before SQLite has touched it.
struct DatabaseFiles {
    size: u64,
    log: u64,
    broken_log: Option<&'static str>,
    /// Whether there is a rollback journal.
    unfinished: bool,
}

impl DatabaseFiles {
    fn of(path: &Path) -> io::Result<Self> {
        let (size, log) = (size_of(path)?, beside(path, "-wal")?);
        let broken_log = match size {
            0 if size_of(&log)? > 0 => Some("its write-ahead log is there, and it is not"),
            _ => wal::broken(&log)?,
        };
        Ok(Self { size, log: size_of(&log)?, broken_log, unfinished: size_of(&beside(path, "-journal")?)? > 0 })
    }
}

/// In bytes; 0 where there is no file.
fn size_of(path: &Path) -> io::Result<u64> {
    match path.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        metadata => Ok(metadata?.len()),
    }
}
