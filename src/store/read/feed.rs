//! The ledger as a feed: the events after a number, in the order of their numbers, with the messages that they changed.
//! When the job of a file ends, the file gets a number of the same clock and stands among the events.
//!
//! No event and no file ever appears below a visible number, so a reader who continues where a feed ended misses
//! nothing. A file appears once, with the latest end of its job. When it is requested again, it leaves its place, and
//! gets another number later.

use std::collections::{BTreeSet, HashMap};

use super::Queries;
use super::events::{EventReport, LedgerScan, ScanFilter, ScanIndex, ScanSources};
use crate::Store;
use crate::StoreError;
use crate::error::in_table;
use domain::access::scope::Scope;
use domain::event::EventState;
use domain::event::event_id::EventId;
use domain::instance::InstanceId;
use domain::media::MediaState;
use domain::message::MessageKey;
use domain::page::position::{FeedStart, History, Position};
use domain::page::scan::{ScanResult, ScanWindow};
use domain::time::timestamp::Timestamp;

/// The number of events without an instance that are searched for acks of a reader's messages before a page ends.
const UNSTATED_ROWS: u32 = 1_000;
/// The maximum number of messages that an item names. Only a malicious gateway uses one id in several instances.
const CHANGES: usize = 100;
/// The types of events that can state an ack. Without an instance, such an event can change a message of any instance.
const STATING: [&str; 3] = ["ack_update", "message_received", "message_sent"];

/// A filter of the feed. An empty set lets all through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedFilter {
    /// The instances that received an event, or whose messages it changed.
    pub instances: BTreeSet<InstanceId>,
    /// Types of events, and [`FeedFilter::FILES`] for files.
    pub event_types: Vec<String>,
}

impl FeedFilter {
    /// The word for files among the types of events.
    pub const FILES: &str = "media";

    /// The word for persons' ids among the types of events.
    pub const CHATS: &str = "chat";

    fn wants_chats(&self) -> bool {
        self.event_types.is_empty() || self.event_types.iter().any(|it| it == Self::CHATS)
    }

    fn wants_files(&self) -> bool {
        self.event_types.is_empty() || self.event_types.iter().any(|it| it == Self::FILES)
    }
}

/// A part of the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    pub items: Vec<FeedItem>,
    /// The history that the numbers are of.
    pub history: History,
    /// The number after which the next part begins.
    pub next_since: i64,
    /// True if there are more items already.
    pub more: bool,
}

/// An item of the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedItem {
    Event(FeedEvent),
    File(FeedFile),
    Chat(FeedChat),
}

impl FeedItem {
    pub fn seq(&self) -> i64 {
        match self {
            Self::Event(event) => event.seq,
            Self::File(file) => file.seq,
            Self::Chat(chat) => chat.seq,
        }
    }
}

/// An event, and the messages that it may have changed, as far as the reader may see them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedEvent {
    pub seq: i64,
    pub id: EventId,
    pub instance_id: InstanceId,
    pub event_type: Option<String>,
    /// `None` if the reader may see only the changes of the event.
    pub chat_id: Option<String>,
    pub state: String,
    pub received_at: Timestamp,
    pub changes: Vec<MessageKey>,
}

/// The end of the job of a message's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedFile {
    pub seq: i64,
    pub instance_id: InstanceId,
    pub message_id: String,
    pub state: MediaState,
    pub reason: Option<String>,
}

/// An id of a person whose conversation has changed, or a chat that the owner has named. If both ids are the same and there
/// is no name, the id is linked to no other any more, or the chat has no name of the owner's any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedChat {
    pub seq: i64,
    pub instance_id: InstanceId,
    pub alias: String,
    pub chat_id: String,
    pub name: Option<String>,
}

/// An item of the feed that is no event: a file has a message and a state, a chat has an alias and an id.
pub struct OtherRow {
    pub(crate) seq: i64,
    pub(crate) instance_id: InstanceId,
    pub(crate) message_id: Option<String>,
    pub(crate) state: Option<MediaState>,
    pub(crate) reason: Option<String>,
    pub(crate) alias: Option<String>,
    pub(crate) chat_id: Option<String>,
    pub(crate) name: Option<String>,
}

