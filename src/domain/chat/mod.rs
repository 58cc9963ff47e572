//! Chats. The row of a chat has its latest messages, their number and a name, so that a list of chats need not scan
//! messages.

use serde::Serialize;

use super::instance::InstanceId;
use super::message::Message;
use super::message::fold::RecordedMessage;
use super::search::{SearchPlace, fold};
use crate::chat::chat_kind::ChatKind;
use crate::chat::response_tracker::Questions;
use crate::time::timestamp::Timestamp;

pub mod chat_id;
pub mod chat_kind;
pub mod person;
pub mod response_tracker;
pub mod touched_chats;

/// The number of characters of a name that a search considers.
const MAX_NAME_CHARACTERS: usize = 256;

/// The columns of a chat's primary key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ChatKey {
    pub instance_id: InstanceId,
    pub chat_id: String,
}

/// The position of a message in the order of its chat. The greater one is the later; of the same time, the one that came
/// later.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MessagePosition {
    pub occurred_at: Timestamp,
    pub seq: i64,
    pub message_id: String,
}

impl MessagePosition {
    pub fn of(message: &Message) -> Self {
        Self { occurred_at: message.occurred_at(), seq: message.seq, message_id: message.id.clone() }
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
    /// The number of messages that are not of a service type. Copies of one message count once.
    pub message_count: i64,
    /// The number of service messages. No other field depends on them.
    pub service_count: i64,
    pub last_incoming: Option<MessagePosition>,
    pub last_outgoing: Option<MessagePosition>,
    /// The sender's name in the latest incoming message that has one. `None` if the chat is not that of a person.
    pub name: Option<ChatName>,
    /// The name that the owner gave it, which counts more.
    pub given_name: Option<String>,
    /// The messages that wait for an answer: the incoming ones after the last outgoing one. `None` in chats in which
    /// nobody waits.
    pub waiting: Option<Questions>,
}

/// The positions that were cleared from the fields of a chat because its message may have moved.
#[derive(Default)]
struct ClearedFields {
    incoming: Option<MessagePosition>,
    outgoing: Option<MessagePosition>,
    name: Option<MessagePosition>,
}

/// The fields of a chat that must be looked up again, because the message that they named has moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
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
            service_count: 0,
            last_incoming: None,
            last_outgoing: None,
            name: None,
            given_name: None,
            waiting: None,
        }
    }

    pub fn key(&self) -> ChatKey {
        ChatKey { instance_id: self.instance_id.clone(), chat_id: self.chat_id.clone() }
    }

    pub fn kind(&self) -> ChatKind {
        ChatKind::of(&self.chat_id)
    }

    /// Returns the latest message, incoming or outgoing.
    pub fn last_message(&self) -> Option<&MessagePosition> {
        self.last_incoming.as_ref().max(self.last_outgoing.as_ref())
    }

    fn is_empty(&self) -> bool {
        self.message_count + self.service_count == 0
    }

    /// Returns the text that a search for chats looks in: the names and the name in the id (mostly a number), folded.
    pub fn search(&self) -> String {
        let name = self.name.as_ref().map(|name| name.name.chars().take(MAX_NAME_CHARACTERS).collect::<String>());
        let names = self.given_name.as_deref().into_iter().chain(name.as_deref());
        let known = names.chain([chat_id::name(&self.chat_id)]);
        fold(&Vec::from_iter(known).join(" "))
    }

    /// Counts the message, and takes it into each field that it is later than.
    fn include(&mut self, message: &Message) {
        *self.count(message.is_service) += 1;
        if message.is_service {
            return;
        }
        let position = MessagePosition::of(message);
        if message.fields.from_me {
            self.last_outgoing = self.last_outgoing.take().max(Some(position));
            return;
        }
        if let (Some(name), true) = (&message.fields.sender_name, self.kind().has_name_of_sender()) {
            let name = ChatName { position: position.clone(), name: name.clone() };
            self.name = self.name.take().max(Some(name));
        }
        self.last_incoming = self.last_incoming.take().max(Some(position));
    }

    fn count(&mut self, is_service: bool) -> &mut i64 {
        if is_service { &mut self.service_count } else { &mut self.message_count }
    }

    /// Clears the fields that name the message, and returns the positions that they had.
    fn clear(&mut self, message_id: &str) -> ClearedFields {
        let held = |position: &MessagePosition| position.message_id == message_id;
        ClearedFields {
            incoming: self.last_incoming.take_if(|position| held(position)),
            outgoing: self.last_outgoing.take_if(|position| held(position)),
            name: self.name.take_if(|name| held(&name.position)).map(|name| name.position),
        }
    }

    /// Returns the fields that are stale since these positions were cleared. A field is not stale if a message at the
    /// cleared position or later has filled it: no other message can be later, because the cleared one was the latest.
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

/// The values of a message that the row of its chat depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatPlacement {
    pub chat_id: Option<String>,
    pub occurred_at: Timestamp,
    pub seq: i64,
    pub from_me: bool,
    pub is_service: bool,
    pub is_revoked: bool,
}

impl ChatPlacement {
    fn of(message: &Message) -> Self {
        Self {
            chat_id: message.fields.chat_id.clone(),
            occurred_at: message.occurred_at(),
            seq: message.seq,
            from_me: message.fields.from_me,
            is_service: message.is_service,
            is_revoked: message.revocation.is_some(),
        }
    }

    /// Returns whether the message asks or answers. Nobody wrote a service message, and a deleted question needs no
    /// answer, but a deleted answer was one.
    fn asks_or_answers(&self) -> bool {
        !self.is_service && (self.from_me || !self.is_revoked)
    }

    /// Returns the second in which the message asks or answers.
    fn second(&self) -> Option<i64> {
        self.asks_or_answers().then_some(self.occurred_at.seconds())
    }
}

impl From<&RecordedMessage> for ChatPlacement {
    fn from(message: &RecordedMessage) -> Self {
        Self {
            chat_id: message.chat_id.clone(),
            occurred_at: message.occurred_at(),
            seq: message.seq,
            from_me: message.from_me,
            is_service: message.is_service,
            is_revoked: message.revoked_at.is_some(),
        }
    }
}

/// A recorded message after later copies changed it, and its placement before.
#[derive(Clone, Debug)]
pub struct UpdatedMessage {
    pub message: Message,
    pub before: ChatPlacement,
}

impl UpdatedMessage {
    /// Returns whether the placement of the message has changed.
    pub fn has_moved(&self) -> bool {
        self.before != ChatPlacement::of(&self.message)
    }

    /// Returns the place that the words of the message had in the index.
    pub fn place_before(&self) -> SearchPlace {
        let ChatPlacement { occurred_at, seq, .. } = self.before;
        SearchPlace { instance_id: self.message.instance_id.clone(), occurred_at, seq }
    }

    fn chat_before(&self) -> Option<ChatKey> {
        Some(ChatKey { instance_id: self.message.instance_id.clone(), chat_id: self.before.chat_id.clone()? })
    }
}
