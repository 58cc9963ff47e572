//! Chats: for each, its latest messages, their number and a name, so that a list of chats need not scan messages.

use std::collections::{BTreeMap, BTreeSet};

use super::instance::InstanceId;
use super::message::{Message, RecordedMessage};
use super::search::fold;
use crate::chat::response_tracker::{ChatMessage, ResponseChanges, ResponseTracker, TrackedResponses};
use crate::time::timestamp::Timestamp;

pub mod chat_id;
pub mod response_tracker;

/// How much of a name is searched.
const MAX_NAME_CHARACTERS: usize = 256;

/// The columns of a chat's primary key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChatKey {
    pub instance_id: InstanceId,
    pub chat_id: String,
}

/// A message's place in its chat. The greater one is the later.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MessagePosition {
    pub occurred_at: Timestamp,
    pub message_id: String,
}

impl MessagePosition {
    pub fn of(message: &Message) -> Self {
        Self { occurred_at: message.occurred_at(), message_id: message.id.clone() }
    }
}

/// The name that a message gave its chat.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChatName {
    pub position: MessagePosition,
    pub name: String,
}

/// A row of `chats`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chat {
    pub instance_id: InstanceId,
    pub chat_id: String,
    /// Messages, not their copies.
    pub message_count: i64,
    pub last_incoming: Option<MessagePosition>,
    pub last_outgoing: Option<MessagePosition>,
    /// The sender's name of the latest incoming message that has one; none in groups, where each has another.
    pub name: Option<ChatName>,
    /// The first incoming message after the last outgoing one; none in chats in which nobody waits.
    pub waiting: Option<MessagePosition>,
}

/// The marks of a message in the places that it held in its chat.
#[derive(Default)]
struct ClearedFields {
    incoming: Option<MessagePosition>,
    outgoing: Option<MessagePosition>,
    name: Option<MessagePosition>,
}

/// What is to be looked up anew of a chat, because the message that held the place has moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StaleChatFields {
    pub incoming: bool,
    pub outgoing: bool,
    pub name: bool,
}

impl Chat {
    pub fn new(ChatKey { instance_id, chat_id }: ChatKey) -> Self {
        Self {
            instance_id,
            chat_id,
            message_count: 0,
            last_incoming: None,
            last_outgoing: None,
            name: None,
            waiting: None,
        }
    }

    pub fn key(&self) -> ChatKey {
        ChatKey { instance_id: self.instance_id.clone(), chat_id: self.chat_id.clone() }
    }

    /// The latest message of all.
    pub fn last_message(&self) -> Option<&MessagePosition> {
        self.last_incoming.as_ref().max(self.last_outgoing.as_ref())
    }

    /// The text by which the chat is found: its name and the name in its id (a number, mostly), folded.
    pub fn search(&self) -> String {
        let name = self.name.as_ref().map(|name| name.name.chars().take(MAX_NAME_CHARACTERS).collect::<String>());
        let known = name.as_deref().into_iter().chain([chat_id::name(&self.chat_id)]);
        fold(&Vec::from_iter(known).join(" "))
    }

    /// Takes the message's marks where they are later than those it has.
    fn include(&mut self, message: &Message) {
        let position = MessagePosition::of(message);
        if message.fields.from_me {
            self.last_outgoing = self.last_outgoing.take().max(Some(position));
            return;
        }
        if let (Some(name), false) = (&message.fields.sender_name, message.is_group()) {
            let name = ChatName { position: position.clone(), name: name.clone() };
            self.name = self.name.take().max(Some(name));
        }
        self.last_incoming = self.last_incoming.take().max(Some(position));
    }

    /// Clears the places that the message holds, and returns where it stood in them.
    fn clear(&mut self, message_id: &str) -> ClearedFields {
        let held = |position: &MessagePosition| position.message_id == message_id;
        ClearedFields {
            incoming: self.last_incoming.take_if(|position| held(position)),
            outgoing: self.last_outgoing.take_if(|position| held(position)),
            name: self.name.take_if(|name| held(&name.position)).map(|name| name.position),
        }
    }

