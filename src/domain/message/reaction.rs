//! Reactions to messages. There is one row for each reaction event, and at most one of each person is current.

use serde::Serialize;

use std::cmp::Reverse;
use std::collections::HashSet;

use crate::instance::InstanceId;
use crate::time::timestamp::Timestamp;

/// A row of `message_reactions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MessageReaction {
    pub instance_id: InstanceId,
    pub message_id: String,
    pub from_number: String,
    /// The emoji, or empty text for a removal.
    pub reaction: String,
    /// The gateway's timestamp, or else the time of arrival.
    pub reacted_at: Timestamp,
    /// The earliest arrival.
    pub received_at: Timestamp,
}

impl MessageReaction {
    /// Returns the columns of the unique key, in their order.
    pub fn key(&self) -> (&InstanceId, &str, &str, &str, Timestamp) {
        (&self.instance_id, &self.message_id, &self.from_number, &self.reaction, self.reacted_at)
    }
}

/// Returns each person's current reaction to each message, in the order in which they were made. The current reaction
/// is the latest one, unless that is a removal. Of reactions at the same time, an emoji wins over a removal, and
/// greater bytes win over lesser ones. The view `v_current_reactions` has the same rule in SQL.
pub fn current(mut reactions: Vec<MessageReaction>) -> Vec<MessageReaction> {
    reactions.sort_by_cached_key(|it| Reverse((it.reacted_at, !it.reaction.is_empty(), it.reaction.clone())));
    let mut seen = HashSet::new();
    reactions.retain(|it| seen.insert((it.instance_id.clone(), it.message_id.clone(), it.from_number.clone())));
    reactions.retain(|it| !it.reaction.is_empty());
    reactions.reverse();
    reactions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_reaction_of_each_person_is_current_unless_it_is_a_removal() {
        let reaction = |person: &str, emoji: &str, at: i64| MessageReaction {
            instance_id: InstanceId::new("123").unwrap(),
            message_id: "A".to_owned(),
            from_number: person.to_owned(),
            reaction: emoji.to_owned(),
            reacted_at: Timestamp::from_millis(at),
            received_at: Timestamp::from_millis(at),
        };
        let all = vec![
            reaction("juan", "👍", 1),
            reaction("juan", "❤️", 5),
            reaction("ana", "👍", 2),
            reaction("ana", "", 3),
            reaction("eva", "", 4),
            reaction("eva", "a", 4),
            reaction("eva", "b", 4),
        ];
        let shown: Vec<(String, String)> = current(all).into_iter().map(|it| (it.from_number, it.reaction)).collect();
        let expected = [("eva", "b"), ("juan", "❤️")].map(|(person, emoji)| (person.to_owned(), emoji.to_owned()));
        assert_eq!(shown, expected);
    }
}
