//! The indexes that lists are read by. The index is chosen here, by the filter and the list. The backends only
//! translate it into SQL.

use super::listing::{Condition, KIND, KeyRange, ListSource, PageQuery};
use super::messages::BY_TIME;
use super::messages::filter::MessageFilter;
use domain::page::{Paging, SortKey};

/// An index that begins with the instance and the columns `leading`, which have certain values in each [`KeyRange`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Index {
    /// The name, unless the conditions alone lead to the index. Without statistics SQLite often chooses an index that
    /// leaves far more rows, so its statements name the index.
    pub(crate) name: Option<&'static str>,
    pub(crate) leading: &'static [&'static str],
    pub(crate) order: IndexOrder,
    lacks: Lacks,
}

/// The way in which the rows of an index come into the order of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IndexOrder {
    /// The index has them in that order.
    Indexed,
    /// There are few, anywhere in the list, and they are sorted.
    Sorted,
}

/// The rows that a partial index is without.
#[derive(Debug, PartialEq, Eq)]
enum Lacks {
    Nothing,
    /// Rows with one of these words in the last leading column. Most rows have them, so the list by time finds them
    /// soon.
    Words(&'static [&'static str]),
    /// Messages from or to the chat itself, which the index of the chat has.
    Chat,
    /// Incoming messages that are pending. They stay so for ever.
    PendingIncoming,
}

/// The column of the person who wrote a message.
pub(crate) const AUTHOR: &str = "coalesce(group_sender, from_id)";

const PENDING: &str = "pending";

/// The index of the list itself.
pub(crate) const OF_LIST: Index = Index { name: None, leading: &[], order: IndexOrder::Indexed, lacks: Lacks::Nothing };

const QUOTED: Index = Index::ordered("messages_quoted", &["quoted_message_id"], Lacks::Nothing);
const CHAT: Index = Index::ordered("messages_chat", &["chat_id"], Lacks::Nothing);
const FROM: Index = Index::ordered("messages_from", &["from_id"], Lacks::Chat);
/// Has the messages in groups.
const GROUP_SENDER: Index = Index::ordered("messages_author", &["group_sender"], Lacks::Nothing);
const TO: Index = Index::ordered("messages_to", &["to_id"], Lacks::Chat);
/// Has the messages with a file.
const FILE: Index = Index::ordered("messages_media", &[], Lacks::Nothing);
const ACK: Index = Index::ordered("messages_ack", &["from_me", KIND, "ack"], Lacks::PendingIncoming);
const TYPE: Index = Index::ordered("messages_type", &["type"], Lacks::Words(&["text"]));
const STATUS: Index = Index::ordered("messages_status", &["status"], Lacks::Words(&["received", "sent"]));
const DIRECTION: Index = Index::ordered("messages_direction", &["from_me", KIND], Lacks::Nothing);
const FEW_QUOTED: Index = Index::sorted(&["quoted_message_id"]);
const FEW_IN_CHAT: Index = Index::sorted(&["chat_id"]);

pub(crate) const OF_MESSAGE: Index = Index::sorted(&["message_id"]);
pub(crate) const OF_CONTACT: Index = Index::sorted(&["contact"]);
pub(crate) const CHATS_LATEST: Index = Index::ordered("chats_latest", &[KIND], Lacks::Nothing);
/// Has the chats in which somebody waits.
pub(crate) const CHATS_WAITING: Index = Index::ordered("chats_waiting", &[], Lacks::Nothing);
pub(crate) const ACK_WORD: Index =
    Index::ordered("message_acks_word", &["ack"], Lacks::Words(&[PENDING, "sent", "delivered", "read"]));
pub(crate) const REACTIONS_OF_PERSON: Index =
    Index::ordered("message_reactions_person", &["from_number"], Lacks::Nothing);
pub(crate) const MEDIA_STATE: Index = Index::ordered("media_listed_by_state", &["state"], Lacks::Nothing);
/// Has the first characters of the content type, which tell `image` from `audio`.
pub(crate) const MEDIA_TYPE: Index = Index::ordered("media_listed_by_type", &[TYPE_PREFIX], Lacks::Nothing);
pub(crate) const MEDIA_CHAT: Index = Index::ordered("media_listed_by_chat", &["chat_id"], Lacks::Nothing);
pub(crate) const TYPE_PREFIX: &str = "substr(content_type, 1, 5)";
pub(crate) const TYPE_PREFIX_LENGTH: usize = 5;

impl Index {
    const fn ordered(name: &'static str, leading: &'static [&'static str], lacks: Lacks) -> Self {
        Self { name: Some(name), leading, order: IndexOrder::Indexed, lacks }
    }

    const fn sorted(leading: &'static [&'static str]) -> Self {
        Self { name: None, leading, order: IndexOrder::Sorted, lacks: Lacks::Nothing }
    }

