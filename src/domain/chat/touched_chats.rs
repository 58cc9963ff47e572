//! The chats that a batch touches, and what becomes of their rows.

use std::collections::{BTreeMap, BTreeSet};

use super::response_tracker::{ChatMessage, Questions, ResponseChanges, ResponseTracker, TrackedResponses};
use super::{Chat, ChatKey, ChatPlacement, ClearedFields, MessagePosition, StaleChatFields, UpdatedMessage};
use crate::message::Message;

/// The chats that a batch touches. The caller loads the rows of [`TouchedChats::keys`], applies the messages, refills
/// [`TouchedChats::stale_fields`], looks up what [`TouchedChats::response_changes`] needs, and saves the rows.
#[derive(Debug)]
pub struct TouchedChats {
    chats: BTreeMap<ChatKey, TouchedChat>,
}

/// A chat that a batch touches, and what the batch does to it.
#[derive(Debug)]
struct TouchedChat {
    chat: Chat,
    /// The row before the batch.
    before: Chat,
    stale: StaleChatFields,
    /// The messages that are new.
    arrived: BTreeSet<ChatMessage>,
    /// The seconds that a recorded message has left or moved to. If there are any, the responses of the chat cannot be
    /// tracked from its row.
    moved_seconds: BTreeSet<i64>,
}

impl TouchedChats {
    /// Returns the chats that the messages are in or were in before.
    pub fn keys(inserted: &[Message], updated: &[UpdatedMessage]) -> BTreeSet<ChatKey> {
        let now = inserted.iter().chain(updated.iter().map(|it| &it.message)).filter_map(chat_key);
        now.chain(updated.iter().filter_map(UpdatedMessage::chat_before)).collect()
    }

    /// Begins with `loaded`, the rows that exist already. The other chats are empty.
    pub fn new(keys: BTreeSet<ChatKey>, loaded: Vec<Chat>) -> Self {
        let fresh = keys.into_iter().map(Chat::new);
        let chats = fresh.chain(loaded).map(|chat| (chat.key(), TouchedChat::new(chat))).collect();
        Self { chats }
    }

    /// Returns the keys of the chats that have no row yet.
    pub fn fresh(&self) -> Vec<ChatKey> {
        let fresh = self.chats.iter().filter(|(_, touched)| touched.before.is_empty());
        fresh.map(|(key, _)| key.clone()).collect()
    }

    /// Sets the names that the owner gave these chats.
    pub fn give_names(&mut self, names: Vec<(ChatKey, String)>) {
        for (key, name) in names {
            if let Some(touched) = self.chats.get_mut(&key) {
                touched.chat.given_name = Some(name);
            }
        }
    }

    /// Counts a message whose row is new.
    pub fn insert(&mut self, message: &Message) {
        if let Some(touched) = self.chat_of(message) {
            touched.chat.include(message);
            if ChatPlacement::of(message).asks_or_answers() {
                touched.arrived.insert(ChatMessage::new(message.fields.from_me, MessagePosition::of(message)));
            }
        }
    }

    /// Moves a message that was recorded before to its new placement.
    pub fn relocate(&mut self, updated: &UpdatedMessage) {
        let UpdatedMessage { message, before } = updated;
        let (moved, chat_before) = (updated.has_moved(), updated.chat_before());
        let mut cleared = ClearedFields::default();
        if let Some(touched) = chat_before.as_ref().and_then(|key| self.chats.get_mut(key)) {
            *touched.chat.count(before.is_service) -= 1;
            cleared = touched.chat.clear(&message.id);
            touched.moved_seconds.extend(before.second().filter(|_| moved));
        }
        if let Some(touched) = self.chat_of(message) {
            touched.chat.include(message);
            touched.moved_seconds.extend(ChatPlacement::of(message).second().filter(|_| moved));
        }
        if let Some(touched) = chat_before.as_ref().and_then(|key| self.chats.get_mut(key)) {
            touched.stale = touched.stale.or(touched.chat.stale_since(cleared));
        }
    }

    /// Returns the chat that the message is in.
    fn chat_of(&mut self, message: &Message) -> Option<&mut TouchedChat> {
        self.chats.get_mut(&chat_key(message)?)
    }

    /// Returns the chats with stale fields.
    pub fn stale_fields(&self) -> Vec<(ChatKey, StaleChatFields)> {
        let stale = self.chats.iter().filter(|(_, touched)| touched.stale.any());
        stale.map(|(key, touched)| (key.clone(), touched.stale)).collect()
    }

    /// Fills the stale fields with what was looked up.
    pub fn refill(&mut self, latest: Vec<Chat>) {
        for latest in latest {
            if let Some(touched) = self.chats.get_mut(&latest.key()) {
                touched.chat.refill(latest);
            }
        }
    }

    /// Returns the changes to waiting messages and responses, as far as they are known without reading messages. To be
    /// called once, after the stale fields are refilled.
    pub fn response_changes(&mut self) -> ResponseChanges {
        let mut changes = ResponseChanges::default();
        for (key, touched) in self.chats.iter_mut().filter(|(_, touched)| touched.chat.kind().can_wait()) {
            let followed = touched.follow();
            touched.chat.waiting = changes.add(key, followed, touched.chat.last_outgoing.as_ref());
        }
        changes
    }

    /// Sets the messages that wait in the chats for which they were looked up.
    pub fn set_waiting(&mut self, found: Vec<(ChatKey, Questions)>) {
        for (key, questions) in found {
            if let Some(touched) = self.chats.get_mut(&key) {
                touched.chat.waiting = Some(questions);
            }
        }
    }

    /// Returns the rows to save, and the keys of the chats to delete because their messages have moved elsewhere.
    pub fn into_rows(self) -> (Vec<Chat>, Vec<ChatKey>) {
        let (saved, emptied): (Vec<Chat>, Vec<Chat>) =
            self.chats.into_values().map(|touched| touched.chat).partition(|chat| !chat.is_empty());
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

    fn follow(&mut self) -> TrackedResponses {
        let arrived = std::mem::take(&mut self.arrived);
        if self.moved_seconds.is_empty() {
            let Chat { waiting, last_outgoing, .. } = self.before.clone();
            return ResponseTracker::new(waiting, last_outgoing).follow(arrived);
        }
        TrackedResponses::unknown(
            self.moved_seconds.iter().copied().chain(arrived.iter().map(ChatMessage::second)).collect(),
        )
    }
}

fn chat_key(message: &Message) -> Option<ChatKey> {
    Some(ChatKey { instance_id: message.instance_id.clone(), chat_id: message.fields.chat_id.clone()? })
}
