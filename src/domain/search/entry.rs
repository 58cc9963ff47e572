//! The index entries that searches look in: the words of a message, and facets for its instance, chat and week.

use sha2::{Digest, Sha256};

use super::week::Week;
use crate::instance::InstanceId;
use crate::message::{Message, MessageKey};
use crate::time::timestamp::Timestamp;

/// The index entry of a message: a row of `message_search`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchEntry {
    pub instance_id: InstanceId,
    pub id: String,
    pub occurred_at: Timestamp,
    /// The number of the message, by which those of the same time are ordered.
    pub seq: i64,
    /// The folded words of the message in their order, separated by spaces. There is at least one.
    pub words: String,
    /// The facets in ascending order.
    pub facets: Vec<Facet>,
}

/// The place of an entry in the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchPlace {
    pub instance_id: InstanceId,
    pub occurred_at: Timestamp,
    pub seq: i64,
}

/// An index word for the instance, chat or week of a message, by which a search is filtered. It begins with a capital
/// letter, which no word of a text does, and has only ASCII letters and digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Facet(String);

/// The number of bytes of the hash in the facet of a chat.
const CHAT_BYTES: usize = 10;

impl SearchEntry {
    /// Returns the number of its words and facets.
    pub fn terms(&self) -> usize {
        self.words.split(' ').count() + self.facets.len()
    }

    /// Returns the entry of a message, or `None` if it has no word.
    pub fn of(message: &Message) -> Option<Self> {
        let (key, chat_id) = (message.key(), message.fields.chat_id.as_deref());
        Self::new(key, chat_id, message.occurred_at(), message.seq, message.words.clone())
    }

    /// Returns an entry, or `None` if there is no word.
    pub fn new(
        MessageKey { instance_id, id }: MessageKey,
        chat_id: Option<&str>,
        occurred_at: Timestamp,
        seq: i64,
        words: String,
    ) -> Option<Self> {
        if words.is_empty() {
            return None;
        }
        let chat = chat_id.map(|chat_id| Facet::chat(&instance_id, chat_id));
        let everywhere = [Facet::instance(&instance_id), Facet::week(Week::of(occurred_at))];
        let facets = chat.into_iter().chain(everywhere).collect();
        Some(Self { instance_id, id, occurred_at, seq, words, facets })
    }
}

impl Facet {
    pub fn instance(instance_id: &InstanceId) -> Self {
        Self(format!("I{}", hex::encode(instance_id.as_str())))
    }

    pub fn chat(instance_id: &InstanceId, chat_id: &str) -> Self {
        // The id of an instance has no NUL, so that two chats are never hashed as the same text.
        let hash = Sha256::new().chain_update(instance_id.as_str()).chain_update([0]).chain_update(chat_id).finalize();
        Self(format!("C{}", hex::encode(&hash[..CHAT_BYTES])))
    }

    pub fn week(week: Week) -> Self {
        Self(format!("W{}", week.number()))
    }

    /// Returns a facet that no message has.
    pub(super) fn matches_nothing() -> Self {
        Self("N".to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::words::first_words;

    fn entry(chat_id: Option<&str>, body: &str) -> Option<SearchEntry> {
        let key = MessageKey { instance_id: InstanceId::new("7").unwrap(), id: "A".to_owned() };
        SearchEntry::new(key, chat_id, Timestamp::from_millis(1_724_716_800_000), 1, first_words(&[body]))
    }

    #[test]
    fn an_entry_has_the_words_in_their_order_and_facets_for_chat_instance_and_week() {
        let found = entry(Some("573001112233@c.us"), "Hola, ¡hola!").unwrap();
        assert_eq!(found.words, "hola hola");
        let facets: Vec<&str> = found.facets.iter().map(Facet::as_str).collect();
        assert_eq!(facets, ["C703deed633f7f5b2d4ef", "I37", "W351507"]);
        assert!(found.facets.is_sorted());
        assert_eq!(entry(None, "Hola").unwrap().facets.len(), 2);
    }

    #[test]
    fn a_text_without_words_has_no_entry() {
        assert_eq!(entry(None, " … \u{301}!"), None);
    }

    #[test]
    fn chats_of_two_instances_have_different_facets() {
        let chat = |instance: &str, chat: &str| Facet::chat(&InstanceId::new(instance).unwrap(), chat);
        assert_ne!(chat("7", "1@c.us"), chat("71", "@c.us"));
        assert_ne!(chat("7", "1@c.us"), chat("8", "1@c.us"));
    }

    #[test]
    fn the_first_64_kib_of_a_long_text_are_indexed_up_to_a_whole_word() {
        let words = |body: &str| entry(None, body).unwrap().words;
        let numbered = |count: usize| (0..count).map(|n| format!("w{n:06}")).collect::<Vec<String>>().join(" ");
        assert_eq!(words(&numbered(20_000)), numbered(8_192));
        assert_eq!(words(&format!(" {}", numbered(20_000))), numbered(8_191));
        assert_eq!(words(&"a".repeat(4_000_000)), "a".repeat(255));
        assert_eq!(entry(None, &"\u{301}".repeat(2_000_000)), None);
        let letter = |n: u32| char::from_digit(n % 36, 36).unwrap();
        let short = (0..20_000).map(|n| String::from_iter([letter(n / 1_296), letter(n / 36), letter(n)]));
        let short = short.collect::<Vec<String>>();
        assert_eq!(words(&short.join(" ")), short[..16_383].join(" "));
    }
}
