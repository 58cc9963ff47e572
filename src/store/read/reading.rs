//! Connections for the questions of people and dashboards: their own, so that events never wait for them.

use std::ops::{Deref, DerefMut};

use sqlx::Database;
use sqlx::pool::PoolConnection;

/// A connection inside a transaction that only reads: all statements of a question see the same rows. It goes back to
/// its pool when the question is answered; after a failure, or when nobody waits any more, it is closed, and the
/// transaction with it.
pub(crate) struct ReadTransaction<DB: Database>(Option<PoolConnection<DB>>);

impl<DB: Database> ReadTransaction<DB> {
    pub(crate) fn new(connection: PoolConnection<DB>) -> Self {
        Self(Some(connection))
    }

    /// Gives back the connection, when the transaction is over.
    pub(crate) fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl<DB: Database> Drop for ReadTransaction<DB> {
    fn drop(&mut self) {
        if let Some(mut connection) = self.0.take() {
            connection.close_on_drop();
        }
    }
}

impl<DB: Database> Deref for ReadTransaction<DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &DB::Connection {
        self.0.as_ref().expect("it is there until the end")
    }
}

impl<DB: Database> DerefMut for ReadTransaction<DB> {
    fn deref_mut(&mut self) -> &mut DB::Connection {
        self.0.as_mut().expect("it is there until the end")
    }
}
