//! The acks that were stated of each message.

use async_trait::async_trait;

use super::StoreError;
use crate::domain::ack::MessageAck;
use crate::domain::message::MessageKey;

/// The statements on `message_acks` within a transaction.
#[async_trait]
pub(super) trait AckRows {
    /// Writes acks; one that is there already keeps the earlier arrival.
    async fn upsert_acks(&mut self, acks: &[MessageAck]) -> Result<(), StoreError>;

    /// Those of the messages that have acks.
    async fn acked(&mut self, messages: &[MessageKey]) -> Result<Vec<MessageKey>, StoreError>;

    /// The acks that came without an instance for messages with these ids.
    async fn unstated_acks(&mut self, message_ids: &[String]) -> Result<Vec<MessageAck>, StoreError>;
}
