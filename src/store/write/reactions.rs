//! The reactions to each message.

use async_trait::async_trait;

use crate::StoreError;
use domain::message::reaction::MessageReaction;

/// The statements on `message_reactions` within a transaction.
#[async_trait]
pub(crate) trait ReactionRows {
    /// Writes reactions; one that is there already has the earliest and the latest arrival. Returns how many rows were
    /// written.
    async fn upsert_reactions(&mut self, reactions: &[MessageReaction]) -> Result<u64, StoreError>;
}
