//! The check of a database before anything is written to it. A person has to repair damage, and SQLite would begin by
//! deleting a log that it cannot read.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tokio::time::sleep;

use super::lock::{beside, unusable};
use super::{BUSY_WAIT, wal};
use crate::OpenError;
use crate::StoreError;

/// The time that SQLite may check the file, which is enough for some hundred megabytes. The rest of a larger database
/// is checked when it is read.
const LOOK: Duration = Duration::from_millis(500);
/// The number of checks. A short command beside this process may be writing the file; damage is found each time.
const LOOKS: u32 = 3;
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
/// The number of SQLite's instructions between two checks of the time.
const INSTRUCTIONS: i32 = 1_000;

/// Checks the database, and leaves it and its log as they are, byte for byte. If a process died and left a log, SQLite
/// makes the index of the log again (`-shm`).
///
/// # Errors
/// [`OpenError::Damaged`] if the file is no database, or a damaged one.
pub(super) async fn look(path: &Path) -> Result<(), OpenError> {
    let damaged = |reason: String| OpenError::Damaged { path: path.display().to_string(), reason };
    let files = DatabaseFiles::of(path).map_err(|error| unusable(path, &error))?;
    if let Some(reason) = files.broken_log {
        return Err(damaged(reason.to_owned()));
    }
    // The database is new, or a process died during its first migration, which must be undone before it can be read.
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

/// Without a log no other process writes, and SQLite does not need its own files to read.
fn reading(path: &Path, files: &DatabaseFiles) -> SqliteConnectOptions {
    let options = SqliteConnectOptions::new().filename(path).read_only(true).immutable(files.log == 0);
    options.busy_timeout(BUSY_WAIT).disable_statement_logging()
}

/// Inspects the files, and returns how to read the database without leaving anything behind; `None` for a new one.
pub(super) async fn for_reading(path: &Path) -> Result<Option<SqliteConnectOptions>, OpenError> {
    look(path).await?;
    let files = DatabaseFiles::of(path).map_err(|error| unusable(path, &error))?;
    Ok((files.size > 0).then(|| reading(path, &files)))
}

/// Returns the first error that SQLite finds, or `ok`.
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

/// The files before SQLite has touched them.
struct DatabaseFiles {
    size: u64,
    log: u64,
    broken_log: Option<&'static str>,
    /// True if there is a rollback journal.
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

/// Returns the size in bytes; 0 if there is no file.
fn size_of(path: &Path) -> io::Result<u64> {
    match path.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        metadata => Ok(metadata?.len()),
    }
}
