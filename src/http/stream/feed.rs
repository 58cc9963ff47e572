//! The feed: `GET /api/v1/events?since_seq=`, and what the stream sends.

use std::collections::BTreeSet;

use serde::Serialize;
use utoipa::ToSchema;

use crate::http::api::answer::shown;
use crate::http::api::parameters;
use crate::http::api::store_handle::StoreHandle;
use crate::http::limits::answers::encoded_len;
use crate::http::problem::Problem;
use domain::access::scope::Scope;
use domain::instance::InstanceId;
use domain::message::MessageKey;
use domain::page::fitting;
use store;
use store::FeedFilter;

/// A stretch of the feed.
#[derive(Serialize, ToSchema)]
pub struct FeedAnswer {
    pub data: Vec<FeedItem>,
    /// Go on from here. It can be greater than the last number in `data`.
    #[schema(example = 4711)]
    pub next_since_seq: i64,
    /// Whether there is more at once. `data` can be empty all the same.
    #[schema(example = false)]
    pub more: bool,
}

/// An item of the feed.
#[derive(Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum FeedItem {
    Event(FeedEvent),
    Media(FeedFile),
}

/// An event. `GET /api/v1/events/{seq}` has the rest, where your token sees the event's instance.
#[derive(Serialize, ToSchema)]
pub struct FeedEvent {
    #[schema(example = 4711)]
    pub seq: i64,
    /// Whose event it is; `-` where nobody said.
    #[schema(example = "123")]
    pub instance_id: String,
    #[schema(example = "message_received")]
    pub event_type: Option<String>,
    #[schema(example = "573001112233@c.us")]
    pub chat_id: Option<String>,
    /// applied, ignored or quarantined
    #[schema(example = "applied")]
    pub state: String,
    /// `received_at` in seconds since 1970.
    #[schema(example = 1724716801)]
    pub timestamp: i64,
    /// When it arrived.
    #[schema(example = "2024-08-27T00:00:01.204Z", format = DateTime)]
    pub received_at: String,
    /// The messages to look at again. An ack without an instance names the outgoing messages with its id, at most 100.
    pub changes: Vec<FeedChange>,
}

/// A file that has been stored, or that was given up. Each is there once, with its latest end.
#[derive(Serialize, ToSchema)]
pub struct FeedFile {
    #[schema(example = 4712)]
    pub seq: i64,
    #[schema(example = "123")]
    pub instance_id: String,
    /// The message that it came with.
    #[schema(example = "ABCD1234")]
    pub message_id: String,
    /// stored, expired, refused, too_large or failed
    #[schema(example = "stored")]
    pub state: &'static str,
    /// The reason why the file was given up, if it was.
    #[schema(example = json!(null))]
    pub reason: Option<String>,
    /// The message to look at again.
    pub changes: Vec<FeedChange>,
}

/// A message that something was said of.
#[derive(Serialize, ToSchema)]
pub struct FeedChange {
    #[schema(example = "123")]
    pub instance_id: String,
    #[schema(example = "ABCD1234")]
    pub message_id: String,
}

/// The parameter `since_seq`.
pub fn since_seq(value: &Option<String>) -> Result<Option<i64>, Problem> {
    parameters::parse("since_seq", &parameters::text(value), position)
}

/// A number of the ledger, as a client gives it.
pub fn position(text: &str) -> Result<i64, &'static str> {
    text.parse().ok().filter(|seq| *seq >= 0).ok_or("expected a number of the feed, or 0 for the beginning")
}

pub fn filter(instance: Option<InstanceId>, event_type: Option<String>) -> FeedFilter {
    let event_types = event_type.iter().flat_map(|text| text.split(',')).map(str::trim).filter(|kind| !kind.is_empty());
    FeedFilter { instances: BTreeSet::from_iter(instance), event_types: event_types.map(str::to_owned).collect() }
}

/// Which part of the feed is read.
#[derive(Clone, Copy, Debug)]
pub struct FeedPage {
    /// After this number.
    pub since: i64,
    /// The maximum number of items.
    pub limit: u32,
    /// The maximum size of the items as JSON, in bytes. A single item may be larger.
    pub bytes: usize,
}

pub async fn read(
    archive: &StoreHandle,
    scope: &Scope,
    filter: &FeedFilter,
    stretch: FeedPage,
) -> Result<FeedAnswer, Problem> {
    let (scope, filter, FeedPage { since, limit, bytes }) = (scope.clone(), filter.clone(), stretch);
    let feed = archive.ask(|store| async move { store.feed(&scope, &filter, since, limit).await }).await?;
    let data = feed.items.into_iter().map(FeedItem::from).collect();
    Ok(FeedAnswer { data, next_since_seq: feed.next_since, more: feed.more }.within(bytes))
}

impl FeedAnswer {
    /// Ends where the items have more than `most` bytes, but never before the first.
    fn within(mut self, most: usize) -> Self {
        let sizes: Vec<usize> = self.data.iter().map(encoded_len).collect();
        let fitting = fitting(most, sizes.iter());
        if fitting < self.data.len() {
            self.data.truncate(fitting);
            self.next_since_seq = self.data.last().map_or(self.next_since_seq, FeedItem::seq);
            self.more = true;
        }
        self
    }
}

impl FeedItem {
    pub fn seq(&self) -> i64 {
        match self {
            Self::Event(event) => event.seq,
            Self::Media(file) => file.seq,
        }
    }
}

impl From<store::FeedItem> for FeedItem {
    fn from(item: store::FeedItem) -> Self {
        match item {
            store::FeedItem::Event(event) => Self::Event(event.into()),
            store::FeedItem::File(file) => Self::Media(file.into()),
        }
    }
}

impl From<store::FeedEvent> for FeedEvent {
    fn from(event: store::FeedEvent) -> Self {
        Self {
            seq: event.seq,
            instance_id: event.instance_id.as_str().to_owned(),
            event_type: event.event_type,
            chat_id: event.chat_id,
            state: event.state,
            timestamp: event.received_at.seconds(),
            received_at: shown(event.received_at),
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

impl From<MessageKey> for FeedChange {
    fn from(MessageKey { instance_id, id: message_id }: MessageKey) -> Self {
        Self { instance_id: instance_id.as_str().to_owned(), message_id }
    }
}