impl OtherRow {
    fn item(self) -> Option<FeedItem> {
        let Self { seq, instance_id, reason, name, .. } = self;
        if let Some((message_id, state)) = self.message_id.zip(self.state) {
            return Some(FeedItem::File(FeedFile { seq, instance_id, message_id, state, reason }));
        }
        let (alias, chat_id) = self.alias.zip(self.chat_id)?;
        Some(FeedItem::Chat(FeedChat { seq, instance_id, alias, chat_id, name }))
    }
}

impl dyn Store + '_ {
    /// Returns at most `limit` items after `start`, in the order of their numbers. The work is bounded, so there can be
    /// fewer items, even none, although more follow. Returns `None` if `start` is of another history.
    pub async fn feed(
        &self,
        scope: &Scope,
        filter: &FeedFilter,
        start: FeedStart,
        limit: u32,
    ) -> Result<Option<Feed>, StoreError> {
        let mut queries = self.read().await?;
        let Position { history, seq: clock } = queries.position().await?;
        let Some(since) = start.number(history, clock) else {
            queries.end().await?;
            return Ok(None);
        };
        let view = View::new(scope, filter);
        let windows = view.windows(&mut *queries, since, clock, limit).await?;
        let ScanResult { found, reached } = ScanResult::merge(windows, true, limit);
        let items = view.items(&mut *queries, &found).await?;
        queries.end().await?;
        Ok(Some(Feed { items, history, next_since: reached.unwrap_or(clock), more: reached.is_some() }))
    }
}

/// The part of the ledger that a reader sees.
struct View<'v> {
    scope: &'v Scope,
    filter: &'v FeedFilter,
    /// `None` for the whole ledger.
    instances: Option<BTreeSet<InstanceId>>,
}

impl<'v> View<'v> {
    fn new(scope: &'v Scope, filter: &'v FeedFilter) -> Self {
        let wanted = filter.instances.iter().filter(|instance| scope.allows(instance)).cloned();
        let instances = match (scope, filter.instances.is_empty()) {
            (Scope::All, true) => None,
            (Scope::Instances(instances), true) => Some(instances.clone()),
            (_, false) => Some(wanted.collect()),
        };
        Self { scope, filter, instances }
    }

    async fn windows(
        &self,
        queries: &mut dyn Queries,
        since: i64,
        clock: i64,
        limit: u32,
    ) -> Result<Vec<ScanWindow>, StoreError> {
        let filter = ScanFilter { event_types: self.filter.event_types.clone(), ..ScanFilter::default() };
        let sources = match &self.instances {
            None => ScanSources::Ledger,
            Some(instances) => ScanSources::Instances(instances.iter().cloned().collect()),
        };
        let rows = LedgerScan::reach(&sources, &filter, limit);
        let (index, ascending) = (ScanIndex::All, true);
        let scan = LedgerScan { sources, index, filter, after: since, before: clock + 1, ascending, rows };
        let mut windows = queries.windows(&scan).await?;
        let (files, chats) = (self.filter.wants_files(), self.filter.wants_chats());
        if files || chats {
            let (index, filter, rows) = (ScanIndex::Others { files, chats }, ScanFilter::default(), limit + 1);
            windows.extend(queries.windows(&LedgerScan { index, filter, rows, ..scan.clone() }).await?);
        }
        if self.instances.as_ref().is_some_and(|it| !it.is_empty() && !it.contains(&InstanceId::unstated())) {
            windows.extend(self.unstated(queries, scan).await?);
        }
        Ok(windows)
    }

