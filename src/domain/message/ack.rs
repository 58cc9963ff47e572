//! Acks, which say how far a message has come: pending → sent → delivered → read.

use std::collections::BTreeMap;

use serde::Serialize;

use super::MessageKey;
use crate::instance::InstanceId;
use crate::time::timestamp::Timestamp;

/// The `ack` of a message for which none was stated.
const IMPLIED: &str = "pending";

/// The ranks between which the later word counts.
pub const SENT: i16 = 2;
pub const FAILED: i16 = 3;

/// The rank from which on a message is delivered.
pub const DELIVERED: i16 = 4;

/// The rank from which on a message is read.
pub const READ: i16 = 5;

/// A word that was stated of a message, with its rank.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AckStatus {
    pub rank: i16,
    pub ack: String,
    /// When it was stated, for the last time.
    pub stated_at: Timestamp,
}

/// The sort key of a word among those of its message. The greatest is the message's ack.
pub type AckOrder<'a> = (i16, Option<Timestamp>, i16, &'a str);

impl AckStatus {
    fn new(ack: &str, stated_at: Timestamp) -> Self {
        Self { rank: rank(ack), ack: ack.to_owned(), stated_at }
    }

    /// Returns the sort key. A word of a higher rank is greater, whenever it was stated. But a message that failed can
    /// be sent again, and one that was sent can fail: of `sent`, `failed` and `error`, the one that was stated later is
    /// the greater one. Of words that are equal so far, the one with the greater bytes is.
    pub fn order(&self) -> AckOrder<'_> {
        match self.rank {
            SENT | FAILED => (FAILED, Some(self.stated_at), self.rank, &self.ack),
            rank => (rank, None, rank, &self.ack),
        }
    }

    /// Returns the ack of a message of which these words were stated at these times. Words without a rank do not count.
    /// If there is no other, the message is pending.
    pub fn of_message<'a>(stated: impl Iterator<Item = (&'a str, Timestamp)>) -> Self {
        let stated = stated.map(|(ack, at)| Self::new(ack, at)).filter(|status| status.rank > 0);
        let greatest = stated.reduce(|known, other| known.max(other));
        greatest.unwrap_or_else(|| Self { rank: 0, ack: IMPLIED.to_owned(), stated_at: Timestamp::MIN })
    }

    fn max(self, other: Self) -> Self {
        if other.order() > self.order() { other } else { self }
    }
}

/// A row of `message_acks`: an ack that was stated for a message, and when it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageAck {
    pub instance_id: InstanceId,
    pub message_id: String,
    /// The word as the gateway wrote it.
    pub ack: String,
    /// The earliest arrival of an event that states this word.
    pub received_at: Timestamp,
    /// The latest of the first arrivals of such events. An exact repeat of an event does not count.
    pub last_received_at: Timestamp,
}

/// An ack that was stated for a message, as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatedAck {
    /// The word as the gateway wrote it.
    pub ack: String,
    pub rank: i16,
    /// The earliest arrival of an event that states this word.
    pub received_at: Timestamp,
    /// The latest of the first arrivals of such events.
    pub last_received_at: Timestamp,
}

impl MessageAck {
    /// Returns the ack that an event states which arrived at this time.
    pub fn new(instance_id: InstanceId, message_id: String, ack: String, arrival: Timestamp) -> Self {
        Self { instance_id, message_id, ack, received_at: arrival, last_received_at: arrival }
    }

    /// Returns the columns of the unique key, in their order.
    pub fn key(&self) -> (&InstanceId, &str, &str) {
        (&self.instance_id, &self.message_id, &self.ack)
    }

    /// Returns the key of the message.
    pub fn message_key(&self) -> MessageKey {
        MessageKey { instance_id: self.instance_id.clone(), id: self.message_id.clone() }
    }

