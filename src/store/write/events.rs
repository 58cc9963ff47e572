//! The ledger: every event as it came, numbered in the order in which it became safe.

use std::collections::HashSet;

use async_trait::async_trait;

use crate::StoreError;
use domain::event::Event;
use domain::event::batch::{LedgerRows, Receipt};

/// The contract of the ledger.
#[async_trait]
pub trait EventStore: Send + Sync {
    /// Records a batch in one transaction: the ledger and everything that follows from it. When it returns, the batch
    /// is committed and on disk; the receipts are in the order of the events.
    ///
    /// The work is idempotent: after an error it may be tried again, whether or not the lost transaction was
    /// committed. A dropped future leaves nothing behind that a later batch could fall into.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if some event of the batch cannot be held; the caller finds out which by halving it.
    /// [`StoreError::TooMuch`] if the batch is to be halved, so that others have their turn in between.
    async fn record_batch(&self, events: &[Event]) -> Result<Vec<Receipt>, StoreError>;
}

/// The ledger's statements within a transaction.
#[async_trait]
pub(crate) trait EventRows {
    /// Takes `count` numbers off the ledger's clock, and returns the last; `None` if the clock did not move. Waits for the
    /// transaction before us.
    async fn take_numbers(&mut self, count: i64) -> Result<Option<i64>, StoreError>;

    /// Writes the rows; one that is there already counts the deliveries instead. Returns the numbers that the written rows
    /// have: those of `rows` if they are new, lower ones if they were there.
    async fn append_events(&mut self, rows: &LedgerRows<'_>) -> Result<HashSet<i64>, StoreError>;

    /// Quarantines rows of this transaction, with one reason, and returns how many.
    async fn set_aside(&mut self, seqs: &[i64], reason: &str) -> Result<u64, StoreError>;
}
