//! Acks, which say how far a message has come: pending → sent → delivered → read.

use std::collections::BTreeMap;

use serde::Serialize;

use super::MessageKey;
use crate::instance::InstanceId;
use crate::time::timestamp::Timestamp;

/// The `ack` of a message for which none was stated.
const IMPLIED: &str = "pending";

/// The rank from which on a message is delivered.
pub const DELIVERED: i16 = 4;

/// The rank from which on a message is read.
pub const READ: i16 = 5;

/// The ack of a message, with its rank.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct AckStatus {
    pub rank: i16,
    pub ack: String,
}

impl AckStatus {
    /// Returns the stated ack with the highest rank, and of acks of equal rank the one with the greater bytes. Words
    /// without a rank do not count. If there is no other, the message is pending.
    pub fn highest<'a>(stated: impl Iterator<Item = &'a str>) -> Self {
        let stated = stated.map(|ack| Self { rank: rank(ack), ack: ack.to_owned() });
        let highest = stated.filter(|status| status.rank > 0).max();
        highest.unwrap_or_else(|| Self { rank: 0, ack: IMPLIED.to_owned() })
    }
}

/// A row of `message_acks`: an ack that was stated for a message, and when it first was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageAck {
    pub instance_id: InstanceId,
    pub message_id: String,
    /// The word as the gateway wrote it.
    pub ack: String,
    /// The earliest arrival of this word.
    pub received_at: Timestamp,
}

/// An ack that was stated for a message, as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatedAck {
    /// The word as the gateway wrote it.
    pub ack: String,
    pub rank: i16,
    /// The earliest arrival of this word.
    pub received_at: Timestamp,
}

impl MessageAck {
    /// Returns the columns of the unique key, in their order.
    pub fn key(&self) -> (&InstanceId, &str, &str) {
        (&self.instance_id, &self.message_id, &self.ack)
    }

    /// Returns the key of the message.
    pub fn message_key(&self) -> MessageKey {
        MessageKey { instance_id: self.instance_id.clone(), id: self.message_id.clone() }
    }
}

/// The status to which the acks of a message raise it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AckRaise {
    pub instance_id: InstanceId,
    pub message_id: String,
    #[serde(flatten)]
    pub status: AckStatus,
    /// The arrival of the first ack that says that the message was at least delivered.
    pub delivered_at: Option<Timestamp>,
    /// The arrival of the first ack that says that the message was at least read.
    pub read_at: Option<Timestamp>,
}

impl AckRaise {
    /// Returns one raise for each message, sorted by message. A word without a rank raises nothing.
    pub fn fold<'a>(acks: impl Iterator<Item = &'a MessageAck>) -> Vec<Self> {
        let mut of_messages = BTreeMap::<MessageKey, Self>::new();
        for raise in acks.map(Self::of).filter(|raise| raise.status.rank > 0) {
            of_messages.entry(raise.message_key()).and_modify(|known| known.merge(&raise)).or_insert(raise);
        }
        of_messages.into_values().collect()
    }

    /// The message that it raises.
    pub fn message_key(&self) -> MessageKey {
        MessageKey { instance_id: self.instance_id.clone(), id: self.message_id.clone() }
    }

    fn of(ack: &MessageAck) -> Self {
        let status = AckStatus::highest(std::iter::once(ack.ack.as_str()));
        let from = |rank| (status.rank >= rank).then_some(ack.received_at);
        let (delivered_at, read_at) = (from(DELIVERED), from(READ));
        let MessageKey { instance_id, id: message_id } = ack.message_key();
        Self { instance_id, message_id, status, delivered_at, read_at }
    }

    fn merge(&mut self, other: &Self) {
        let earlier = |a: Option<Timestamp>, b: Option<Timestamp>| a.into_iter().chain(b).min();
        self.delivered_at = earlier(self.delivered_at, other.delivered_at);
        self.read_at = earlier(self.read_at, other.read_at);
        if other.status > self.status {
            self.status = other.status.clone();
        }
    }
}

/// Returns the rank of an ack, for the column `ack_rank`. A message has the highest of its ranks. Case and surrounding
/// space do not matter.
///
/// The order is the guide's (pending, sent, delivered, read), with the words `failed`, `error` and `played` of the
/// engines added. Undocumented words have rank 0: they are recorded, and never change the ack of a message.
pub fn rank(ack: &str) -> i16 {
    match ack.trim().to_lowercase().as_str() {
        "pending" => 1,
        "sent" => 2,
        "failed" | "error" => 3,
        "delivered" => DELIVERED,
        "read" => READ,
        "played" => 6,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acks_rank_in_the_order_of_the_guide_whatever_their_case() {
        let order = ["pending", "sent", "failed", "delivered", "read", "played"];
        assert!(order.is_sorted_by_key(|ack| rank(ack)));
        assert_eq!(rank(" READ "), rank("read"));
        assert_eq!(rank("error"), rank("failed"));
    }

    #[test]
    fn a_message_has_the_highest_ack_verbatim() {
        let status = |stated: &[&str]| AckStatus::highest(stated.iter().copied()).ack;
        assert_eq!(status(&[]), "pending");
        assert_eq!(status(&["Pending"]), "Pending");
        assert_eq!(status(&["zzz"]), "pending");
        assert_eq!(status(&["READ", "sent", "Read"]), "Read");
    }

    #[test]
    fn acks_raise_a_message_to_the_highest_of_them_at_the_earliest_times() {
        let ack = |ack: &str, millis| MessageAck {
            instance_id: InstanceId::unstated(),
            message_id: "A".to_owned(),
            ack: ack.to_owned(),
            received_at: Timestamp::from_millis(millis),
        };
        let acks = [ack("Read", 7), ack("sent", 1), ack("READ", 9), ack("delivered", 8), ack("odd", 2)];
        let raises = AckRaise::fold(acks.iter());
        let [raise] = raises.as_slice() else { panic!("{raises:?}") };
        assert_eq!(raise.status, AckStatus { rank: READ, ack: "Read".to_owned() });
        assert_eq!(
            (raise.delivered_at, raise.read_at),
            (Some(Timestamp::from_millis(7)), Some(Timestamp::from_millis(7)))
        );
        assert_eq!(AckRaise::fold([ack("odd", 2)].iter()), []);
    }

    #[test]
    fn an_unknown_word_or_a_number_has_no_rank() {
        for word in ["", "3", "server_ack", "leído"] {
            assert!(rank(word) < rank("pending"), "{word}");
        }
    }
}
