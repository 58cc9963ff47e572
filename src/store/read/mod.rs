//! The read side: what people, dashboards and mirrors ask. [`Store::read`](crate::Store::read) begins a question; the
//! questions themselves are methods of `dyn Store`, in one file for each aggregate. A trait of queries here is what the
//! databases say differently, and has its twins in the files of the same name in `sqlite/read` and `postgres/read`.

use std::ops::{Deref, DerefMut};

use async_trait::async_trait;
use sqlx::Database;
use sqlx::pool::PoolConnection;

use crate::StoreError;

pub(crate) mod acks;
pub(crate) mod chats;
pub(crate) mod events;
pub(crate) mod feed;
pub(crate) mod index;
pub(crate) mod instances;
pub(crate) mod listing;
pub(crate) mod media;
pub(crate) mod messages;
pub(crate) mod reactions;
pub(crate) mod search;
pub(crate) mod statistics;

/// A question that was begun: all of its statements see the same rows. Dropped before its end, it closes its connection.
#[async_trait]
pub trait Queries:
    listing::ListQueries
    + messages::MessageQueries
    + search::SearchQueries
    + statistics::StatisticsQueries
    + events::EventQueries
    + instances::InstanceQueries
    + Send
{
    /// Ends a question that was answered.
    async fn end(self: Box<Self>) -> Result<(), StoreError>;
}

/// A connection inside a transaction that only reads. It is one of those for the questions of people and dashboards, so
/// that events never wait for it. It goes back to its pool when the question is answered; after a failure, or when
/// nobody waits any more, it is closed, and the transaction with it.
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
