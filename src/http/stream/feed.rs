//! The feed: `GET /api/v1/events?after=`. The stream sends the same items.

use std::collections::BTreeSet;

use serde::de::Error;
use serde::{Deserializer, Serialize};
use utoipa::ToSchema;

use crate::http::api::parameters::text;
use crate::http::api::time::rfc3339;
use crate::http::json::encoded_len;
use crate::http::problem::Problem;
use crate::http::store_handle::StoreHandle;
use domain::access::scope::Scope;
use domain::instance::InstanceId;
use domain::message::MessageKey;
use domain::page::fitting;
use domain::page::position::{FeedStart, Position};
use store::FeedFilter;

/// A page of the feed.
#[derive(Serialize, ToSchema)]
pub struct FeedResponse {
    pub data: Vec<FeedItem>,
    /// The `after` of the next request.
    #[schema(example = "LvF1dZ0mFjQAAAAAAAASZw")]
    pub next_after: String,
    /// True if there are more items now. `data` can still be empty.
    #[schema(example = false)]
    pub more: bool,
    #[serde(skip)]
    end: Position,
}

/// An item of the feed.
#[derive(Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum FeedItem {
    Event(FeedEvent),
    Media(FeedFile),
    Chat(FeedChat),
}

/// An event. `GET /api/v1/events/{instance_id}/{id}` has the rest, if your token can see the event's instance.
#[derive(Serialize, ToSchema)]
pub struct FeedEvent {
    #[serde(skip)]
    seq: i64,
    #[schema(example = "123/5b1f3a9e0c7d42e68f1b2a3c4d5e6f70")]
    pub id: String,
    /// The instance of the event; `-` if none was stated.
    #[schema(example = "123")]
    pub instance_id: String,
    #[schema(example = "message_received")]
    pub event_type: Option<String>,
    #[schema(example = "573001112233@c.us")]
    pub chat_id: Option<String>,
    /// applied, ignored, quarantined, erased or expired
    #[schema(example = "applied")]
    pub state: String,
    /// `received_at` in seconds since 1970.
    #[schema(example = 1724716801)]
    pub timestamp: i64,
    /// When the event arrived.
    #[schema(example = "2024-08-27T00:00:01.204Z", format = DateTime)]
    pub received_at: String,
    /// The messages that changed. An ack without an instance names the outgoing messages with its id, at most 100.
    pub changes: Vec<FeedChange>,
}

/// A file that has been stored, or that buzon gave up. A file appears once, with its latest state.
#[derive(Serialize, ToSchema)]
pub struct FeedFile {
    #[serde(skip)]
    seq: i64,
    #[schema(example = "123")]
    pub instance_id: String,
    /// The message of the file.
    #[schema(example = "ABCD1234")]
    pub message_id: String,
    /// stored, expired, refused, too_large or failed
    #[schema(example = "stored")]
    pub state: &'static str,
    /// The reason why buzon gave up the file; null if it is stored.
    #[schema(example = json!(null))]
    pub reason: Option<String>,
    /// The message that changed.
    pub changes: Vec<FeedChange>,
}

/// An id of a person that was linked to another id of the same person, or is not any more, or a chat that the owner named.
/// Messages of linked ids are in one conversation, or are moved there soon.
#[derive(Serialize, ToSchema)]
pub struct FeedChat {
    #[serde(skip)]
    seq: i64,
    #[schema(example = "123")]
    pub instance_id: String,
    /// The id that was linked or named.
    #[schema(example = "176369157804064@lid")]
    pub alias: String,
    /// The id of the conversation. The same as `alias` if that is linked to no other id any more.
    #[schema(example = "573001112233@c.us")]
    pub chat_id: String,
    /// The name that the owner gave; null if this is about a link, or if the name was taken back.
    #[schema(example = "Ana (mayorista)")]
    pub name: Option<String>,
}

/// A message that changed.
#[derive(Serialize, ToSchema)]
pub struct FeedChange {
    #[schema(example = "123")]
    pub instance_id: String,
    #[schema(example = "ABCD1234")]
    pub message_id: String,
}

