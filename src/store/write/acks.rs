//! The acks that were stated of each message.

use async_trait::async_trait;

use crate::StoreError;
use domain::message::MessageKey;
use domain::message::ack::{AckRaise, MessageAck};

/// The statements on `message_acks` within a transaction.
#[async_trait]
pub(crate) trait AckRows {
    /// Writes acks; one that is there already keeps the earlier arrival. Returns how many rows were written.
    async fn upsert_acks(&mut self, acks: &[MessageAck]) -> Result<u64, StoreError>;

    /// Those of the messages that have acks.
    async fn acked(&mut self, messages: &[MessageKey]) -> Result<Vec<MessageKey>, StoreError>;

    /// The acks that came without an instance for messages with these ids.
    async fn unstated_acks(&mut self, message_ids: &[String]) -> Result<Vec<MessageAck>, StoreError>;

    /// Raises the messages' acks to those that were stated; of equal rank, the greater bytes. Never lowers one. With it go
    /// the times of the first acks that say that a message was delivered, and that it was read. Returns the number of messages
    /// that should have changed and did not.
    async fn raise_acks(&mut self, raises: &[AckRaise]) -> Result<u64, StoreError>;

    /// The same to everything that `message_acks` has of messages. It is read from end to end, so it is for messages that
    /// were not there when it was stated.
    async fn take_over_acks(&mut self, keys: &[MessageKey]) -> Result<u64, StoreError>;
}