    /// The places that are vacant since these marks were cleared. Whoever has come to stand there or later has the place:
    /// nobody else did.
    fn stale_since(&self, cleared: ClearedFields) -> StaleChatFields {
        let is_stale = |position: Option<MessagePosition>, now: Option<&MessagePosition>| {
            position.is_some_and(|position| now < Some(&position))
        };
        StaleChatFields {
            incoming: is_stale(cleared.incoming, self.last_incoming.as_ref()),
            outgoing: is_stale(cleared.outgoing, self.last_outgoing.as_ref()),
            name: is_stale(cleared.name, self.name.as_ref().map(|name| &name.position)),
        }
    }

    fn refill(&mut self, latest: Chat) {
        self.last_incoming = self.last_incoming.take().max(latest.last_incoming);
        self.last_outgoing = self.last_outgoing.take().max(latest.last_outgoing);
        self.name = self.name.take().max(latest.name);
    }
}

impl StaleChatFields {
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

/// Where a message stands: what its chat knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatPlacement {
    pub chat_id: Option<String>,
    pub occurred_at: Timestamp,
    pub from_me: bool,
}

impl ChatPlacement {
    fn of(message: &Message) -> Self {
        let fields = &message.fields;
        Self { chat_id: fields.chat_id.clone(), occurred_at: message.occurred_at(), from_me: fields.from_me }
    }
}

impl From<&RecordedMessage> for ChatPlacement {
    fn from(message: &RecordedMessage) -> Self {
        Self { chat_id: message.chat_id.clone(), occurred_at: message.occurred_at(), from_me: message.from_me }
    }
}

/// A message that was there before, as later copies made it, and the place it had.
#[derive(Clone, Debug)]
pub struct UpdatedMessage {
    pub message: Message,
    pub before: ChatPlacement,
}

impl UpdatedMessage {
    /// True if the place of the message has changed.
    pub fn has_moved(&self) -> bool {
        self.before != ChatPlacement::of(&self.message)
    }

    fn chat_before(&self) -> Option<ChatKey> {
        Some(ChatKey { instance_id: self.message.instance_id.clone(), chat_id: self.before.chat_id.clone()? })
    }
}

/// The chats that a batch touches: load those of [`TouchedChats::keys`], apply the messages, look up the stale, then
/// the arrived, and save.
#[derive(Debug)]
pub struct TouchedChats {
    chats: BTreeMap<ChatKey, TouchedChat>,
}

/// A chat that a batch touches.
#[derive(Debug)]
struct TouchedChat {
    chat: Chat,
    /// As it was before the batch.
    before: Chat,
    stale: StaleChatFields,
    /// The messages that came.
    arrived: BTreeSet<ChatMessage>,
    /// The seconds that a message left, or came to from elsewhere: with one of these, what the row said does not count.
    moved_seconds: BTreeSet<i64>,
}

impl TouchedChats {
    /// The chats that the messages are in, or were in before.
    pub fn keys(inserted: &[Message], updated: &[UpdatedMessage]) -> BTreeSet<ChatKey> {
        let now = inserted.iter().chain(updated.iter().map(|it| &it.message)).filter_map(chat_key);
        now.chain(updated.iter().filter_map(UpdatedMessage::chat_before)).collect()
    }

    /// `loaded` are the rows that exist already.
    pub fn new(keys: BTreeSet<ChatKey>, loaded: Vec<Chat>) -> Self {
        let fresh = keys.into_iter().map(Chat::new);
        let chats = fresh.chain(loaded).map(|chat| (chat.key(), TouchedChat::new(chat))).collect();
        Self { chats }
    }

    /// Counts a message whose row is new.
    pub fn insert(&mut self, message: &Message) {
        if let Some(touched) = self.chat_of(message) {
            touched.include(message);
            touched.arrived.insert(ChatMessage::new(message.fields.from_me, MessagePosition::of(message)));
        }
    }

