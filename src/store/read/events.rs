//! The ledger as a list, and one event with its body.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;

use super::Queries;
use super::feed::OtherRow;
use super::listing::instances;
use crate::Store;
use crate::StoreError;
use domain::access::scope::Scope;
use domain::event::EventState;
use domain::event::event_id::EventId;
use domain::instance::InstanceId;
use domain::message::MessageKey;
use domain::page::position::Position;
use domain::page::scan::{ScanResult, ScanWindow};
use domain::page::{Page, Paging};
use domain::time::timestamp::Timestamp;

/// The maximum number of bytes of the body that a list shows of an event that is not applied.
pub(crate) const BEGINNING_BYTES: i32 = 16 * 1024;
/// The number of rows of all sources together that are searched for those that a filter lets through. After these a
/// page ends, however few rows it has.
const LOOKED_THROUGH: u32 = 20_000;
/// The tolerance for events whose numbers are not in the order of their arrival: those that waited to be stored while
/// the database was away.
const DISORDER: Duration = Duration::from_secs(120);

/// A filter of events. A field that is not set lets all through.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    pub instance_id: Option<InstanceId>,
    pub state: Option<EventState>,
    pub event_type: Option<String>,
    pub message_id: Option<String>,
}

/// An event of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventReport {
    pub seq: i64,
    pub instance_id: InstanceId,
    pub body_sha256: Vec<u8>,
    pub event_type: Option<String>,
    pub message_id: Option<String>,
    pub chat_id: Option<String>,
    pub received_at: Timestamp,
    pub deliveries: i64,
    pub last_received_at: Timestamp,
    pub signed: bool,
    pub state: String,
    pub reason: Option<String>,
    /// The length of the body in bytes.
    pub size: Option<i64>,
    /// The first 16 KiB of the body, unless the event is applied.
    pub beginning: Option<Vec<u8>>,
}

impl EventReport {
    pub fn id(&self) -> EventId {
        EventId::new(self.instance_id.clone(), &self.body_sha256)
    }
}

/// An event with its whole body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventDetail {
    pub event: EventReport,
    pub body: Option<Vec<u8>>,
}

/// The sources of a scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ScanSources {
    /// The whole ledger is one source.
    Ledger,
    /// Each of these instances is a source.
    Instances(Vec<InstanceId>),
}

/// The index of a scan, which has its rows in the order of their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ScanIndex {
    All,
    /// The events in this state, which is not `applied`.
    NotApplied(EventState),
    /// The events about this message.
    Message(String),
    /// The files whose jobs have ended, or persons' ids that became aliases or are none any more and the names that the owner
    /// gave, or both, instead of events. They are not filtered.
    Others {
        files: bool,
        chats: bool,
    },
}

/// A filter of the rows that a scan reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ScanFilter {
    /// The types that are let through; all if this is empty.
    pub(crate) event_types: Vec<String>,
    pub(crate) state: Option<EventState>,
    pub(crate) since: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
}

/// Returns the rows of [`ScanIndex::Others`], of which at least one kind is wanted.
pub(crate) fn others(files: bool, chats: bool) -> String {
    let files = files.then_some("SELECT settled_seq AS seq, instance_id FROM media");
    let chats =
        chats.then_some("SELECT seq, instance_id FROM chat_aliases UNION ALL SELECT seq, instance_id FROM chat_names");
    let kinds: Vec<&str> = files.into_iter().chain(chats).collect();
    format!("({}) AS others", kinds.join(" UNION ALL "))
}

impl ScanFilter {
    pub(crate) fn is_open(&self) -> bool {
        *self == Self::default()
    }
}

/// A bounded scan of the ledger: each source is read up to a limit.
#[derive(Clone, Debug)]
pub struct LedgerScan {
    pub(crate) sources: ScanSources,
    pub(crate) index: ScanIndex,
    pub(crate) filter: ScanFilter,
    /// The scan reads the numbers strictly between `after` and `before`.
    pub(crate) after: i64,
    pub(crate) before: i64,
    pub(crate) ascending: bool,
    /// The maximum number of rows of each source.
    pub(crate) rows: u32,
}

