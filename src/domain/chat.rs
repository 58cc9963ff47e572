//! Chats: for each, its latest messages, their number and a name, so that a list of chats need not scan messages.

use std::collections::{BTreeMap, BTreeSet};

use super::instance::InstanceId;
use super::message::Message;
use super::timestamp::Timestamp;

/// The columns of a chat's primary key.
pub type ChatKey = (InstanceId, String);

/// A message's place in its chat. The greater one is the later.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    pub occurred_at: Timestamp,
    pub message_id: String,
}

/// The name that a message gave its chat.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    pub mark: Mark,
    pub name: String,
}

/// A row of `chats`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chat {
    pub instance_id: InstanceId,
    pub chat_id: String,
    /// Messages, not their copies.
    pub message_count: i64,
    pub last_incoming: Option<Mark>,
    pub last_outgoing: Option<Mark>,
    /// The sender's name of the latest incoming message that has one; none in groups, where each has another.
    pub name: Option<Name>,
}

/// What is to be looked up anew of a chat, because the message that held the place has moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vacancies {
    pub incoming: bool,
    pub outgoing: bool,
    pub name: bool,
}

impl Chat {
    pub fn new((instance_id, chat_id): ChatKey) -> Self {
        Self { instance_id, chat_id, message_count: 0, last_incoming: None, last_outgoing: None, name: None }
    }

    pub fn key(&self) -> ChatKey {
        (self.instance_id.clone(), self.chat_id.clone())
    }

    /// The latest message of all.
    pub fn last_message(&self) -> Option<&Mark> {
        self.last_incoming.as_ref().max(self.last_outgoing.as_ref())
    }

    /// Takes the message's marks where they are later than those it has.
    fn include(&mut self, message: &Message) {
        let mark = Mark { occurred_at: message.occurred_at(), message_id: message.id.clone() };
        if message.fields.from_me {
            self.last_outgoing = self.last_outgoing.take().max(Some(mark));
            return;
        }
        if let (Some(name), false) = (&message.fields.sender_name, message.is_group()) {
            let name = Name { mark: mark.clone(), name: name.clone() };
            self.name = self.name.take().max(Some(name));
        }
        self.last_incoming = self.last_incoming.take().max(Some(mark));
    }

    /// Clears the places that the message holds, and says which.
    fn release(&mut self, message_id: &str) -> Vacancies {
        let held = |mark: &Mark| mark.message_id == message_id;
        Vacancies {
            incoming: self.last_incoming.take_if(|mark| held(mark)).is_some(),
            outgoing: self.last_outgoing.take_if(|mark| held(mark)).is_some(),
            name: self.name.take_if(|name| held(&name.mark)).is_some(),
        }
    }

    fn refill(&mut self, latest: Chat) {
        self.last_incoming = self.last_incoming.take().max(latest.last_incoming);
        self.last_outgoing = self.last_outgoing.take().max(latest.last_outgoing);
        self.name = self.name.take().max(latest.name);
    }
}

impl Vacancies {
    fn any(self) -> bool {
        self.incoming || self.outgoing || self.name
    }

    fn or(self, other: Self) -> Self {
        Self {
            incoming: self.incoming || other.incoming,
            outgoing: self.outgoing || other.outgoing,
            name: self.name || other.name,
        }
    }
}

/// A message that was folded anew, and the chat it was in before.
#[derive(Clone, Debug)]
pub struct Refolded {
    pub message: Message,
    pub chat_before: Option<String>,
}

/// The chats that a batch touches: load those of [`Chats::keys`], apply the messages, look up the vacancies, save.
#[derive(Debug)]
pub struct Chats {
    chats: BTreeMap<ChatKey, (Chat, Vacancies)>,
}

impl Chats {
    /// The chats that the messages are in, or were in before.
    pub fn keys(inserted: &[Message], refolded: &[Refolded]) -> BTreeSet<ChatKey> {
        let now = inserted.iter().chain(refolded.iter().map(|it| &it.message)).filter_map(chat_key);
        let before = refolded.iter().filter_map(|it| Some((it.message.instance_id.clone(), it.chat_before.clone()?)));
        now.chain(before).collect()
    }

    /// `loaded` are the rows that exist already.
    pub fn new(keys: BTreeSet<ChatKey>, loaded: Vec<Chat>) -> Self {
        let fresh = keys.into_iter().map(Chat::new);
        let chats = fresh.chain(loaded).map(|chat| (chat.key(), (chat, Vacancies::default()))).collect();
        Self { chats }
    }

    /// Counts a message whose row is new.
    pub fn insert(&mut self, message: &Message) {
        if let Some((chat, _)) = chat_key(message).and_then(|key| self.chats.get_mut(&key)) {
            chat.message_count += 1;
            chat.include(message);
        }
    }

    /// Moves a message that was there before to where it now belongs.
    pub fn relocate(&mut self, refolded: &Refolded) {
        let message = &refolded.message;
        let before = refolded.chat_before.as_ref().map(|chat| (message.instance_id.clone(), chat.clone()));
        if let Some((chat, vacancies)) = before.and_then(|key| self.chats.get_mut(&key)) {
            chat.message_count -= 1;
            *vacancies = vacancies.or(chat.release(&message.id));
        }
        self.insert(message);
    }

    /// The chats of which something is to be looked up.
    pub fn vacancies(&self) -> Vec<(ChatKey, Vacancies)> {
        let vacant = self.chats.iter().filter(|(_, (_, vacancies))| vacancies.any());
        vacant.map(|(key, (_, vacancies))| (key.clone(), *vacancies)).collect()
    }

    /// Fills vacancies with what was found.
    pub fn refill(&mut self, latest: Vec<Chat>) {
        for latest in latest {
            if let Some((chat, _)) = self.chats.get_mut(&latest.key()) {
                chat.refill(latest);
            }
        }
    }

    /// The rows to be saved, and the keys of those whose last message has moved elsewhere.
    pub fn into_rows(self) -> (Vec<Chat>, Vec<ChatKey>) {
        let (saved, emptied): (Vec<Chat>, Vec<Chat>) =
            self.chats.into_values().map(|(chat, _)| chat).partition(|chat| chat.message_count > 0);
        (saved, emptied.iter().map(Chat::key).collect())
    }
}

fn chat_key(message: &Message) -> Option<ChatKey> {
    Some((message.instance_id.clone(), message.fields.chat_id.clone()?))
}
