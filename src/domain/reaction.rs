//! Reactions: one row for each reaction event. Which one is current is the business of `v_current_reactions`.

use super::instance::InstanceId;
use super::timestamp::Timestamp;

/// One row of `message_reactions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageReaction {
    pub instance_id: InstanceId,
    pub message_id: String,
    pub from_number: String,
    /// The emoji; empty for a removal.
    pub reaction: String,
    /// The gateway's timestamp, else the arrival.
    pub reacted_at: Timestamp,
    /// The earliest arrival.
    pub received_at: Timestamp,
}

impl MessageReaction {
    /// The columns of its unique key, in their order.
    pub fn key(&self) -> (&InstanceId, &str, &str, &str, Timestamp) {
        (&self.instance_id, &self.message_id, &self.from_number, &self.reaction, self.reacted_at)
    }
}
