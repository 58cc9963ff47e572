use std::time::{Duration, Instant};

use sqlx::{Executor, Sqlite};

use crate::StoreError;
use crate::sqlite::SqliteStore;

/// How long a question may take; PostgreSQL's reading transactions say the same.
const QUESTION_TIME: Duration = Duration::from_secs(5);
/// How many steps of its virtual machine SQLite takes between two looks at the clock: some hundred microseconds.
const STEPS: i32 = 10_000;

pub(crate) type ReadTransaction = crate::read::reading::ReadTransaction<Sqlite>;

impl SqliteStore {
    pub(crate) async fn begin_reading(&self) -> Result<ReadTransaction, StoreError> {
        let mut reading = ReadTransaction::new(self.reports.acquire().await?);
        let end = Instant::now() + QUESTION_TIME;
        reading.lock_handle().await?.set_progress_handler(STEPS, move || Instant::now() < end);
        reading.execute("BEGIN").await?;
        Ok(reading)
    }
}

impl ReadTransaction {
    pub(crate) async fn commit(mut self) -> Result<(), StoreError> {
        self.execute("COMMIT").await?;
        self.lock_handle().await?.remove_progress_handler();
        self.give_back();
        Ok(())
    }
}
