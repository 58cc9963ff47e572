//! The ledger: every event as it came, numbered in the order in which it became safe.

use std::collections::HashSet;

use async_trait::async_trait;
use serde::{Serialize, Serializer};

use crate::StoreError;
use crate::write::record::Rows;
use domain::event::Event;
use domain::event::batch::{LedgerRow, LedgerRows, Receipt};
use domain::instance::InstanceId;
use domain::time::timestamp::Timestamp;

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
    /// [`StoreError::Refused`] if some event of the batch cannot be held, and [`StoreError::Unreadable`] if some event
    /// changes a row that cannot be read; the caller finds out which by halving the batch.
    /// [`StoreError::TooMuch`] if the batch is to be halved so that others have their turn in between.
    async fn record_batch(&self, events: &[Event]) -> Result<Vec<Receipt>, StoreError>;
}

/// The ledger's statements within a transaction.
#[async_trait]
pub(crate) trait EventRows {
    /// Takes `count` numbers off the ledger's clock, and returns the last; `None` if the clock did not move. Waits for
    /// the transaction that holds the clock.
    async fn take_numbers(&mut self, count: i64) -> Result<Option<i64>, StoreError>;

    /// Writes the rows. A row that exists already counts the deliveries instead. Returns the numbers of the written
    /// rows: new ones have those of `rows`, and the others have lower ones.
    async fn append_events(&mut self, rows: &LedgerRows<'_>) -> Result<HashSet<i64>, StoreError>;

    /// Quarantines rows of this transaction, with one reason, and returns how many.
    async fn set_aside(&mut self, seqs: &[i64], reason: &str) -> Result<u64, StoreError>;
}

/// Takes `count` numbers off the ledger's clock, and returns the last.
pub(crate) async fn take_numbers(rows: &mut dyn Rows, count: i64) -> Result<i64, StoreError> {
    rows.take_numbers(count).await?.ok_or(StoreError::Swallowed { table: "ledger_clock" })
}

/// The columns of a row of `events`. In JSON, the hash is hexadecimal, and the body is left out.
#[derive(Serialize)]
pub(crate) struct EventColumns<'e> {
    pub(crate) seq: i64,
    pub(crate) instance_id: &'e InstanceId,
    pub(crate) event_type: Option<&'e str>,
    pub(crate) message_id: Option<&'e str>,
    pub(crate) chat_id: Option<&'e str>,
    #[serde(skip)]
    pub(crate) body: Option<&'e [u8]>,
    #[serde(serialize_with = "in_hexadecimal")]
    pub(crate) body_sha256: &'e [u8],
    pub(crate) received_at: Timestamp,
    pub(crate) deliveries: i64,
    pub(crate) last_received_at: Timestamp,
    pub(crate) signed: bool,
    pub(crate) forwarded: bool,
    pub(crate) state: &'static str,
    pub(crate) reason: Option<&'e str>,
    pub(crate) file_bytes: Option<i64>,
    pub(crate) quoted_message_id: Option<&'e str>,
}

impl<'e> From<&LedgerRow<'e>> for EventColumns<'e> {
    fn from(row: &LedgerRow<'e>) -> Self {
        let event = row.event;
        Self {
            seq: row.seq,
            instance_id: &event.instance_id,
            event_type: event.interpretation.subject.event_type.as_deref(),
            message_id: event.interpretation.subject.message_id.as_deref(),
            chat_id: event.interpretation.subject.chat_id.as_deref(),
            body: event.kept_body(),
            body_sha256: &event.body_sha256,
            received_at: event.received_at,
            deliveries: row.deliveries,
            last_received_at: row.last_received_at,
            signed: event.signed,
            forwarded: event.forwarded,
            state: event.interpretation.state.as_str(),
            reason: event.interpretation.reason.as_deref(),
            file_bytes: event.file_bytes(),
            quoted_message_id: event.quoted_message_id(),
        }
    }
}

/// Serialises bytes as hexadecimal digits, because JSON holds no bytes.
pub(crate) fn in_hexadecimal<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex::encode(bytes))
}
