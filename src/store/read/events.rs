//! The ledger as people and dashboards see it: as a list, and one event with its body.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;

use super::Queries;
use super::feed::FeedFileRow;
use super::listing::instances;
use crate::{Store, StoreError};
use domain::access::scope::Scope;
use domain::event::EventState;
use domain::instance::InstanceId;
use domain::message::MessageKey;
use domain::page::scan::{ScanResult, ScanWindow};
use domain::page::{Page, Paging};
use domain::time::timestamp::Timestamp;

/// How many bytes of its body a list shows of an event that is not applied.
pub(crate) const BEGINNING_BYTES: i32 = 16 * 1024;
/// How many rows of all sources together are looked through for those of a kind before a page ends, however few it has.
const LOOKED_THROUGH: u32 = 20_000;
/// Events arrive in the order of their numbers, but for those that waited to be stored while the database was away.
const DISORDER: Duration = Duration::from_secs(120);

/// Which events are wanted; what is not set lets all through.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    pub instance_id: Option<InstanceId>,
    pub state: Option<EventState>,
    pub event_type: Option<String>,
    pub message_id: Option<String>,
}

/// An event of the ledger, for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventReport {
    pub seq: i64,
    pub instance_id: InstanceId,
    pub event_type: Option<String>,
    pub message_id: Option<String>,
    pub chat_id: Option<String>,
    pub received_at: Timestamp,
    pub deliveries: i64,
    pub last_received_at: Timestamp,
    pub signed: bool,
    pub state: String,
    pub reason: Option<String>,
    /// The bytes of its body.
    pub size: Option<i64>,
    /// Of an event that is not applied, the first 16 KiB of its body.
    pub beginning: Option<Vec<u8>>,
}

/// An event with all of its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventDetail {
    pub event: EventReport,
    pub body: Option<Vec<u8>>,
}

/// The sources that a stretch of the ledger is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ScanSources {
    /// All of the ledger, as one source.
    Ledger,
    /// Each of these instances is a source.
    Instances(Vec<InstanceId>),
}

/// The rows that an index has in the order of their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ScanIndex {
    All,
    /// Of events in this state, which is not `applied`.
    NotApplied(EventState),
    /// Of the events about this message.
    Message(String),
    /// The files whose jobs have ended, in the place of events; nothing is looked for among them.
    Settled,
}

/// What is looked for among the rows that are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ScanFilter {
    /// One of these types; all, if there are none.
    pub(crate) event_types: Vec<String>,
    pub(crate) state: Option<EventState>,
    pub(crate) since: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
}

impl ScanFilter {
    pub(crate) fn is_open(&self) -> bool {
        *self == Self::default()
    }
}

/// A stretch of the ledger, of which each source is read as far as a limit.
#[derive(Clone, Debug)]
pub struct LedgerScan {
    pub(crate) sources: ScanSources,
    pub(crate) index: ScanIndex,
    pub(crate) filter: ScanFilter,
    /// The numbers strictly between these two.
    pub(crate) after: i64,
    pub(crate) before: i64,
    pub(crate) ascending: bool,
    /// How many rows of each source are read.
    pub(crate) rows: u32,
}

impl LedgerScan {
    /// How many rows of each source are to be read for a page of `limit`: one more, to know whether there is another.
    /// What is rare among them is looked for further.
    pub(crate) fn reach(sources: &ScanSources, filter: &ScanFilter, limit: u32) -> u32 {
        let count = match sources {
            ScanSources::Ledger => 1,
            ScanSources::Instances(instances) => u32::try_from(instances.len()).unwrap_or(u32::MAX).max(1),
        };
        if filter.is_open() { limit + 1 } else { (limit + 1).max(LOOKED_THROUGH / count) }
    }

    /// The window of a source from the answer to the statement: how many rows were read, the least and the greatest
    /// number of them, and those that were looked for.
    pub(crate) fn window(&self, rows: i64, least: Option<i64>, greatest: Option<i64>, found: Vec<i64>) -> ScanWindow {
        let reached = if self.ascending { greatest } else { least };
        ScanWindow { reached: reached.filter(|_| rows >= i64::from(self.rows)), found }
    }
}

/// The statements that read the ledger.
#[async_trait]
pub trait EventQueries {
    /// The latest number, as this question sees it.
    async fn clock(&mut self) -> Result<i64, StoreError>;

    /// Reads a stretch: a window for each of its sources.
    async fn windows(&mut self, scan: &LedgerScan) -> Result<Vec<ScanWindow>, StoreError>;

    /// The events with these numbers, in the order of the numbers.
    async fn events_with(&mut self, seqs: &[i64]) -> Result<Vec<EventReport>, StoreError>;

    /// The files whose jobs ended with these numbers, in the order of the numbers.
    async fn files_with(&mut self, seqs: &[i64]) -> Result<Vec<FeedFileRow>, StoreError>;

    async fn body_of(&mut self, seq: i64) -> Result<Option<Vec<u8>>, StoreError>;

    /// The first event with this number or a greater one, and when it arrived.
    async fn next_arrival(&mut self, seq: i64) -> Result<Option<(i64, Timestamp)>, StoreError>;

    /// The outgoing messages with these ids, in whichever instance.
    async fn outgoing(&mut self, ids: &[String]) -> Result<Vec<MessageKey>, StoreError>;
}