impl LedgerScan {
    /// Returns the number of rows to read of each source for a page of `limit`: one more, to know whether there is
    /// another page. With a filter more rows are read, because those that it lets through may be rare.
    pub(crate) fn reach(sources: &ScanSources, filter: &ScanFilter, limit: u32) -> u32 {
        let count = match sources {
            ScanSources::Ledger => 1,
            ScanSources::Instances(instances) => u32::try_from(instances.len()).unwrap_or(u32::MAX).max(1),
        };
        if filter.is_open() { limit + 1 } else { (limit + 1).max(LOOKED_THROUGH / count) }
    }

    /// Returns the window of a source. The statement returns how many rows were read, their least and greatest number,
    /// and the numbers that the filter lets through.
    pub(crate) fn window(&self, rows: i64, least: Option<i64>, greatest: Option<i64>, found: Vec<i64>) -> ScanWindow {
        let reached = if self.ascending { greatest } else { least };
        ScanWindow { reached: reached.filter(|_| rows >= i64::from(self.rows)), found }
    }
}

/// The statements that read the ledger.
#[async_trait]
pub trait EventQueries {
    /// Returns the history of the ledger, and the latest number that this question sees.
    async fn position(&mut self) -> Result<Position, StoreError>;

    /// Returns the number of the event with this id.
    async fn number_of(&mut self, id: &EventId) -> Result<Option<i64>, StoreError>;

    /// Returns a window for each source of the scan.
    async fn windows(&mut self, scan: &LedgerScan) -> Result<Vec<ScanWindow>, StoreError>;

    /// Returns the events with these numbers, in the order of the numbers.
    async fn events_with(&mut self, seqs: &[i64]) -> Result<Vec<EventReport>, StoreError>;

    /// Returns what has these numbers, other than events, in the order of the numbers.
    async fn others_with(&mut self, seqs: &[i64]) -> Result<Vec<OtherRow>, StoreError>;

    async fn body_of(&mut self, seq: i64) -> Result<Option<Vec<u8>>, StoreError>;

    /// Returns the first event with this number or a greater one, and when it arrived.
    async fn next_arrival(&mut self, seq: i64) -> Result<Option<(i64, Timestamp)>, StoreError>;

    /// Returns the outgoing messages with these ids, in any instance.
    async fn outgoing(&mut self, ids: &[String]) -> Result<Vec<MessageKey>, StoreError>;
}

impl dyn Store + '_ {
    /// Returns a page of the events that `filter` lets through, in the order of their numbers. The work for a page is
    /// bounded, so a page can have fewer rows than its limit, even none, although another page follows.
    ///
    /// `since` and `until` refer to the arrival. If a clock was set back by more than two minutes, events of that time
    /// may be missing.
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

    /// Returns an event with its whole body.
    pub async fn event(&self, id: &EventId) -> Result<Option<EventDetail>, StoreError> {
        let mut queries = self.read().await?;
        let seqs = Vec::from_iter(queries.number_of(id).await?);
        let detail = match queries.events_with(&seqs).await?.pop() {
            Some(event) => Some(EventDetail { body: queries.body_of(event.seq).await?, event }),
            None => None,
        };
        queries.end().await?;
        Ok(detail)
    }
}

impl dyn Store + '_ {
    /// Returns the first number of an event that arrived at `at` or later.
    pub async fn first_seq_from(&self, at: Timestamp) -> Result<i64, StoreError> {
        let mut queries = self.read().await?;
        let clock = queries.position().await?.seq;
        let first = first_from(&mut *queries, at, clock).await?;
        queries.end().await?;
        Ok(first)
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

/// Returns the numbers strictly between which the events from `since` to `until` are.
async fn between(queries: &mut dyn Queries, paging: &Paging<i64>) -> Result<(i64, i64), StoreError> {
    let clock = queries.position().await?.seq;
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

/// Returns the first number of an event that arrived at `at` or later, by binary search.
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
            (None, Some(state)) if state != EventState::Applied => ScanIndex::NotApplied(state),
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
