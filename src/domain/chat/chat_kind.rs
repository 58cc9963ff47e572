//! The kinds of chats. The end of a chat's id tells its kind.

use std::collections::BTreeSet;
use std::fmt::{Display, Formatter, Result as FormatResult};

use serde::{Serialize, Serializer};

/// The kind of a chat. WhatsApp may add others, which are [`ChatKind::Other`] until this list names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChatKind {
    Person,
    Group,
    /// The stories of all contacts, which WhatsApp sends as messages of one chat.
    Status,
    /// A list of recipients.
    Broadcast,
    /// A channel, also called newsletter.
    Channel,
    Other,
}

/// Kinds of chats, as a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatKinds(BTreeSet<ChatKind>);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected one or more of {}, with commas between them", ChatKinds::all())]
pub struct UnknownKind;

impl ChatKind {
    pub const ALL: [Self; 6] = [Self::Person, Self::Group, Self::Status, Self::Broadcast, Self::Channel, Self::Other];

    pub fn of(chat_id: &str) -> Self {
        match chat_id.rsplit_once('@').map(|(_, ending)| ending) {
            Some("c.us" | "s.whatsapp.net" | "lid") => Self::Person,
            Some("g.us") => Self::Group,
            Some("broadcast") if chat_id == "status@broadcast" => Self::Status,
            Some("broadcast") => Self::Broadcast,
            Some("newsletter") => Self::Channel,
            _ => Self::Other,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Group => "group",
            Self::Status => "status",
            Self::Broadcast => "broadcast",
            Self::Channel => "channel",
            Self::Other => "other",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// Returns whether one of many people, or one for many, writes in such a chat.
    pub fn is_of_many(self) -> bool {
        matches!(self, Self::Group | Self::Status | Self::Broadcast | Self::Channel)
    }

    /// Returns whether somebody can wait for an answer in such a chat.
    pub fn can_wait(self) -> bool {
        !self.is_of_many()
    }

    /// Returns whether the chat has the name of the sender. In all chats but those of persons, every sender has another.
    pub fn has_name_of_sender(self) -> bool {
        self == Self::Person
    }
}

impl Serialize for ChatKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl ChatKinds {
    /// Returns the kinds of chats in which people talk with each other: persons and groups. Statistics and the list of
    /// chats are about those, unless they are asked for others.
    pub fn conversations() -> Self {
        Self([ChatKind::Person, ChatKind::Group].into())
    }

    pub fn all() -> Self {
        Self(ChatKind::ALL.into())
    }

    /// Reads words with commas between them.
    ///
    /// # Errors
    /// A word that is no kind, or no word at all.
    pub fn parse(text: &str) -> Result<Self, UnknownKind> {
        let kinds = text.split(',').map(|word| ChatKind::parse(word).ok_or(UnknownKind));
        kinds.collect::<Result<_, _>>().map(Self)
    }

    /// Returns these kinds without those that the predicate refuses. There may be none left.
    #[must_use]
    pub fn that(&self, is_wanted: impl Fn(ChatKind) -> bool) -> Self {
        Self(self.iter().filter(|kind| is_wanted(*kind)).collect())
    }

    pub fn contains(&self, kind: ChatKind) -> bool {
        self.0.contains(&kind)
    }

    pub fn iter(&self) -> impl Iterator<Item = ChatKind> {
        self.0.iter().copied()
    }

    /// Returns the words of the kinds, in the order of [`ChatKind::ALL`].
    pub fn words(&self) -> Vec<&'static str> {
        self.iter().map(ChatKind::as_str).collect()
    }
}

impl Display for ChatKinds {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> FormatResult {
        formatter.write_str(&self.words().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_id_tells_the_kind_of_its_chat() {
        for (chat_id, kind) in [
            ("573001112233@c.us", ChatKind::Person),
            ("573001112233@s.whatsapp.net", ChatKind::Person),
            ("573001112233:3@c.us", ChatKind::Person),
            ("123456789012345@lid", ChatKind::Person),
            ("120363041234567890@g.us", ChatKind::Group),
            ("status@broadcast", ChatKind::Status),
            ("1724716800@broadcast", ChatKind::Broadcast),
            ("120363168033477807@newsletter", ChatKind::Channel),
            ("573001112233", ChatKind::Other),
            ("1203@g.us.example", ChatKind::Other),
            ("c.us", ChatKind::Other),
            ("anything@hosted", ChatKind::Other),
            ("", ChatKind::Other),
        ] {
            assert_eq!(ChatKind::of(chat_id), kind, "{chat_id}");
        }
    }

    #[test]
    fn nobody_waits_in_groups_stories_broadcasts_and_channels() {
        let waiting: Vec<_> = ChatKind::ALL.into_iter().filter(|kind| kind.can_wait()).collect();
        assert_eq!(waiting, [ChatKind::Person, ChatKind::Other]);
    }

    #[test]
    fn kinds_are_read_as_words_with_commas_in_any_order() {
        let kinds = |text| ChatKinds::parse(text).map(|kinds| kinds.to_string());
        assert_eq!(kinds("group,person,group"), Ok("person,group".to_owned()));
        assert_eq!(kinds("person,group"), Ok(ChatKinds::conversations().to_string()));
        assert_eq!(kinds("person,group,status,broadcast,channel,other"), Ok(ChatKinds::all().to_string()));
        for text in ["", "person,", "group, person", "Person", "people"] {
            assert_eq!(kinds(text), Err(UnknownKind), "{text}");
        }
        let message = "expected one or more of person,group,status,broadcast,channel,other, with commas between them";
        assert_eq!(UnknownKind.to_string(), message);
    }
}
