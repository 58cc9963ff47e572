//! The statements of `store/read` for SQLite.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use sqlx::{Executor, Sqlite};

use crate::Store;
use crate::StoreError;
use crate::read::{Queries, ReadTransaction};
use crate::sqlite::SqliteStore;
use domain::page::position::{History, Position};

mod events;
mod instances;
mod listing;
mod media;
mod messages;
mod persons;
pub(crate) mod search;
mod statistics;
mod versions;

/// The time limit of a question, the same as in PostgreSQL.
const QUESTION_TIME: Duration = Duration::from_secs(5);
/// The number of steps of its virtual machine that SQLite takes between two looks at the clock: some hundred
/// microseconds.
const STEPS: i32 = 10_000;

#[async_trait]
impl Store for SqliteStore {
    async fn read(&self) -> Result<Box<dyn Queries>, StoreError> {
        let mut transaction = ReadTransaction::new(self.reports.acquire().await?);
        let end = Instant::now() + QUESTION_TIME;
        transaction.lock_handle().await?.set_progress_handler(STEPS, move || Instant::now() < end);
        transaction.execute("BEGIN").await?;
        Ok(Box::new(transaction))
    }

    async fn latest(&self) -> Result<Position, StoreError> {
        position(&self.read_pool).await
    }
}

#[async_trait]
impl Queries for ReadTransaction<Sqlite> {
    async fn end(mut self: Box<Self>) -> Result<(), StoreError> {
        self.execute("COMMIT").await?;
        self.lock_handle().await?.remove_progress_handler();
        self.give_back();
        Ok(())
    }
}

/// Returns the history of the ledger, and its latest number.
async fn position(database: impl Executor<'_, Database = Sqlite>) -> Result<Position, StoreError> {
    let row = sqlx::query!(
        r#"
        SELECT seq, database_id, epoch
        FROM ledger_clock
        CROSS JOIN installation
        WHERE ledger_clock.id = 1 AND installation.id = 1
        "#
    );
    let row = row.fetch_one(database).await?;
    Ok(Position { history: History::new(&row.database_id, &row.epoch), seq: row.seq })
}
