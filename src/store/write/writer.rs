//! The connection for writing, and its units of work.

use std::future::Future;
use std::ops::{Deref, DerefMut};

use tokio::sync::{Mutex, MutexGuard};

use crate::StoreError;

/// The keeper of a connection for the next unit of work. Units take turns in the order in which they asked. A unit
/// gives its connection back only after its commit; one that fails, or whose future is dropped at any point, closes the
/// connection. So no transaction that was begun and forgotten can swallow a later write (sqlx issues 4385 and 4393),
/// and the server need not be asked.
pub(crate) struct Writer<C> {
    slot: Mutex<Slot<C>>,
}

enum Slot<C> {
    /// A unit of work has the connection, or lost it.
    Empty,
    Idle(C),
    /// The store is closed.
    Closed,
}

/// A unit of work with its connection. To drop it undoes the work.
pub(crate) struct UnitOfWork<'w, C> {
    slot: MutexGuard<'w, Slot<C>>,
    /// The connection of this unit, which is closed unless it is given back.
    connection: C,
}

impl<C> Writer<C> {
    pub(crate) fn new(connection: Option<C>) -> Self {
        Self { slot: Mutex::new(connection.map_or(Slot::Empty, Slot::Idle)) }
    }

    /// Waits for the units before this one. Takes the idle connection, or a new one.
    pub(crate) async fn take(
        &self,
        connect: impl Future<Output = Result<C, StoreError>>,
    ) -> Result<UnitOfWork<'_, C>, StoreError> {
        let mut slot = self.slot.lock().await;
        let connection = match std::mem::replace(&mut *slot, Slot::Empty) {
            Slot::Idle(connection) => connection,
            Slot::Empty => connect.await?,
            Slot::Closed => {
                *slot = Slot::Closed;
                return Err(StoreError::Unavailable("the store is closed".to_owned()));
            }
        };
        Ok(UnitOfWork { slot, connection })
    }

    /// Gives out no connection from now on, and returns the idle one. Waits for the unit that is under way.
    pub(crate) async fn close(&self) -> Option<C> {
        match std::mem::replace(&mut *self.slot.lock().await, Slot::Closed) {
            Slot::Idle(connection) => Some(connection),
            Slot::Empty | Slot::Closed => None,
        }
    }
}

impl<C> UnitOfWork<'_, C> {
    /// Gives back the connection after the commit.
    pub(crate) fn give_back(mut self) {
        *self.slot = Slot::Idle(self.connection);
    }
}

impl<C> Deref for UnitOfWork<'_, C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.connection
    }
}

impl<C> DerefMut for UnitOfWork<'_, C> {
    fn deref_mut(&mut self) -> &mut C {
        &mut self.connection
    }
}