    /// Returns the events without an instance that changed messages of the instances of the view.
    async fn unstated(&self, queries: &mut dyn Queries, scan: LedgerScan) -> Result<Option<ScanWindow>, StoreError> {
        let stating = STATING.into_iter().map(str::to_owned);
        let wanted = &self.filter.event_types;
        let event_types: Vec<String> = stating.filter(|it| wanted.is_empty() || wanted.contains(it)).collect();
        if event_types.is_empty() {
            return Ok(None);
        }
        let sources = ScanSources::Instances(vec![InstanceId::unstated()]);
        let filter = ScanFilter { event_types, state: Some(EventState::Applied), ..ScanFilter::default() };
        let scan = LedgerScan { sources, filter, rows: UNSTATED_ROWS, ..scan };
        let Some(window) = queries.windows(&scan).await?.pop() else { return Ok(None) };
        let events = queries.events_with(&window.found).await?;
        let owners = owners(queries, &events).await?;
        let found = events.iter().filter(|event| owners_of(&owners, event).any(|owner| self.looks_at(owner)));
        Ok(Some(ScanWindow { found: found.map(|event| event.seq).collect(), ..window }))
    }

    fn looks_at(&self, instance: &InstanceId) -> bool {
        self.instances.as_ref().is_none_or(|instances| instances.contains(instance))
    }

    /// Returns the items with these numbers. No two of events, files and chats share a number.
    async fn items(&self, queries: &mut dyn Queries, seqs: &[i64]) -> Result<Vec<FeedItem>, StoreError> {
        let events = queries.events_with(seqs).await?;
        let mut others = vec![];
        if events.len() < seqs.len() {
            let is_event = |seq: &i64| events.binary_search_by_key(seq, |event| event.seq).is_ok();
            let seqs: Vec<i64> = seqs.iter().copied().filter(|seq| !is_event(seq)).collect();
            others = queries.others_with(&seqs).await.map_err(in_table("media"))?;
        }
        let owners = owners(queries, &events).await?;
        let events = events.into_iter().map(|event| FeedItem::Event(self.event(&owners, event)));
        let mut items: Vec<FeedItem> = events.chain(others.into_iter().filter_map(OtherRow::item)).collect();
        items.sort_by_key(FeedItem::seq);
        Ok(items)
    }

    fn event(&self, owners: &Owners, event: EventReport) -> FeedEvent {
        let applied = event.state == EventState::Applied.as_str();
        let changed = std::iter::once(&event.instance_id).chain(owners_of(owners, &event));
        let changed = changed.filter(|instance| applied && self.scope.allows(instance));
        let key =
            |instance: &InstanceId| Some(MessageKey { instance_id: instance.clone(), id: event.message_id.clone()? });
        FeedEvent {
            changes: changed.filter_map(key).take(CHANGES).collect(),
            id: event.id(),
            seq: event.seq,
            chat_id: event.chat_id.filter(|_| self.scope.allows(&event.instance_id)),
            instance_id: event.instance_id,
            event_type: event.event_type,
            state: event.state,
            received_at: event.received_at,
        }
    }
}

/// The instances of outgoing messages, by the messages' ids. An ack without an instance is meant for one of these.
type Owners = HashMap<String, BTreeSet<InstanceId>>;

async fn owners(queries: &mut dyn Queries, events: &[EventReport]) -> Result<Owners, StoreError> {
    let ids: BTreeSet<String> = events.iter().filter_map(|event| states_elsewhere(event).cloned()).collect();
    let mut owners = Owners::new();
    if !ids.is_empty() {
        for MessageKey { instance_id, id } in queries.outgoing(&Vec::from_iter(ids)).await? {
            owners.entry(id).or_default().insert(instance_id);
        }
    }
    Ok(owners)
}

fn owners_of<'o>(owners: &'o Owners, event: &EventReport) -> impl Iterator<Item = &'o InstanceId> {
    states_elsewhere(event).and_then(|id| owners.get(id)).into_iter().flatten()
}

/// Returns the id of the message that an event without an instance may state an ack of.
fn states_elsewhere(event: &EventReport) -> Option<&String> {
    let stating = event.event_type.as_deref().is_some_and(|it| STATING.contains(&it));
    let applied = event.state == EventState::Applied.as_str();
    event.message_id.as_ref().filter(|_| event.instance_id.is_unstated() && stating && applied)
}
