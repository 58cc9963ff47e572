use sqlx::{Executor, Postgres};

use crate::StoreError;
use crate::postgres::PostgresStore;

/// All statements of a question see the same rows. A plan is made for each: which index helps depends on what is
/// asked for, and none ever helps by reading a whole table, or by sorting what an index has in order. Where something
/// must be sorted all the same, some ten thousand rows need no file.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
     SET LOCAL plan_cache_mode = 'force_custom_plan'; \
     SET LOCAL enable_seqscan = off; \
     SET LOCAL enable_sort = off; \
     SET LOCAL enable_incremental_sort = off; \
     SET LOCAL jit = off; \
     SET LOCAL work_mem = '32MB'; \
     SET LOCAL statement_timeout = '5s'; \
     SET LOCAL idle_in_transaction_session_timeout = '10s'";

pub(crate) type ReadTransaction = crate::read::reading::ReadTransaction<Postgres>;

impl PostgresStore {
    pub(crate) async fn begin_reading(&self) -> Result<ReadTransaction, StoreError> {
        let mut reading = ReadTransaction::new(self.reports.acquire().await?);
        reading.execute(BEGIN).await?;
        Ok(reading)
    }
}

impl ReadTransaction {
    pub(crate) async fn commit(mut self) -> Result<(), StoreError> {
        self.execute("COMMIT").await?;
        self.give_back();
        Ok(())
    }
}
