//! The acks that were stated of each message.

use async_trait::async_trait;
use serde::Serialize;

use crate::StoreError;
use domain::instance::InstanceId;
use domain::message::MessageKey;
use domain::message::ack::{self, AckRaise, AckStatus, MessageAck};
use domain::time::timestamp::Timestamp;

/// The statements on `message_acks` within a transaction.
#[async_trait]
pub(crate) trait AckRows {
    /// Writes acks; one that is there already has the earliest and the latest arrival. Returns how many rows were
    /// written.
    async fn upsert_acks(&mut self, acks: &[MessageAck]) -> Result<u64, StoreError>;

    /// Returns the keys of those messages that have acks.
    async fn acked(&mut self, messages: &[MessageKey]) -> Result<Vec<MessageKey>, StoreError>;

    /// Returns the acks that came without an instance for messages with these ids.
    async fn unstated_acks(&mut self, message_ids: &[String]) -> Result<Vec<MessageAck>, StoreError>;

    /// Returns one raise for each message to everything that `message_acks` has of it. All of that is read, so this is
    /// for messages that were not there when it was stated.
    async fn stated_raises(&mut self, messages: &[MessageKey]) -> Result<Vec<AckRaise>, StoreError>;

    /// Raises the messages' acks where the stated one is greater in the [order](AckStatus::order) of words. All that
    /// was stated must be in `message_acks`. The times of the first acks that say that a message was delivered, and
    /// that it was read, are written too. Returns the number of messages that should have changed and did not.
    async fn raise_acks(&mut self, raises: &[AckRaise]) -> Result<u64, StoreError>;
}

/// The columns of a row of `message_acks`.
#[derive(Serialize)]
pub(crate) struct AckColumns<'a> {
    pub(crate) instance_id: &'a InstanceId,
    pub(crate) message_id: &'a str,
    pub(crate) ack: &'a str,
    pub(crate) ack_rank: i16,
    pub(crate) received_at: Timestamp,
    pub(crate) last_received_at: Timestamp,
}

/// The columns of a raise, as they follow from the rows of `message_acks`.
pub(crate) struct RaiseColumns {
    pub(crate) instance_id: InstanceId,
    pub(crate) message_id: String,
    pub(crate) ack: String,
    pub(crate) ack_rank: i16,
    pub(crate) stated_at: Timestamp,
    pub(crate) delivered_at: Option<Timestamp>,
    pub(crate) read_at: Option<Timestamp>,
}

impl From<RaiseColumns> for AckRaise {
    fn from(row: RaiseColumns) -> Self {
        Self {
            instance_id: row.instance_id,
            message_id: row.message_id,
            status: AckStatus { rank: row.ack_rank, ack: row.ack, stated_at: row.stated_at },
            delivered_at: row.delivered_at,
            read_at: row.read_at,
        }
    }
}

impl<'a> From<&'a MessageAck> for AckColumns<'a> {
    fn from(ack: &'a MessageAck) -> Self {
        Self {
            instance_id: &ack.instance_id,
            message_id: &ack.message_id,
            ack: &ack.ack,
            ack_rank: ack::rank(&ack.ack),
            received_at: ack.received_at,
            last_received_at: ack.last_received_at,
        }
    }
}
