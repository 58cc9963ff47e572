//! Connections for the questions of people and dashboards: their own, so that events never wait for them.

use std::ops::{Deref, DerefMut};

use sqlx::pool::PoolConnection;
use sqlx::{Executor, PgConnection, Postgres};

use super::PostgresStore;
use crate::store::StoreError;

/// All statements of a question see the same rows. A plan is made for each: which index helps depends on what is
/// asked for, and none ever helps by reading a whole table. A sort of some ten thousand rows needs no file.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
     SET LOCAL plan_cache_mode = 'force_custom_plan'; \
     SET LOCAL enable_seqscan = off; \
     SET LOCAL jit = off; \
     SET LOCAL work_mem = '32MB'; \
     SET LOCAL statement_timeout = '5s'; \
     SET LOCAL idle_in_transaction_session_timeout = '10s'";

/// A connection inside a transaction that only reads. It goes back to its pool when the question is answered; after a
/// failure, or when nobody waits any more, it is closed, and the transaction with it.
pub(in crate::store) struct Reading(Option<PoolConnection<Postgres>>);

impl PostgresStore {
    pub(super) async fn begin_reading(&self) -> Result<Reading, StoreError> {
        let mut reading = Reading(Some(self.reports.acquire().await?));
        reading.execute(BEGIN).await?;
        Ok(reading)
    }
}

impl Reading {
    pub(super) async fn commit(mut self) -> Result<(), StoreError> {
        self.execute("COMMIT").await?;
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
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.0.as_ref().expect("it is there until the end")
    }
}

impl DerefMut for Reading {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.0.as_mut().expect("it is there until the end")
    }
}
