//! The statements of `store/read` for PostgreSQL.

use async_trait::async_trait;
use sqlx::{Executor, Postgres};

use crate::Store;
use crate::StoreError;
use crate::postgres::PostgresStore;
use crate::read::{Queries, ReadTransaction};
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

/// Begins a question, whose statements all see the same rows. A plan is made for each statement, because the best index
/// depends on the values. No plan may read a whole table, or sort rows that an index has in order. If rows must be
/// sorted all the same, some ten thousand of them need no file.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
     SET LOCAL plan_cache_mode = 'force_custom_plan'; \
     SET LOCAL enable_seqscan = off; \
     SET LOCAL enable_sort = off; \
     SET LOCAL enable_incremental_sort = off; \
     SET LOCAL jit = off; \
     SET LOCAL work_mem = '32MB'; \
     SET LOCAL statement_timeout = '5s'; \
     SET LOCAL idle_in_transaction_session_timeout = '10s'";

#[async_trait]
impl Store for PostgresStore {
    async fn read(&self) -> Result<Box<dyn Queries>, StoreError> {
        let mut transaction = ReadTransaction::new(self.reports.acquire().await?);
        transaction.execute(BEGIN).await?;
        Ok(Box::new(transaction))
    }

    async fn latest(&self) -> Result<Position, StoreError> {
        position(&self.read_pool).await
    }
}

#[async_trait]
impl Queries for ReadTransaction<Postgres> {
    async fn end(mut self: Box<Self>) -> Result<(), StoreError> {
        self.execute("COMMIT").await?;
        self.give_back();
        Ok(())
    }
}

/// Returns the history of the ledger, and its latest number.
async fn position(database: impl Executor<'_, Database = Postgres>) -> Result<Position, StoreError> {
    let row = sqlx::query!(
        "SELECT seq, database_id, epoch FROM ledger_clock CROSS JOIN installation WHERE ledger_clock.id = 1"
    );
    let row = row.fetch_one(database).await?;
    Ok(Position { history: History::new(&row.database_id, &row.epoch), seq: row.seq })
}
