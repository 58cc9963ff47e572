//! The rows that the program would make of the history.

use std::sync::Arc;
use std::time::Duration;

use buzon::domain::chat::chat_id;
use buzon::domain::chat::chat_kind::ChatKind;
use buzon::domain::media::MediaJob;
use buzon::domain::message::{MessageKey, ack};
use buzon::domain::search::{SearchEntry, SearchedTexts, fold};
use buzon::domain::time::timestamp::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::history::{Arrival, Happening, Key, Message};
use super::people::{Chat, Mark};

/// A value of a column.
pub enum Cell {
    Null,
    Text(String),
    Number(i64),
    Real(f64),
    Flag(bool),
    Time(Timestamp),
    Bytes(Vec<u8>),
}

pub struct Table {
    pub name: &'static str,
    pub columns: &'static [&'static str],
    pub rows: Vec<Vec<Cell>>,
}

/// Rows that are written together.
#[derive(Default)]
pub struct Batch {
    pub tables: Vec<Table>,
    pub search: Vec<SearchEntry>,
}

const EVENTS: &[&str] = &[
    "seq",
    "instance_id",
    "event_type",
    "message_id",
    "chat_id",
    "body",
    "body_sha256",
    "received_at",
    "deliveries",
    "last_received_at",
    "signed",
    "state",
    "reason",
    "quoted_message_id",
];
const LINKS: &[&str] = &["instance_id", "a", "b", "source", "seq"];
const MESSAGES: &[&str] = &[
    "instance_id",
    "id",
    "chat_id",
    "from_id",
    "to_id",
    "from_me",
    "sender_name",
    "body",
    "type",
    "sent_at",
    "kind",
    "is_group",
    "quoted_message_id",
    "media_url",
    "latitude",
    "longitude",
    "status",
    "ack",
    "ack_rank",
    "group_sender",
    "received_at",
    "occurred_at",
    "seq",
    "event_seq",
    "last_sent_at",
    "delivered_at",
    "read_at",
];
const ACKS: &[&str] = &["instance_id", "message_id", "ack", "ack_rank", "received_at", "last_received_at"];
const REACTIONS: &[&str] =
    &["instance_id", "message_id", "from_number", "reaction", "reacted_at", "received_at", "last_received_at"];
const RESPONSES: &[&str] = &[
    "instance_id",
    "chat_id",
    "kind",
    "waiting_since",
    "incoming_id",
    "last_asked_at",
    "answered_at",
    "outgoing_id",
    "seconds",
    "seconds_from_last",
];
const MEDIA: &[&str] = &[
    "instance_id",
    "message_id",
    "chat_id",
    "kind",
    "source_sha256",
    "source_url",
    "source_host",
    "occurred_at",
    "state",
    "attempts",
    "denials",
    "next_attempt_at",
    "lease_token",
    "object_key",
    "size",
    "content_type",
    "stored_at",
];
const CHATS: &[&str] = &[
    "instance_id",
    "chat_id",
    "name",
    "name_at",
    "name_message_id",
    "name_seq",
    "message_count",
    "last_message_at",
    "last_message_id",
    "last_incoming_at",
    "last_incoming_id",
    "last_incoming_seq",
    "last_outgoing_at",
    "last_outgoing_id",
    "last_outgoing_seq",
    "contact",
    "kind",
    "search",
    "waiting_since",
    "waiting_id",
    "waiting_seq",
    "last_asked_at",
];

impl Batch {
    /// Adds the rows of the event with the number `seq`. The ledger keeps its bytes if `bodies` says so.
    pub fn add(&mut self, arrival: &Arrival, seq: i64, bodies: bool) {
        self.push("events", EVENTS, event(arrival, seq, bodies));
        match &arrival.what {
            Happening::Message(message) => self.add_message(message, arrival.at, seq),
            Happening::Ack { of, ack } => self.push("message_acks", ACKS, stated(of, ack, arrival.at)),
            Happening::Reaction { to: (instance_id, id), from, reaction, reacted_at } => {
                let texts = [instance_id.as_str().into(), id.into(), from.into(), Cell::from(*reaction)];
                let times = [*reacted_at, arrival.at, arrival.at].map(Cell::from);
                self.push("message_reactions", REACTIONS, texts.into_iter().chain(times).collect());
            }
            Happening::Unusable { .. } => {}
        }
    }

