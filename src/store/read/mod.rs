//! The read side: the questions of people, dashboards and mirrors. [`Store::read`](crate::Store::read) begins a
//! question. The questions are methods of `dyn Store`, in one file for each aggregate. Their statements are traits
//! here, which the files of the same name in `sqlite/read` and `postgres/read` implement.

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
pub(crate) mod persons;
pub(crate) mod reactions;
pub(crate) mod search;
pub(crate) mod statistics;

/// The statements of one question, which all see the same rows. If it is dropped before its end, its connection is
/// closed.
#[async_trait]
pub trait Queries:
    listing::ListQueries
    + messages::MessageQueries
    + persons::PersonQueries
    + search::SearchQueries
    + statistics::StatisticsQueries
    + events::EventQueries
    + instances::InstanceQueries
    + messages::versions::VersionQueries
    + Send
{
    /// Ends a question that was answered.
    async fn end(self: Box<Self>) -> Result<(), StoreError>;
}

/// A connection inside a transaction that only reads, from a pool of its own, so that events never wait for it. It goes
/// back to its pool when the question is answered. After a failure, or when nobody waits any more, it is closed, and
/// the transaction with it.
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
