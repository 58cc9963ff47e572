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
pub type ChatKey = (InstanceId, String);

/// A message's place in its chat. The greater one is the later.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    pub occurred_at: Timestamp,
    pub message_id: String,
}

impl Mark {
    pub fn of(message: &Message) -> Self {
        Self { occurred_at: message.occurred_at(), message_id: message.id.clone() }
    }
}

/// The name that a message gave its chat.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChatName {
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
    pub name: Option<ChatName>,
    /// The first incoming message after the last outgoing one; none in chats in which nobody waits.
    pub waiting: Option<Mark>,
}

/// The marks of a message in the places that it held in its chat.
#[derive(Default)]
struct Released {
    incoming: Option<Mark>,
    outgoing: Option<Mark>,
    name: Option<Mark>,
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
        (self.instance_id.clone(), self.chat_id.clone())
    }

    /// The latest message of all.
    pub fn last_message(&self) -> Option<&Mark> {
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
        let mark = Mark::of(message);
        if message.fields.from_me {
            self.last_outgoing = self.last_outgoing.take().max(Some(mark));
            return;
        }
        if let (Some(name), false) = (&message.fields.sender_name, message.is_group()) {
            let name = ChatName { mark: mark.clone(), name: name.clone() };
            self.name = self.name.take().max(Some(name));
        }
        self.last_incoming = self.last_incoming.take().max(Some(mark));
    }

    /// Clears the places that the message holds, and returns where it stood in them.
    fn release(&mut self, message_id: &str) -> Released {
        let held = |mark: &Mark| mark.message_id == message_id;
        Released {
            incoming: self.last_incoming.take_if(|mark| held(mark)),
            outgoing: self.last_outgoing.take_if(|mark| held(mark)),
            name: self.name.take_if(|name| held(&name.mark)).map(|name| name.mark),
        }
    }

    /// The places that are vacant since these marks were released. Whoever has come to stand there or later has the place:
    /// nobody else did.
    fn vacated(&self, released: Released) -> Vacancies {
        let is_vacant = |mark: Option<Mark>, now: Option<&Mark>| mark.is_some_and(|mark| now < Some(&mark));
        Vacancies {
            incoming: is_vacant(released.incoming, self.last_incoming.as_ref()),
            outgoing: is_vacant(released.outgoing, self.last_outgoing.as_ref()),
            name: is_vacant(released.name, self.name.as_ref().map(|name| &name.mark)),
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

/// Where a message stands: what its chat knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatPlace {
    pub chat_id: Option<String>,
    pub occurred_at: Timestamp,
    pub from_me: bool,
}

impl ChatPlace {
    fn of(message: &Message) -> Self {
        let fields = &message.fields;
        Self { chat_id: fields.chat_id.clone(), occurred_at: message.occurred_at(), from_me: fields.from_me }
    }
}

impl From<&RecordedMessage> for ChatPlace {
    fn from(message: &RecordedMessage) -> Self {
        Self { chat_id: message.chat_id.clone(), occurred_at: message.occurred_at(), from_me: message.from_me }
    }
}

/// A message that was there before, as later copies made it, and the place it had.
#[derive(Clone, Debug)]
pub struct Rewritten {
    pub message: Message,
    pub before: ChatPlace,
}

impl Rewritten {
    /// True if the place of the message has changed.
    pub fn has_moved(&self) -> bool {
        self.before != ChatPlace::of(&self.message)
    }

    fn chat_before(&self) -> Option<ChatKey> {
        Some((self.message.instance_id.clone(), self.before.chat_id.clone()?))
    }
}

/// The chats that a batch touches: load those of [`Chats::keys`], apply the messages, look up the vacancies, then
/// the turns, and save.
#[derive(Debug)]
pub struct Chats {
    chats: BTreeMap<ChatKey, Touched>,
}

/// A chat that a batch touches.
#[derive(Debug)]
struct Touched {
    chat: Chat,
    /// As it was before the batch.
    before: Chat,
    vacancies: Vacancies,
    /// The messages that came.
    turns: BTreeSet<ChatMessage>,
    /// The seconds that a message left, or came to from elsewhere: with one of these, what the row said does not count.
    moves: BTreeSet<i64>,
}

impl Chats {
    /// The chats that the messages are in, or were in before.
    pub fn keys(inserted: &[Message], rewritten: &[Rewritten]) -> BTreeSet<ChatKey> {
        let now = inserted.iter().chain(rewritten.iter().map(|it| &it.message)).filter_map(chat_key);
        now.chain(rewritten.iter().filter_map(Rewritten::chat_before)).collect()
    }

    /// `loaded` are the rows that exist already.
    pub fn new(keys: BTreeSet<ChatKey>, loaded: Vec<Chat>) -> Self {
        let fresh = keys.into_iter().map(Chat::new);
        let chats = fresh.chain(loaded).map(|chat| (chat.key(), Touched::new(chat))).collect();
        Self { chats }
    }

    /// Counts a message whose row is new.
    pub fn insert(&mut self, message: &Message) {
        if let Some(touched) = self.now(message) {
            touched.include(message);
            touched.turns.insert(ChatMessage::new(message.fields.from_me, Mark::of(message)));
        }
    }

    /// Moves a message that was there before to where it now belongs.
    pub fn relocate(&mut self, rewritten: &Rewritten) {
        let Rewritten { message, before } = rewritten;
        let (moved, chat_before) = (rewritten.has_moved(), rewritten.chat_before());
        let mut released = Released::default();
        if let Some(touched) = chat_before.as_ref().and_then(|key| self.chats.get_mut(key)) {
            touched.chat.message_count -= 1;
            released = touched.chat.release(&message.id);
            touched.moves.extend(moved.then_some(before.occurred_at.seconds()));
        }
        if let Some(touched) = self.now(message) {
            touched.include(message);
            touched.moves.extend(moved.then_some(message.occurred_at().seconds()));
        }
        if let Some(touched) = chat_before.as_ref().and_then(|key| self.chats.get_mut(key)) {
            touched.vacancies = touched.vacancies.or(touched.chat.vacated(released));
        }
    }

    /// The chat that the message is in.
    fn now(&mut self, message: &Message) -> Option<&mut Touched> {
        self.chats.get_mut(&chat_key(message)?)
    }

    /// The chats of which something is to be looked up.
    pub fn vacancies(&self) -> Vec<(ChatKey, Vacancies)> {
        let vacant = self.chats.iter().filter(|(_, touched)| touched.vacancies.any());
        vacant.map(|(key, touched)| (key.clone(), touched.vacancies)).collect()
    }

    /// Fills vacancies with what was found.
    pub fn refill(&mut self, latest: Vec<Chat>) {
        for latest in latest {
            if let Some(touched) = self.chats.get_mut(&latest.key()) {
                touched.chat.refill(latest);
            }
        }
    }

    /// Says who waits and who was answered, as far as that can be said without a look at the messages. Once, when there
    /// are no vacancies any more.
    pub fn turns(&mut self) -> ResponseChanges {
        let mut turns = ResponseChanges::default();
        for (key, touched) in self.chats.iter_mut().filter(|((_, chat_id), _)| chat_id::can_wait(chat_id)) {
            let followed = touched.follow();
            touched.chat.waiting = turns.add(key, followed, touched.chat.last_outgoing.as_ref());
        }
        turns
    }

    /// Takes who waits in the chats of which that was looked up.
    pub fn wait(&mut self, found: Vec<(ChatKey, Mark)>) {
        for (key, mark) in found {
            if let Some(touched) = self.chats.get_mut(&key) {
                touched.chat.waiting = Some(mark);
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

impl Touched {
    fn new(chat: Chat) -> Self {
        let before = chat.clone();
        Self { chat, before, vacancies: Vacancies::default(), turns: BTreeSet::new(), moves: BTreeSet::new() }
    }

    fn include(&mut self, message: &Message) {
        self.chat.message_count += 1;
        self.chat.include(message);
    }

    fn follow(&mut self) -> TrackedResponses {
        let turns = std::mem::take(&mut self.turns);
        if self.moves.is_empty() {
            let Chat { waiting, last_incoming, last_outgoing, .. } = self.before.clone();
            return ResponseTracker::new(waiting, last_incoming.as_ref(), last_outgoing).follow(turns);
        }
        TrackedResponses::unknown(self.moves.iter().copied().chain(turns.iter().map(ChatMessage::second)).collect())
    }
}

fn chat_key(message: &Message) -> Option<ChatKey> {
    Some((message.instance_id.clone(), message.fields.chat_id.clone()?))
}
