//! How far a message has come: pending → sent → delivered → read.

use super::instance::InstanceId;
use super::message::MessageKey;
use super::timestamp::Timestamp;
use crate::broken::{self, Fault};

/// What a message's `ack` says as long as nothing was stated.
const IMPLIED: &str = "pending";

/// From this rank on, a message is with its recipient.
pub const DELIVERED: i16 = 4;

/// From this rank on, its recipient has seen it.
pub const READ: i16 = 5;

/// How far a message has come.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Standing {
    pub rank: i16,
    pub ack: String,
}

impl Standing {
    /// The highest of what was stated; of equal rank, the greater bytes. Words without a rank do not count, and
    /// without any other a message is pending.
    pub fn highest<'a>(stated: impl Iterator<Item = &'a str>) -> Self {
        let stated = stated.map(|ack| Self { rank: rank(ack), ack: ack.to_owned() });
        let highest = stated.filter(|standing| standing.rank > 0).max();
        highest.unwrap_or_else(|| Self { rank: 0, ack: IMPLIED.to_owned() })
    }
}

/// One row of `message_acks`: a word that was stated of a message, and when it first was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageAck {
    pub instance_id: InstanceId,
    pub message_id: String,
    /// Verbatim, as the gateway wrote it.
    pub ack: String,
    /// The earliest arrival of this word.
    pub received_at: Timestamp,
}

/// A word that was stated of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatedAck {
    /// Verbatim.
    pub ack: String,
    pub rank: i16,
    /// When it was first stated.
    pub received_at: Timestamp,
}

impl MessageAck {
    /// The columns of its unique key, in their order.
    pub fn key(&self) -> (&InstanceId, &str, &str) {
        (&self.instance_id, &self.message_id, &self.ack)
    }

    /// Of which message it was stated.
    pub fn message_key(&self) -> MessageKey {
        (self.instance_id.clone(), self.message_id.clone())
    }
}

/// How far `ack` has come, for `ack_rank`: a message takes the highest. Compared trimmed and in lower case.
///
/// The order is the guide's (pending, sent, delivered, read) with the engines' `failed`, `error` and `played` put in
/// their places. Words that nobody documented rank 0: they are kept, and never move a message.
pub fn rank(ack: &str) -> i16 {
    if broken::is(Fault::LastAck) {
        return broken::later();
    }
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
    use super::{Standing, rank};

    #[test]
    fn acks_rank_in_the_guides_order_whatever_their_case() {
        let order = ["pending", "sent", "failed", "delivered", "read", "played"];
        assert!(order.is_sorted_by_key(|ack| rank(ack)));
        assert_eq!(rank(" READ "), rank("read"));
        assert_eq!(rank("error"), rank("failed"));
    }

    #[test]
    fn a_message_stands_where_the_highest_word_puts_it_verbatim() {
        let standing = |stated: &[&str]| Standing::highest(stated.iter().copied()).ack;
        assert_eq!(standing(&[]), "pending");
        assert_eq!(standing(&["Pending"]), "Pending");
        assert_eq!(standing(&["zzz"]), "pending");
        assert_eq!(standing(&["READ", "sent", "Read"]), "Read");
    }

    #[test]
    fn an_unknown_word_or_a_bare_number_moves_nothing() {
        for word in ["", "3", "server_ack", "leído"] {
            assert!(rank(word) < rank("pending"), "{word}");
        }
    }
}