    /// Takes in the times of a row with the same key.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.received_at = self.received_at.min(other.received_at);
        self.last_received_at = self.last_received_at.max(other.last_received_at);
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
        let status = AckStatus::new(&ack.ack, ack.last_received_at);
        let from = |rank| (status.rank >= rank).then_some(ack.received_at);
        let (delivered_at, read_at) = (from(DELIVERED), from(READ));
        let MessageKey { instance_id, id: message_id } = ack.message_key();
        Self { instance_id, message_id, status, delivered_at, read_at }
    }

    fn merge(&mut self, other: &Self) {
        let earlier = |a: Option<Timestamp>, b: Option<Timestamp>| a.into_iter().chain(b).min();
        self.delivered_at = earlier(self.delivered_at, other.delivered_at);
        self.read_at = earlier(self.read_at, other.read_at);
        if other.status.order() > self.status.order() {
            self.status = other.status.clone();
        }
    }
}

/// Returns the rank of an ack, for the column `ack_rank`. [`AckStatus::order`] says which of a message's words counts.
/// Case and surrounding space do not matter.
///
/// The order is the guide's (pending, sent, delivered, read), with the words `failed`, `error` and `played` of the
/// engines added. Undocumented words have rank 0: they are recorded, and never change the ack of a message.
pub fn rank(ack: &str) -> i16 {
    match ack.trim().to_lowercase().as_str() {
        "pending" => 1,
        "sent" => SENT,
        "failed" | "error" => FAILED,
        "delivered" => DELIVERED,
        "read" => READ,
        "played" => 6,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn acks_rank_in_the_order_of_the_guide_whatever_their_case() {
        let order = ["pending", "sent", "failed", "delivered", "read", "played"];
        assert!(order.is_sorted_by_key(|ack| rank(ack)));
        assert_eq!(rank(" READ "), rank("read"));
        assert_eq!(rank("error"), rank("failed"));
    }

    #[test]
    fn a_message_has_the_highest_ack_and_of_sent_and_failed_the_later() {
        let table: [(&[&str], &str); 13] = [
            (&[], "pending"),
            (&["Pending"], "Pending"),
            (&["zzz"], "pending"),
            (&["READ", "sent", "Read"], "Read"),
            (&["sent", "failed"], "failed"),
            (&["error", "sent"], "sent"),
            (&["failed", "sent", "error"], "error"),
            (&["sent", "error", "sent"], "sent"),
            (&["failed", "Sent", "pending"], "Sent"),
            (&["failed", "error"], "error"),
            (&["delivered", "failed"], "delivered"),
            (&["failed", "sent", "delivered", "failed"], "delivered"),
            (&["played", "error", "sent", "read"], "played"),
        ];
        for (stated, expected) in table {
            let ack = |reversed: bool| {
                let mut stated: Vec<(&str, Timestamp)> = stated.iter().copied().zip((1..).map(at)).collect();
                if reversed {
                    stated.reverse();
                }
                AckStatus::of_message(stated.into_iter()).ack
            };
            assert_eq!([ack(false), ack(true)], [expected, expected], "{stated:?}");
        }
        let together = ["failed", "error", "sent"].map(|ack| (ack, at(1)));
        assert_eq!(AckStatus::of_message(together.into_iter()).ack, "failed");
    }

    #[test]
    fn acks_raise_a_message_to_the_highest_of_them_at_the_earliest_times() {
        let ack =
            |ack: &str, millis| MessageAck::new(InstanceId::unstated(), "A".to_owned(), ack.to_owned(), at(millis));
        let acks = [ack("Read", 7), ack("sent", 1), ack("READ", 9), ack("delivered", 8), ack("odd", 2)];
        let raises = AckRaise::fold(acks.iter());
        let [raise] = raises.as_slice() else { panic!("{raises:?}") };
        assert_eq!(raise.status, AckStatus::new("Read", at(7)));
        assert_eq!((raise.delivered_at, raise.read_at), (Some(at(7)), Some(at(7))));
        assert_eq!(AckRaise::fold([ack("odd", 2)].iter()), []);
    }

    #[test]
    fn an_unknown_word_or_a_number_has_no_rank() {
        for word in ["", "3", "server_ack", "leído"] {
            assert!(rank(word) < rank("pending"), "{word}");
        }
    }
}