    /// Returns the first of `indexes` that the conditions lead to, else that of the list.
    pub(crate) fn first(indexes: &[&'static Self], conditions: &[Condition]) -> &'static Self {
        indexes.iter().find(|index| index.finds(conditions)).copied().unwrap_or(&OF_LIST)
    }

    /// True if the conditions give all leading columns a text, and the index has rows with it.
    fn finds(&self, conditions: &[Condition]) -> bool {
        let text = |column: &&str| conditions.iter().find_map(|condition| condition.text_of(column));
        self.leading.iter().all(|column| text(column).is_some_and(|text| self.has(text)))
    }

    /// True if the index has the rows with this word in the last leading column.
    fn has(&self, word: &str) -> bool {
        match self.lacks {
            Lacks::Words(words) => !words.contains(&word),
            Lacks::Nothing | Lacks::Chat | Lacks::PendingIncoming => true,
        }
    }

    /// Returns the condition of a partial index in the words of the migration, which a statement must repeat to read
    /// that index. In the migrations of SQLite it is `IS NOT`, which SQLite takes for the same.
    pub(crate) fn rows(&self) -> Option<String> {
        let column = self.leading.last().copied().unwrap_or_default();
        match self.lacks {
            Lacks::Nothing => None,
            Lacks::Words([word]) => Some(format!("{column} <> '{word}'")),
            Lacks::Words(words) => Some(format!("{column} NOT IN ('{}')", words.join("', '"))),
            Lacks::Chat => Some(format!("{column} IS DISTINCT FROM chat_id")),
            Lacks::PendingIncoming => Some(format!("(from_me OR ack <> '{PENDING}')")),
        }
    }
}

impl MessageFilter {
    /// Returns queries that have no message in common and together are a page of the list. The ranges may name chats.
    pub(crate) fn queries(
        &self,
        source: &'static ListSource,
        ranges: Vec<KeyRange>,
        paging: &Paging<SortKey>,
    ) -> Vec<PageQuery> {
        let by_time = source.at == BY_TIME.at;
        let in_chats = ranges.iter().any(|range| !range.equal.is_empty());
        let query = |filter: &Self, index, ranges| PageQuery::new(source, index, ranges, filter.conditions(), paging);
        if self.quoted_message_id.is_some() {
            return vec![query(self, if by_time { &QUOTED } else { &FEW_QUOTED }, ranges)];
        }
        if in_chats {
            return vec![query(&self.of_any_kind(), if by_time { &CHAT } else { &FEW_IN_CHAT }, ranges)];
        }
        if !by_time {
            return vec![query(self, &OF_LIST, ranges)];
        }
        if let Some((index, person)) = self.person() {
            let in_chat = |range: &KeyRange| range.clone().with("chat_id", person.as_str().into());
            let in_chats = ranges.iter().filter(|_| self.allows_chat(person)).map(in_chat).collect();
            return vec![query(&self.of_any_kind(), &CHAT, in_chats), query(self, index, ranges)];
        }
        if let Some(author) = &self.author {
            let with = |column: &'static str| {
                let with = |range: &KeyRange| range.clone().with(column, author.as_str().into());
                ranges.iter().map(with).collect()
            };
            let in_chats: Vec<KeyRange> = if self.allows_chat(author) { with("chat_id") } else { vec![] };
            let elsewhere = [query(&self.of_any_kind(), &CHAT, in_chats), query(self, &FROM, with("from_id"))];
            let mut parts = Vec::from(elsewhere);
            parts.iter_mut().for_each(|part| part.conditions.push(Condition::Null("group_sender")));
            parts.push(query(self, &GROUP_SENDER, with("group_sender")));
            return parts;
        }
        match self.ack.as_deref() {
            _ if self.has_media == Some(true) => vec![query(self, &FILE, ranges)],
            None => vec![query(self, self.by_word_or_direction(), ranges)],
            Some(PENDING) => {
                let parts = [(true, &ACK), (false, self.with_from_me(false).by_word_or_direction())];
                let wanted = parts.into_iter().filter(|(from_me, _)| self.from_me.is_none_or(|it| it == *from_me));
                wanted.map(|(from_me, index)| query(&self.with_from_me(from_me), index, ranges.clone())).collect()
            }
            Some(_) => vec![query(self, &ACK, ranges)],
        }
    }

    /// Returns the filter of the messages of chats that are of a wanted kind already.
    fn of_any_kind(&self) -> Self {
        Self { kinds: None, ..self.clone() }
    }

    fn with_from_me(&self, from_me: bool) -> Self {
        Self { from_me: Some(from_me), ..self.clone() }
    }

    fn by_word_or_direction(&self) -> &'static Index {
        match Index::first(&[&TYPE, &STATUS], &self.conditions()) {
            &OF_LIST if self.from_me.is_some() || self.kinds.is_some() => &DIRECTION,
            index => index,
        }
    }

    /// Returns the person who is asked for besides the chat, with the index of their messages. Their messages with the
    /// instance are in their chat, and the index lacks those.
    fn person(&self) -> Option<(&'static Index, &String)> {
        let from = self.from_id.as_ref().map(|person| (&FROM, person));
        from.or_else(|| self.to_id.as_ref().map(|person| (&TO, person)))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_statement_repeats_the_words_of_the_migrations_that_leave_rows_out_of_an_index() {
        let rows = [FROM, TO, TYPE, STATUS, ACK, ACK_WORD].map(|index| index.rows().unwrap());
        for (database, distinct) in [("sqlite", "IS NOT"), ("postgres", "IS DISTINCT FROM")] {
            let folder = format!("{}/../../migrations/{database}", env!("CARGO_MANIFEST_DIR"));
            let migrations =
                fs::read_dir(folder).unwrap().map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
            let migrations = migrations.collect::<String>();
            for rows in &rows {
                let rows = rows.replace("IS DISTINCT FROM", distinct);
                assert!(migrations.contains(&format!("WHERE {rows}")), "{database}: {rows}");
            }
        }
    }
}