    fn add_message(&mut self, message: &Message, received_at: Timestamp, seq: i64) {
        if !message.from_me {
            self.push("message_acks", ACKS, stated(&message.key, "pending", received_at));
        }
        if let Some(media) = media(message) {
            self.push("media", MEDIA, media);
        }
        if let Some(response) = response(message) {
            self.push("responses", RESPONSES, response);
        }
        let (body, media_url) = (message.body.as_deref(), message.media_url.as_deref());
        let words = SearchedTexts { body, media_url, ..SearchedTexts::default() }.words();
        let key = MessageKey { instance_id: message.key.0.clone(), id: message.key.1.to_string() };
        self.search.extend(SearchEntry::new(key, Some(&message.chat_id), message.sent_at, seq, words));
        self.push("messages", MESSAGES, message_row(message, received_at, seq));
    }

    pub fn add_chats(&mut self, chats: &[Chat]) {
        chats.iter().filter_map(chat).for_each(|row| self.push("chats", CHATS, row));
        chats.iter().filter_map(first_message).for_each(|row| self.push("chat_links", LINKS, row));
    }

    fn push(&mut self, name: &'static str, columns: &'static [&'static str], row: Vec<Cell>) {
        assert_eq!(row.len(), columns.len(), "{name}");
        match self.tables.iter_mut().find(|table| table.name == name) {
            Some(table) => table.rows.push(row),
            None => self.tables.push(Table { name, columns, rows: vec![row] }),
        }
    }
}

impl Arrival {
    pub fn instance(&self) -> &str {
        match &self.what {
            Happening::Message(message) => message.key.0.as_str(),
            Happening::Ack { of: (instance_id, _), .. } | Happening::Reaction { to: (instance_id, _), .. } => {
                instance_id.as_str()
            }
            Happening::Unusable { instance_id, .. } => instance_id.as_str(),
        }
    }

    /// Returns the body as the gateway sends it.
    pub fn body(&self) -> Vec<u8> {
        let body = match &self.what {
            Happening::Message(message) => message_body(message),
            Happening::Ack { of: (_, id), ack } => json!({"event_type": "ack_update", "id": **id, "ack": ack}),
            Happening::Reaction { to: (_, id), from, reaction, reacted_at } => json!({
                "event_type": "message_reaction", "message_id": **id, "from_number": **from, "reaction": reaction,
                "timestamp": reacted_at.millis() / 1_000,
            }),
            Happening::Unusable { number, .. } => return format!("event {number} is no JSON").into_bytes(),
        };
        body.to_string().into_bytes()
    }
}

fn message_body(message: &Message) -> Value {
    json!({
        "event_type": if message.from_me { "message_sent" } else { "message_received" },
        "id": *message.key.1,
        "chat_id": *message.chat_id,
        "from": *message.from,
        "to": *message.to,
        "from_me": i32::from(message.from_me),
        "sender_name": message.sender_name.as_deref(),
        "body": message.body,
        "type": message.kind,
        "timestamp": message.sent_at.millis() / 1_000,
        "is_group": i32::from(message.is_group),
        "quoted_message_id": message.quoted.as_deref(),
        "media_url": message.media_url,
        "latitude": message.location.map(|(latitude, _)| latitude),
        "longitude": message.location.map(|(_, longitude)| longitude),
        "status": status(message),
        "ack": (!message.from_me).then_some("pending"),
        "group_sender": message.group_sender,
    })
}

fn kind(chat_id: &str) -> Cell {
    ChatKind::of(chat_id).as_str().into()
}

fn status(message: &Message) -> &'static str {
    if message.from_me { "sent" } else { "received" }
}

