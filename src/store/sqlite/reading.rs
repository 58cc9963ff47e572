//! Connections for the questions of people and dashboards: their own, so that events never wait for them.

use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::{Executor, Sqlite, SqliteConnection};

use super::SqliteStore;
use crate::store::StoreError;

/// How long a question may take; PostgreSQL's reading transactions say the same.
const QUESTION_TIME: Duration = Duration::from_secs(5);
/// How many steps of its virtual machine SQLite takes between two looks at the clock: some hundred microseconds.
const STEPS: i32 = 10_000;

/// A connection inside a transaction that only reads: all statements of a question see the same rows. It goes back to
/// its pool when the question is answered; after a failure, or when nobody waits any more, it is closed.
pub(in crate::store) struct Reading(Option<PoolConnection<Sqlite>>);

impl SqliteStore {
    pub(super) async fn begin_reading(&self) -> Result<Reading, StoreError> {
        let mut reading = Reading(Some(self.reports.acquire().await?));
        let end = Instant::now() + QUESTION_TIME;
        reading.lock_handle().await?.set_progress_handler(STEPS, move || Instant::now() < end);
        reading.execute("BEGIN").await?;
        Ok(reading)
    }
}

impl Reading {
    pub(super) async fn commit(mut self) -> Result<(), StoreError> {
        self.execute("COMMIT").await?;
        self.lock_handle().await?.remove_progress_handler();
        drop(self.0.take());
        Ok(())
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some(mut connection) = self.0.take() {
            connection.close_on_drop();
        }
    }
}

impl Deref for Reading {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        self.0.as_ref().expect("it is there until the end")
    }
}

impl DerefMut for Reading {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        self.0.as_mut().expect("it is there until the end")
    }
}