    /// Moves a message that was there before to where it now belongs.
    pub fn relocate(&mut self, updated: &UpdatedMessage) {
        let UpdatedMessage { message, before } = updated;
        let (moved, chat_before) = (updated.has_moved(), updated.chat_before());
        let mut cleared = ClearedFields::default();
        if let Some(touched) = chat_before.as_ref().and_then(|key| self.chats.get_mut(key)) {
            touched.chat.message_count -= 1;
            cleared = touched.chat.clear(&message.id);
            touched.moved_seconds.extend(moved.then_some(before.occurred_at.seconds()));
        }
        if let Some(touched) = self.chat_of(message) {
            touched.include(message);
            touched.moved_seconds.extend(moved.then_some(message.occurred_at().seconds()));
        }
        if let Some(touched) = chat_before.as_ref().and_then(|key| self.chats.get_mut(key)) {
            touched.stale = touched.stale.or(touched.chat.stale_since(cleared));
        }
    }

    /// The chat that the message is in.
    fn chat_of(&mut self, message: &Message) -> Option<&mut TouchedChat> {
        self.chats.get_mut(&chat_key(message)?)
    }

    /// The chats of which something is to be looked up.
    pub fn stale_fields(&self) -> Vec<(ChatKey, StaleChatFields)> {
        let stale = self.chats.iter().filter(|(_, touched)| touched.stale.any());
        stale.map(|(key, touched)| (key.clone(), touched.stale)).collect()
    }

    /// Fills stale with what was found.
    pub fn refill(&mut self, latest: Vec<Chat>) {
        for latest in latest {
            if let Some(touched) = self.chats.get_mut(&latest.key()) {
                touched.chat.refill(latest);
            }
        }
    }

    /// Says who waits and who was answered, as far as that can be said without a look at the messages. Once, when there
    /// are no stale fields any more.
    pub fn response_changes(&mut self) -> ResponseChanges {
        let mut changes = ResponseChanges::default();
        for (key, touched) in self.chats.iter_mut().filter(|(key, _)| chat_id::can_wait(&key.chat_id)) {
            let followed = touched.follow();
            touched.chat.waiting = changes.add(key, followed, touched.chat.last_outgoing.as_ref());
        }
        changes
    }

    /// Takes who waits in the chats of which that was looked up.
    pub fn set_waiting(&mut self, found: Vec<(ChatKey, MessagePosition)>) {
        for (key, position) in found {
            if let Some(touched) = self.chats.get_mut(&key) {
                touched.chat.waiting = Some(position);
            }
        }
    }

    /// The rows to be saved, and the keys of those whose last message has moved elsewhere.
    pub fn into_rows(self) -> (Vec<Chat>, Vec<ChatKey>) {
        let (saved, emptied): (Vec<Chat>, Vec<Chat>) =
            self.chats.into_values().map(|touched| touched.chat).partition(|chat| chat.message_count > 0);
        (saved, emptied.iter().map(Chat::key).collect())
    }
}

impl TouchedChat {
    fn new(chat: Chat) -> Self {
        let before = chat.clone();
        Self {
            chat,
            before,
            stale: StaleChatFields::default(),
            arrived: BTreeSet::new(),
            moved_seconds: BTreeSet::new(),
        }
    }

    fn include(&mut self, message: &Message) {
        self.chat.message_count += 1;
        self.chat.include(message);
    }

    fn follow(&mut self) -> TrackedResponses {
        let arrived = std::mem::take(&mut self.arrived);
        if self.moved_seconds.is_empty() {
            let Chat { waiting, last_incoming, last_outgoing, .. } = self.before.clone();
            return ResponseTracker::new(waiting, last_incoming.as_ref(), last_outgoing).follow(arrived);
        }
        TrackedResponses::unknown(
            self.moved_seconds.iter().copied().chain(arrived.iter().map(ChatMessage::second)).collect(),
        )
    }
}

fn chat_key(message: &Message) -> Option<ChatKey> {
    Some(ChatKey { instance_id: message.instance_id.clone(), chat_id: message.fields.chat_id.clone()? })
}
