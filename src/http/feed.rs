//! The feed: `GET /api/v1/events?since_seq=`, and what the stream sends.

use std::collections::BTreeSet;

use serde::Serialize;
use utoipa::ToSchema;

use super::answer::shown;
use super::answers::encoded_len;
use super::archive::Archive;
use super::parameters;
use super::problem::Problem;
use crate::domain::instance::InstanceId;
use crate::domain::page::fitting;
use crate::domain::scope::Scope;
use crate::store::{self, FeedFilter};

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

/// What happened. `GET /api/v1/events/{seq}` has the rest, where your token sees the event's instance.
#[derive(Serialize, ToSchema)]
pub struct FeedItem {
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
    pub changes: Vec<Change>,
}

/// A message that something was said of.
#[derive(Serialize, ToSchema)]
pub struct Change {
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
    text.parse().ok().filter(|seq| *seq >= 0).ok_or("expected the number of an event, or 0 for the beginning")
}

pub fn filter(instance: Option<InstanceId>, event_type: Option<String>) -> FeedFilter {
    let event_types = event_type.iter().flat_map(|text| text.split(',')).map(str::trim).filter(|kind| !kind.is_empty());
    FeedFilter { instances: BTreeSet::from_iter(instance), event_types: event_types.map(str::to_owned).collect() }
}

/// Which part of the feed is read.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    /// After this number.
    pub since: i64,
    /// How many items at most.
    pub limit: u32,
    /// How many bytes they have at most as JSON, unless there is only one.
    pub bytes: usize,
}

pub async fn read(
    archive: &Archive,
    scope: &Scope,
    filter: &FeedFilter,
    stretch: Stretch,
) -> Result<FeedAnswer, Problem> {
    let (scope, filter, Stretch { since, limit, bytes }) = (scope.clone(), filter.clone(), stretch);
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
            self.next_since_seq = self.data.last().map_or(self.next_since_seq, |item| item.seq);
            self.more = true;
        }
        self
    }
}

impl From<store::FeedItem> for FeedItem {
    fn from(item: store::FeedItem) -> Self {
        let change = |(instance_id, message_id): (InstanceId, String)| Change {
            instance_id: instance_id.as_str().to_owned(),
            message_id,
        };
        Self {
            seq: item.seq,
            instance_id: item.instance_id.as_str().to_owned(),
            event_type: item.event_type,
            chat_id: item.chat_id,
            state: item.state,
            timestamp: item.received_at.seconds(),
            received_at: shown(item.received_at),
            changes: item.changes.into_iter().map(change).collect(),
        }
    }
}