impl dyn Store + '_ {
    /// Returns a page of the events that `filter` lets through, by their numbers. It can have fewer rows than asked for,
    /// even none, and yet another page that follows: the work for a page is bounded.
    ///
    /// `since` and `until` are about the arrival; those who set back a clock by more than two minutes may miss events of
    /// that time.
    pub async fn list_events(
        &self,
        scope: &Scope,
        filter: &EventFilter,
        paging: &Paging<i64>,
    ) -> Result<Page<EventReport, i64>, StoreError> {
        let mut queries = self.read().await?;
        let page = page(&mut *queries, scope, filter, paging).await?;
        let events = queries.events_with(&page.rows).await?;
        queries.end().await?;
        let mut events: HashMap<i64, EventReport> = events.into_iter().map(|event| (event.seq, event)).collect();
        Ok(page.filter_map(|seq| events.remove(&seq)))
    }

    /// Returns an event with all of its body.
    pub async fn event(&self, seq: i64) -> Result<Option<EventDetail>, StoreError> {
        let mut queries = self.read().await?;
        let detail = match queries.events_with(&[seq]).await?.pop() {
            Some(event) => Some(EventDetail { event, body: queries.body_of(seq).await? }),
            None => None,
        };
        queries.end().await?;
        Ok(detail)
    }
}

async fn page(
    queries: &mut dyn Queries,
    scope: &Scope,
    filter: &EventFilter,
    paging: &Paging<i64>,
) -> Result<Page<i64, i64>, StoreError> {
    let ascending = paging.ascending();
    let (mut after, mut before) = between(queries, paging).await?;
    if let Some(cursor) = &paging.cursor {
        match ascending {
            true => after = after.max(cursor.key),
            false => before = before.min(cursor.key),
        }
    }
    let index = filter.scan_index();
    let sources = match (&index, scope, &filter.instance_id) {
        (ScanIndex::All, Scope::All, None) => ScanSources::Ledger,
        _ => ScanSources::Instances(instances(queries, scope, filter.instance_id.as_ref()).await?),
    };
    let scanned_for = filter.scan_filter(paging);
    let rows = LedgerScan::reach(&sources, &scanned_for, paging.limit);
    let scan = LedgerScan { sources, index, filter: scanned_for, after, before, ascending, rows };
    let windows = queries.windows(&scan).await?;
    Ok(ScanResult::merge(windows, ascending, paging.limit).page(paging))
}

/// The numbers between which those of a time are, strictly.
async fn between(queries: &mut dyn Queries, paging: &Paging<i64>) -> Result<(i64, i64), StoreError> {
    let clock = queries.clock().await?;
    let after = match paging.since {
        Some(since) => first_from(queries, since - DISORDER, clock).await? - 1,
        None => 0,
    };
    let before = match paging.until {
        Some(until) => first_from(queries, until + DISORDER, clock).await?,
        None => clock + 1,
    };
    Ok((after, before))
}

/// The number from which on events arrived at `at` or later, by halving.
async fn first_from(queries: &mut dyn Queries, at: Timestamp, clock: i64) -> Result<i64, StoreError> {
    let (mut earlier, mut later) = (0, clock + 1);
    while later - earlier > 1 {
        let middle = earlier + (later - earlier) / 2;
        match queries.next_arrival(middle).await? {
            Some((seq, arrived)) if arrived < at => earlier = seq,
            _ => later = middle,
        }
    }
    Ok(later)
}

impl EventFilter {
    fn scan_index(&self) -> ScanIndex {
        match (&self.message_id, self.state) {
            (Some(message_id), _) => ScanIndex::Message(message_id.clone()),
            (None, Some(state @ (EventState::Ignored | EventState::Quarantined))) => ScanIndex::NotApplied(state),
            (None, _) => ScanIndex::All,
        }
    }

    fn scan_filter(&self, paging: &Paging<i64>) -> ScanFilter {
        ScanFilter {
            event_types: Vec::from_iter(self.event_type.clone()),
            state: self.state.filter(|state| self.scan_index() != ScanIndex::NotApplied(*state)),
            since: paging.since,
            until: paging.until,
        }
    }
}

/// A row of `events`.
pub(crate) struct EventRow<T> {
    pub(crate) seq: i64,
    pub(crate) instance_id: String,
    pub(crate) event_type: Option<String>,
    pub(crate) message_id: Option<String>,
    pub(crate) chat_id: Option<String>,
    pub(crate) received_at: T,
    pub(crate) deliveries: i64,
    pub(crate) last_received_at: T,
    pub(crate) signed: bool,
    pub(crate) state: String,
    pub(crate) reason: Option<String>,
    pub(crate) size: Option<i64>,
    pub(crate) beginning: Option<Vec<u8>>,
}

impl<T> EventRow<T> {
    pub(crate) fn read(self, time: impl Fn(T) -> Result<Timestamp, StoreError>) -> Result<EventReport, StoreError> {
        Ok(EventReport {
            seq: self.seq,
            instance_id: InstanceId::from_store(&self.instance_id),
            event_type: self.event_type,
            message_id: self.message_id,
            chat_id: self.chat_id,
            received_at: time(self.received_at)?,
            deliveries: self.deliveries,
            last_received_at: time(self.last_received_at)?,
            signed: self.signed,
            state: self.state,
            reason: self.reason,
            size: self.size,
            beginning: self.beginning,
        })
    }
}
