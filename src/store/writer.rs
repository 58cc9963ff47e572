//! The writer's connection, between two units of work.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::StoreError;

/// Keeps a connection for the next unit of work. A unit takes it out and gives it back only after its commit: one that
/// fails, or whose future is dropped at any point, takes its connection with it. So no transaction that was begun and
/// forgotten can swallow a later write (sqlx issues 4385 and 4393), and nothing is asked of the server to make sure.
pub(super) struct Writer<C> {
    slot: Mutex<Slot<C>>,
}

enum Slot<C> {
    /// A unit of work has the connection, or lost it.
    Empty,
    Idle(C),
    /// There is to be no connection any more.
    Closed,
}

impl<C> Writer<C> {
    pub(super) fn new(connection: C) -> Self {
        Self { slot: Mutex::new(Slot::Idle(connection)) }
    }

    /// The idle connection, or a new one.
    pub(super) async fn take(&self, connect: impl Future<Output = Result<C, StoreError>>) -> Result<C, StoreError> {
        let slot = std::mem::replace(&mut *self.slot(), Slot::Empty);
        match slot {
            Slot::Idle(connection) => Ok(connection),
            Slot::Empty => connect.await,
            Slot::Closed => {
                self.close();
                Err(StoreError::Unavailable("the store is closed".to_owned()))
            }
        }
    }

    /// Gives back a connection whose unit of work was committed.
    pub(super) fn give_back(&self, connection: C) {
        let mut slot = self.slot();
        if !matches!(*slot, Slot::Closed) {
            *slot = Slot::Idle(connection);
        }
    }

    /// Lets nobody have a connection from now on, and returns the idle one.
    pub(super) fn close(&self) -> Option<C> {
        match std::mem::replace(&mut *self.slot(), Slot::Closed) {
            Slot::Idle(connection) => Some(connection),
            Slot::Empty | Slot::Closed => None,
        }
    }

    fn slot(&self) -> MutexGuard<'_, Slot<C>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
