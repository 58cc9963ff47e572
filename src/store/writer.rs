//! The writer's connection, between two units of work.

use std::future::Future;
use std::sync::{Mutex, PoisonError};

use super::StoreError;

/// Keeps a connection for the next unit of work. A unit takes it out and gives it back only after its commit: one that
/// fails, or whose future is dropped at any point, takes its connection with it. So no transaction that was begun and
/// forgotten can swallow a later write (sqlx issues 4385 and 4393), and nothing is asked of the server to make sure.
pub(super) struct Writer<C> {
    idle: Mutex<Option<C>>,
}

impl<C> Writer<C> {
    pub(super) fn new(connection: C) -> Self {
        Self { idle: Mutex::new(Some(connection)) }
    }

    /// The idle connection, or a new one.
    pub(super) async fn take(&self, connect: impl Future<Output = Result<C, StoreError>>) -> Result<C, StoreError> {
        match self.take_idle() {
            Some(connection) => Ok(connection),
            None => connect.await,
        }
    }

    /// Gives back a connection whose unit of work was committed.
    pub(super) fn give_back(&self, connection: C) {
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
    }

    pub(super) fn take_idle(&self) -> Option<C> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
