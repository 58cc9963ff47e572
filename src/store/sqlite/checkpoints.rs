//! Copies the log back into the file beside the writer, so that events do not wait for it.
//!
//! The log begins anew when all of it is copied and nothing is being written. Under a load without such a moment, the
//! writer does the last copy by itself, when the log is long; that is also what remains if this task cannot go on.

use std::sync::{Arc, Mutex, PoisonError};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tracing::debug;

/// So many pages of 4 KiB are copied at once: each copy ends with a sync of the file, and pages that change often are
/// copied once for many changes.
const WORTH_A_COPY: i64 = 2_000;

/// From so many pages on, the log is left to the writer.
pub(super) const LONG_LOG: i64 = 16_000;

/// The task. It ends when it is told to, or dropped.
pub(super) struct Checkpoints {
    committed: Arc<Notify>,
    closing: Arc<Notify>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Checkpoints {
    pub(super) fn start(options: SqliteConnectOptions) -> Self {
        let (committed, closing) = (Arc::<Notify>::default(), Arc::<Notify>::default());
        let task = tokio::spawn(run(options, committed.clone(), closing.clone()));
        Self { committed, closing, task: Mutex::new(Some(task)) }
    }

    /// The log has become longer.
    pub(super) fn look(&self) {
        self.committed.notify_one();
    }

    /// Waits for the copy that is under way.
    pub(super) async fn close(&self) {
        self.closing.notify_one();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            // It is of no use any more either way.
            let _ = task.await;
        }
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.closing.notify_one();
    }
}

async fn run(options: SqliteConnectOptions, committed: Arc<Notify>, closing: Arc<Notify>) {
    let mut connection = None;
    loop {
        tokio::select! {
            biased;
            () = closing.notified() => break,
            () = committed.notified() => {}
        }
        if let Err(error) = look(&options, &mut connection).await {
            debug!(%error, "a checkpoint failed; the writer makes its own in time");
            connection = None;
        }
    }
    if let Some(connection) = connection {
        let _ = connection.close().await;
    }
}

async fn look(options: &SqliteConnectOptions, slot: &mut Option<SqliteConnection>) -> sqlx::Result<()> {
    let connection = match slot {
        Some(connection) => connection,
        None => slot.insert(options.connect().await?),
    };
    let (_, log, copied) = checkpoint(connection, "PRAGMA wal_checkpoint(NOOP)").await?;
    if log - copied >= WORTH_A_COPY && log < LONG_LOG {
        checkpoint(connection, "PRAGMA wal_checkpoint(PASSIVE)").await?;
    }
    Ok(())
}

/// Whether it was held up, the pages of the log, and how many of them are in the file.
async fn checkpoint(connection: &mut SqliteConnection, pragma: &'static str) -> sqlx::Result<(i64, i64, i64)> {
    sqlx::query_as(pragma).fetch_one(connection).await
}
