//! Reactions to messages. There is one row for each reaction event, and at most one of each person is current.

use serde::Serialize;

use std::collections::{HashMap, HashSet};

use crate::chat::ChatKey;
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
    /// The earliest arrival of an event that says this.
    pub received_at: Timestamp,
    /// The latest of the first arrivals of such events. An exact repeat of an event does not count.
    pub last_received_at: Timestamp,
}

impl MessageReaction {
    /// Returns the columns of the unique key, in their order.
    pub fn key(&self) -> (&InstanceId, &str, &str, &str, Timestamp) {
        (&self.instance_id, &self.message_id, &self.from_number, &self.reaction, self.reacted_at)
    }

    /// Returns the sort key among the reactions of one person to one message. The greatest is the latest.
    fn order(&self) -> (Timestamp, Timestamp, &str) {
        (self.reacted_at, self.last_received_at, &self.reaction)
    }

    /// Takes in the times of arrival of a row with the same key.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.received_at = self.received_at.min(other.received_at);
        self.last_received_at = self.last_received_at.max(other.last_received_at);
    }
}

/// Returns each person's current reaction to each message, in the order in which they were made. The current reaction
/// is the latest one, unless that is a removal. Gateways state whole seconds: of reactions at the same time, the one
/// that arrived later wins, and of those that arrived together, the one with the greater bytes. `persons` has the
/// conversations of ids that are aliases: a person's ids are one. The view
/// `v_current_reactions` has the same rule in SQL.
pub fn current(mut reactions: Vec<MessageReaction>, persons: &HashMap<ChatKey, String>) -> Vec<MessageReaction> {
    let person = |it: &MessageReaction| {
        let id = ChatKey { instance_id: it.instance_id.clone(), chat_id: it.from_number.clone() };
        persons.get(&id).cloned().unwrap_or(id.chat_id)
    };
    reactions.sort_by(|a, b| b.order().cmp(&a.order()));
    let mut seen = HashSet::new();
    reactions.retain(|it| seen.insert((it.instance_id.clone(), it.message_id.clone(), person(it))));
    reactions.retain(|it| !it.reaction.is_empty());
    reactions.reverse();
    reactions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_reaction_of_each_person_is_current_unless_it_is_a_removal() {
        let reaction = |person: &str, (emoji, at, arrival): (&str, i64, i64)| MessageReaction {
            instance_id: InstanceId::new("123").unwrap(),
            message_id: "A".to_owned(),
            from_number: person.to_owned(),
            reaction: emoji.to_owned(),
            reacted_at: Timestamp::from_millis(at),
            received_at: Timestamp::from_millis(0),
            last_received_at: Timestamp::from_millis(arrival),
        };
        // Each line has a person's reactions (what, when, its arrival) and the current one.
        type Made = (&'static str, i64, i64);
        let table: [(&str, &[Made], Option<&str>); 8] = [
            ("later", &[("👍", 1, 1), ("❤️", 7, 2)], Some("❤️")),
            ("later, but arrived before", &[("❤️", 6, 1), ("👍", 1, 9)], Some("❤️")),
            ("removed", &[("👍", 2, 1), ("", 3, 2)], None),
            ("removed, then again", &[("", 3, 1), ("👍", 5, 2)], Some("👍")),
            ("changed within a second", &[("😮", 4, 1), ("a", 4, 2)], Some("a")),
            ("removed within a second", &[("👍", 4, 1), ("", 4, 2)], None),
            ("made within a second of a removal", &[("", 3, 1), ("👍", 3, 2)], Some("👍")),
            ("arrived together", &[("", 2, 1), ("a", 2, 1), ("b", 2, 1)], Some("b")),
        ];
        let all = table.iter().flat_map(|(person, made, _)| made.iter().map(|it| reaction(person, *it)));
        let (forward, mut backward) = (Vec::from_iter(all.clone()), Vec::from_iter(all));
        backward.reverse();
        let shown =
            |all| Vec::from_iter(current(all, &HashMap::new()).into_iter().map(|it| (it.from_number, it.reaction)));
        let (shown, reversed) = (shown(forward), shown(backward));
        assert_eq!(shown, reversed);
        let places = ["arrived together", "made within a second of a removal", "changed within a second"];
        let places = places.into_iter().chain(["removed, then again", "later, but arrived before", "later"]);
        assert!(shown.iter().map(|(person, _)| person.as_str()).eq(places), "{shown:?}");
        for (person, _, expected) in table {
            let found = shown.iter().find(|(of, _)| of == person).map(|(_, emoji)| emoji.as_str());
            assert_eq!(found, expected, "{person}");
        }
        let two_ids = vec![reaction("1763@lid", ("👍", 1, 1)), reaction("573@c.us", ("❤️", 2, 2))];
        let id = ChatKey { instance_id: InstanceId::new("123").unwrap(), chat_id: "1763@lid".to_owned() };
        assert_eq!(current(two_ids.clone(), &HashMap::from([(id, "573@c.us".to_owned())])), two_ids[1..]);
    }
}
