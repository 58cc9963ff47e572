//! The reactions to each message.

use async_trait::async_trait;
use serde::Serialize;

use crate::StoreError;
use domain::instance::InstanceId;
use domain::message::reaction::MessageReaction;
use domain::time::timestamp::Timestamp;

/// The statements on `message_reactions` within a transaction.
#[async_trait]
pub(crate) trait ReactionRows {
    /// Writes reactions; one that is there already keeps the earlier arrival. Returns how many rows were written.
    async fn upsert_reactions(&mut self, reactions: &[MessageReaction]) -> Result<u64, StoreError>;
}

/// The columns of a row of `message_reactions`.
#[derive(Serialize)]
pub(crate) struct ReactionColumns<'r> {
    pub(crate) instance_id: &'r InstanceId,
    pub(crate) message_id: &'r str,
    pub(crate) from_number: &'r str,
    pub(crate) reaction: &'r str,
    pub(crate) reacted_at: Timestamp,
    pub(crate) received_at: Timestamp,
}

impl<'r> From<&'r MessageReaction> for ReactionColumns<'r> {
    fn from(reaction: &'r MessageReaction) -> Self {
        Self {
            instance_id: &reaction.instance_id,
            message_id: &reaction.message_id,
            from_number: &reaction.from_number,
            reaction: &reaction.reaction,
            reacted_at: reaction.reacted_at,
            received_at: reaction.received_at,
        }
    }
}