fn event(arrival: &Arrival, seq: i64, bodies: bool) -> Vec<Cell> {
    let body = arrival.body();
    let (event_type, message_id, chat_id) = match &arrival.what {
        Happening::Message(message) if message.from_me => {
            (Some("message_sent"), Some(&message.key.1), Some(&message.chat_id))
        }
        Happening::Message(message) => (Some("message_received"), Some(&message.key.1), Some(&message.chat_id)),
        Happening::Ack { of: (_, id), .. } => (Some("ack_update"), Some(id), None),
        Happening::Reaction { to: (_, id), .. } => (Some("message_reaction"), Some(id), None),
        Happening::Unusable { .. } => (None, None, None),
    };
    let quoted = match &arrival.what {
        Happening::Message(message) => message.quoted.clone(),
        _ => None,
    };
    let usable = event_type.is_some();
    let digest = Sha256::digest(&body).to_vec();
    vec![
        Cell::Number(seq),
        arrival.instance().into(),
        event_type.into(),
        message_id.cloned().into(),
        chat_id.cloned().into(),
        if bodies || !usable { Cell::Bytes(body) } else { Cell::Null },
        Cell::Bytes(digest),
        arrival.at.into(),
        Cell::Number(1),
        arrival.at.into(),
        Cell::Flag(true),
        if usable { "applied" } else { "quarantined" }.into(),
        (!usable).then_some("not_json").into(),
        quoted.into(),
    ]
}

fn message_row(message: &Message, received_at: Timestamp, seq: i64) -> Vec<Cell> {
    // An incoming message states its own ack, and no other ever follows.
    let stated = message.acks.iter().map(|(ack, at)| (ack::rank(ack), *ack, *at));
    let (rank, ack, _) = stated.clone().max().expect("something is stated of each message");
    let since = |least: i16| stated.clone().filter(|(rank, ..)| *rank >= least).map(|(.., at)| at).min();
    vec![
        message.key.0.as_str().into(),
        (&message.key.1).into(),
        (&message.chat_id).into(),
        (&message.from).into(),
        (&message.to).into(),
        Cell::Flag(message.from_me),
        message.sender_name.clone().into(),
        message.body.clone().into(),
        message.kind.into(),
        message.sent_at.into(),
        kind(&message.chat_id),
        Cell::Flag(message.is_group),
        message.quoted.clone().into(),
        message.media_url.clone().into(),
        message.location.map(|(latitude, _)| latitude).into(),
        message.location.map(|(_, longitude)| longitude).into(),
        status(message).into(),
        ack.into(),
        Cell::Number(rank.into()),
        message.group_sender.clone().into(),
        received_at.into(),
        message.sent_at.into(),
        Cell::Number(seq),
        Cell::Number(seq),
        message.sent_at.into(),
        since(4).into(),
        since(5).into(),
    ]
}

fn stated((instance_id, id): &Key, ack: &str, at: Timestamp) -> Vec<Cell> {
    vec![instance_id.as_str().into(), id.into(), ack.into(), Cell::Number(ack::rank(ack).into()), at.into(), at.into()]
}

fn response(message: &Message) -> Option<Vec<Cell>> {
    let ((since, incoming), last_asked) = message.answers.as_ref()?;
    let seconds_from = |at: &Timestamp| Cell::Number((message.sent_at.millis() - at.millis()) / 1_000);
    Some(vec![
        message.key.0.as_str().into(),
        (&message.chat_id).into(),
        kind(&message.chat_id),
        (*since).into(),
        incoming.into(),
        (*last_asked).into(),
        message.sent_at.into(),
        (&message.key.1).into(),
        seconds_from(since),
        seconds_from(last_asked),
    ])
}

