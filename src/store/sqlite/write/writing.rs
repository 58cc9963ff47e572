//! The connection for writing, and its units of work.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, Executor, SqliteConnection};

use crate::StoreError;
use crate::sqlite::{COMMIT, connect};
use crate::write::writer::UnitOfWork;

/// The number of instructions of SQLite between two checks whether the connection was dropped.
const INSTRUCTIONS: i32 = 10_000;

/// A connection whose running statement ends when the connection is dropped. The statement runs on a thread of its own,
/// and would otherwise hold the lock until it is done.
pub(crate) struct WritingConnection {
    connection: SqliteConnection,
    abandoned: Abandoned,
}

#[derive(Default)]
struct Abandoned(Arc<AtomicBool>);

impl Drop for Abandoned {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl WritingConnection {
    pub(crate) async fn open(options: &SqliteConnectOptions) -> Result<Self, StoreError> {
        let (mut connection, abandoned) = (connect(options).await?, Abandoned::default());
        let seen = abandoned.0.clone();
        connection.lock_handle().await?.set_progress_handler(INSTRUCTIONS, move || !seen.load(Ordering::Relaxed));
        Ok(Self { connection, abandoned })
    }

    pub(crate) async fn close(self) -> Result<(), StoreError> {
        let Self { connection, abandoned } = self;
        connection.close().await?;
        drop(abandoned);
        Ok(())
    }
}

impl Deref for WritingConnection {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.connection
    }
}

impl DerefMut for WritingConnection {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }
}

impl UnitOfWork<'_, WritingConnection> {
    pub(crate) async fn commit(mut self) -> Result<(), StoreError> {
        self.execute(COMMIT).await?;
        self.give_back();
        Ok(())
    }
}
