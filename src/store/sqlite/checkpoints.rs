//! Checkpoints: copies the log back into the file beside the writer, so that events do not wait for that.
//!
//! The log starts over when all of it is copied and nothing is being written. Under a load without such a moment, the
//! writer itself does the last copy when the log is long. The same happens if this task cannot go on.

use async_trait::async_trait;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use crate::StoreError;
use crate::admin::maintenance::MaintenanceTask;

/// The number of pages of 4 KiB that are copied at once. Each copy ends with a sync of the file, and a page that
/// changes often is copied once for many changes.
const WORTH_A_COPY: i64 = 2_000;

/// The number of pages from which on the log is left to the writer.
pub(super) const LONG_LOG: i64 = 16_000;

pub(super) struct Checkpoints {
    options: SqliteConnectOptions,
    connection: Option<SqliteConnection>,
}

impl Checkpoints {
    pub(super) fn new(options: SqliteConnectOptions) -> Self {
        Self { options, connection: None }
    }
}

#[async_trait]
impl MaintenanceTask for Checkpoints {
    async fn run(&mut self) -> Result<(), StoreError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.options.connect().await?,
        };
        let (_, log, copied) = checkpoint(&mut connection, "PRAGMA wal_checkpoint(NOOP)").await?;
        if log - copied >= WORTH_A_COPY && log < LONG_LOG {
            checkpoint(&mut connection, "PRAGMA wal_checkpoint(PASSIVE)").await?;
        }
        self.connection = Some(connection);
        Ok(())
    }

    async fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            let _ = connection.close().await;
        }
    }
}

/// The result of a checkpoint: whether it was blocked, the pages of the log, and how many of them are in the file.
async fn checkpoint(connection: &mut SqliteConnection, pragma: &'static str) -> sqlx::Result<(i64, i64, i64)> {
    sqlx::query_as(pragma).fetch_one(connection).await
}
