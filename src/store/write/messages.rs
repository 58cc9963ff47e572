//! Messages, each a function of its copies in the ledger.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;

use crate::StoreError;
use domain::event::EventState;
use domain::instance::InstanceId;
use domain::message::{CopySizes, LedgerCopy, Message, MessageKey, RecordedMessage};
use domain::search::MAX_UNFOLDED_BYTES;
use domain::time::timestamp::Timestamp;

/// The number of characters of a body that its indexed words can take. A character has at least a byte; there is one
/// character more, so that a longer body is seen to be cut.
pub(crate) const ENOUGH_OF_A_BODY: i32 = MAX_UNFOLDED_BYTES as i32 + 1;

/// What becomes of a message that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfPresent {
    Keep,
    /// The fields that the new message fills replace those that are there. More copies never remove a field.
    Overlay,
}

/// Copies of messages that are read together, in the order of their numbers.
pub(crate) struct CopyPage {
    pub(crate) copies: Vec<LedgerCopy>,
    /// The last number that was looked at; `None` if there was nothing more.
    pub(crate) reached: Option<i64>,
}

/// A row of the ledger that a copy is read from.
pub(crate) struct CopyRow<T> {
    pub(crate) instance_id: String,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) body_sha256: Vec<u8>,
    pub(crate) received_at: T,
    pub(crate) seq: i64,
    pub(crate) state: String,
}

impl CopyPage {
    pub(crate) fn read<T>(
        rows: Vec<CopyRow<T>>,
        time: impl Fn(T) -> Result<Timestamp, StoreError>,
    ) -> Result<Self, StoreError> {
        let (mut copies, reached) = (Vec::new(), rows.last().map(|row| row.seq));
        for row in rows.into_iter().filter(|row| row.state == EventState::Applied.as_str()) {
            let (instance_id, received_at) = (InstanceId::from_store(&row.instance_id), time(row.received_at)?);
            let Some(body) = row.body else { continue };
            copies.extend(LedgerCopy::of_ledger(instance_id, &body, &row.body_sha256, received_at, row.seq));
        }
        Ok(Self { copies, reached })
    }
}

/// The statements on `messages` within a transaction.
#[async_trait]
pub(crate) trait MessageRows {
    /// Writes messages, new ones with the ack that their copies state, and returns the keys of those that were written.
    /// A message that is there already keeps its ack.
    async fn write_messages(
        &mut self,
        messages: &[Message],
        present: IfPresent,
    ) -> Result<HashSet<MessageKey>, StoreError>;

    /// The messages as they are recorded.
    async fn recorded(&mut self, keys: &[MessageKey]) -> Result<Vec<RecordedMessage>, StoreError>;

    /// The beginnings of the messages' bodies, as far as their words go, of those that have one.
    async fn beginnings(&mut self, keys: &[MessageKey]) -> Result<Vec<(MessageKey, String)>, StoreError>;

    /// The hashes of these rows of the ledger.
    async fn body_hashes(&mut self, seqs: &[i64]) -> Result<HashMap<i64, Vec<u8>>, StoreError>;

    /// The number of copies of each message in the ledger, applied or not, and the size of their bodies. Of each
    /// message, at most one copy more than may be folded is counted. No body is read for that.
    async fn copy_sizes(&mut self, keys: &[MessageKey]) -> Result<Vec<(MessageKey, CopySizes)>, StoreError>;

    /// The applied copies of these messages with numbers greater than `after`, up to `last`: as many as may be folded in
    /// bytes, and at least one.
    async fn copies(&mut self, keys: &[MessageKey], after: i64, last: i64) -> Result<CopyPage, StoreError>;

    /// The outgoing messages with these ids, in all instances but `-`.
    async fn outgoing_with_ids(&mut self, ids: &[String]) -> Result<Vec<MessageKey>, StoreError>;
}
