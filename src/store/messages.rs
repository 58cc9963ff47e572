//! Messages, each a function of its copies in the ledger.

use std::collections::HashSet;

use async_trait::async_trait;

use super::StoreError;
use crate::domain::chat::Place;
use crate::domain::message::{LedgerCopy, Message, MessageKey};

/// What becomes of a message that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IfPresent {
    Keep,
    Replace,
}

/// The statements on `messages` within a transaction.
#[async_trait]
pub(super) trait MessageRows {
    /// Writes messages, new ones with the ack that their copies state, and returns the keys of those that were written.
    /// A message that is there already keeps its ack, and all else too unless it is to be replaced.
    async fn write_messages(
        &mut self,
        messages: &[Message],
        present: IfPresent,
    ) -> Result<HashSet<MessageKey>, StoreError>;

    /// All copies of the messages in the ledger.
    async fn copies(&mut self, keys: &[MessageKey]) -> Result<Vec<LedgerCopy>, StoreError>;

    /// Where the messages stand.
    async fn places(&mut self, keys: &[MessageKey]) -> Result<Vec<(MessageKey, Place)>, StoreError>;

    /// The outgoing messages with these ids, in all instances but `-`.
    async fn outgoing_with_ids(&mut self, ids: &[String]) -> Result<Vec<MessageKey>, StoreError>;

    /// Raises the messages' acks to the highest in `message_acks`; of equal rank, the greater bytes. Never lowers one.
    /// With it go the times of the first acks that say that a message was delivered, and that it was read.
    async fn raise_acks(&mut self, keys: &[MessageKey]) -> Result<(), StoreError>;
}