/// Returns the row of a file. Most files were stored; some were deleted or refused before they could be.
fn media(message: &Message) -> Option<Vec<Cell>> {
    let (key, url) = (&message.key, message.media_url.clone()?);
    let job = MediaJob::new(key.0.clone(), key.1.to_string(), url, message.sent_at, message.sent_at);
    let digest = job.key.source_sha256;
    let (state, content) = match digest[0] {
        0..12 => ("expired", None),
        12..20 => ("failed", None),
        20..24 => ("too_large", None),
        _ => ("stored", Some(hex::encode(Sha256::digest(digest)))),
    };
    let size = i64::from(u16::from_be_bytes([digest[1], digest[2]])) * 10;
    let stored = content.is_some();
    Some(vec![
        key.0.as_str().into(),
        (&key.1).into(),
        (&message.chat_id).into(),
        kind(&message.chat_id),
        Cell::Bytes(digest.to_vec()),
        job.source_url.into(),
        job.source_host.into(),
        message.sent_at.into(),
        state.into(),
        Cell::Number(1),
        Cell::Number(0),
        message.sent_at.into(),
        Cell::Number(1),
        content.into(),
        if stored { Cell::Number(size) } else { Cell::Null },
        stored.then_some(content_type(message.kind)).into(),
        stored.then(|| message.sent_at + Duration::from_secs(3)).into(),
    ])
}

fn content_type(kind: &str) -> &'static str {
    match kind {
        "image" => "image/jpeg",
        "audio" => "audio/ogg",
        "video" => "video/mp4",
        "sticker" => "image/webp",
        _ => "application/pdf",
    }
}

/// Returns `None` for a chat without messages.
fn chat(chat: &Chat) -> Option<Vec<Cell>> {
    let last = chat.last.as_ref()?;
    let named = chat.last_incoming.as_ref().filter(|_| chat.name.is_some());
    let name = chat.name.as_deref().filter(|_| named.is_some());
    let searched = name.into_iter().chain([chat_id::name(&chat.id)]).collect::<Vec<_>>().join(" ");
    let at = |mark: Option<&Mark>| mark.map(|(at, _)| *at).into();
    let id = |mark: Option<&Mark>| mark.map(|(_, id)| id.clone()).into();
    // The messages of a chat have different times, so that their numbers decide nothing.
    let seq = |mark: Option<&Mark>| mark.map_or(Cell::Null, |_| Cell::Number(1));
    Some(vec![
        chat.instance_id.as_str().into(),
        (&chat.id).into(),
        name.into(),
        at(named),
        id(named),
        seq(named),
        Cell::Number(chat.messages),
        at(Some(last)),
        id(Some(last)),
        at(chat.last_incoming.as_ref()),
        id(chat.last_incoming.as_ref()),
        seq(chat.last_incoming.as_ref()),
        at(chat.last_outgoing.as_ref()),
        id(chat.last_outgoing.as_ref()),
        seq(chat.last_outgoing.as_ref()),
        chat_id::contact(&chat.id).into(),
        kind(&chat.id),
        fold(&searched).into(),
        at(chat.waiting.as_ref()),
        id(chat.waiting.as_ref()),
        seq(chat.waiting.as_ref()),
        at(chat.last_incoming.as_ref().filter(|_| chat.waiting.is_some())),
    ])
}

/// Returns the row that says which message of a number was the first.
fn first_message(chat: &Chat) -> Option<Vec<Cell>> {
    chat.last.as_ref()?;
    chat_id::contact(&chat.id)?;
    let id = || Cell::from(&chat.id);
    Some(vec![chat.instance_id.as_str().into(), id(), id(), "first message".into(), Cell::Number(1)])
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Arc<str>> for Cell {
    fn from(text: Arc<str>) -> Self {
        Self::Text(text.to_string())
    }
}

impl From<&Arc<str>> for Cell {
    fn from(text: &Arc<str>) -> Self {
        Self::Text(text.to_string())
    }
}

impl From<f64> for Cell {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl From<Timestamp> for Cell {
    fn from(at: Timestamp) -> Self {
        Self::Time(at)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, T::into)
    }
}