/// Reads the parameter `after`. Empty text counts as not given.
pub fn after<'de, D: Deserializer<'de>>(value: D) -> Result<Option<FeedStart>, D::Error> {
    text(value)?.as_deref().map(FeedStart::parse).transpose().map_err(D::Error::custom)
}

pub fn filter(instance: Option<InstanceId>, event_type: Option<String>) -> FeedFilter {
    let event_types = event_type.iter().flat_map(|text| text.split(',')).map(str::trim).filter(|kind| !kind.is_empty());
    FeedFilter { instances: BTreeSet::from_iter(instance), event_types: event_types.map(str::to_owned).collect() }
}

/// The part of the feed to read.
#[derive(Clone, Copy, Debug)]
pub struct FeedPage {
    pub start: FeedStart,
    /// The maximum number of items.
    pub limit: u32,
    /// The maximum size of the items as JSON, in bytes. A single item may be larger.
    pub bytes: usize,
}

pub async fn read(
    store: &StoreHandle,
    scope: &Scope,
    filter: &FeedFilter,
    page: FeedPage,
) -> Result<FeedResponse, Problem> {
    let (scope, filter, FeedPage { start, limit, bytes }) = (scope.clone(), filter.clone(), page);
    let query = store.ask(|store| async move { store.feed(&scope, &filter, start, limit).await });
    let feed = query.await?.ok_or(Problem::PositionOfAnotherHistory)?;
    let end = Position { history: feed.history, seq: feed.next_since };
    let data = feed.items.into_iter().map(FeedItem::from).collect();
    Ok(FeedResponse { data, next_after: String::new(), more: feed.more, end }.within(bytes))
}

impl FeedResponse {
    /// Returns the position after the page.
    pub fn end(&self) -> Position {
        self.end
    }

    /// Ends the page where its items have more than `max` bytes, but never before the first item.
    fn within(mut self, max: usize) -> Self {
        let sizes: Vec<usize> = self.data.iter().map(encoded_len).collect();
        let fitting = fitting(max, sizes.iter());
        if fitting < self.data.len() {
            self.data.truncate(fitting);
            self.end.seq = self.data.last().map_or(self.end.seq, FeedItem::seq);
            self.more = true;
        }
        self.next_after = self.end.encode();
        self
    }
}

impl FeedItem {
    pub fn seq(&self) -> i64 {
        match self {
            Self::Event(event) => event.seq,
            Self::Media(file) => file.seq,
            Self::Chat(chat) => chat.seq,
        }
    }
}

impl From<store::FeedItem> for FeedItem {
    fn from(item: store::FeedItem) -> Self {
        match item {
            store::FeedItem::Event(event) => Self::Event(event.into()),
            store::FeedItem::File(file) => Self::Media(file.into()),
            store::FeedItem::Chat(chat) => Self::Chat(chat.into()),
        }
    }
}

impl From<store::FeedEvent> for FeedEvent {
    fn from(event: store::FeedEvent) -> Self {
        Self {
            seq: event.seq,
            id: event.id.to_string(),
            instance_id: event.instance_id.as_str().to_owned(),
            event_type: event.event_type,
            chat_id: event.chat_id,
            state: event.state,
            timestamp: event.received_at.seconds(),
            received_at: rfc3339(event.received_at),
            changes: event.changes.into_iter().map(FeedChange::from).collect(),
        }
    }
}

impl From<store::FeedFile> for FeedFile {
    fn from(file: store::FeedFile) -> Self {
        Self {
            seq: file.seq,
            instance_id: file.instance_id.as_str().to_owned(),
            message_id: file.message_id.clone(),
            state: file.state.as_str(),
            reason: file.reason,
            changes: vec![MessageKey { instance_id: file.instance_id, id: file.message_id }.into()],
        }
    }
}

impl From<store::FeedChat> for FeedChat {
    fn from(chat: store::FeedChat) -> Self {
        let instance_id = chat.instance_id.as_str().to_owned();
        Self { seq: chat.seq, instance_id, alias: chat.alias, chat_id: chat.chat_id, name: chat.name }
    }
}

impl From<MessageKey> for FeedChange {
    fn from(MessageKey { instance_id, id: message_id }: MessageKey) -> Self {
        Self { instance_id: instance_id.as_str().to_owned(), message_id }
    }
}
