//! Counts of messages and answers over a period, in the units of a time zone.

use async_trait::async_trait;

use super::Queries;
use super::listing::instances;
use crate::Store;
use crate::StoreError;
use domain::access::scope::Scope;
use domain::chat::chat_kind::ChatKinds;
use domain::instance::InstanceId;
use domain::statistics::{
    AckCount, AckStep, AskedQuestion, DeliveryTime, HourCount, MessageCount, ResponseTime, WaitingChats,
};
use domain::time::calendar::{BucketKey, Grid};
use domain::time::timestamp::Timestamp;
use domain::time::wait_limit::WaitLimit;

/// The maximum number of message counts of one query: every hour of 92 days with more than ten types both ways.
const MESSAGE_COUNTS: i64 = 65_536;
/// The number of counts that a statement reads: one more, to tell whether there are too many.
pub(crate) const MESSAGE_COUNTS_READ: i64 = MESSAGE_COUNTS + 1;

/// A filter of what is counted.
#[derive(Clone, Debug)]
pub struct StatisticsFilter {
    /// `None` for all instances.
    pub instance_id: Option<InstanceId>,
    pub kinds: ChatKinds,
}

/// The chats that are counted: those of these instances and kinds.
pub struct CountedChats {
    pub(crate) instances: Vec<InstanceId>,
    pub(crate) kinds: Vec<&'static str>,
}

impl StatisticsFilter {
    async fn counted(&self, queries: &mut dyn Queries, scope: &Scope) -> Result<CountedChats, StoreError> {
        let instances = instances(queries, scope, self.instance_id.as_ref()).await?;
        Ok(CountedChats { instances, kinds: self.kinds.words() })
    }
}

/// The statements that count. Each slice of each instance is a range of an index.
#[async_trait]
pub trait StatisticsQueries {
    async fn messages(&mut self, counted: &CountedChats, grid: &Grid) -> Result<Vec<MessageCount>, StoreError>;
    async fn hours(&mut self, counted: &CountedChats, grid: &Grid) -> Result<Vec<HourCount>, StoreError>;
    async fn deliveries(
        &mut self,
        counted: &CountedChats,
        grid: &Grid,
    ) -> Result<(Vec<AckCount>, Vec<DeliveryTime>), StoreError>;
    /// Counts answers by their first question; and those that came later after it than `within`, also by their last
    /// question if that is another one.
    async fn response_times(
        &mut self,
        counted: &CountedChats,
        grid: &Grid,
        within: Option<WaitLimit>,
    ) -> Result<Vec<ResponseTime>, StoreError>;
    /// Counts the chats that wait. What was asked last before `since` is counted as longer.
    async fn waiting(&mut self, counted: &CountedChats, since: Timestamp) -> Result<WaitingChats, StoreError>;
}

/// All counts include only the rows in `scope` that `filter` lets through. The [`Grid`] assigns a row to a place by its
/// time.
impl dyn Store + '_ {
    /// Counts messages by direction and type. Each combination of place, direction and type is returned once. Types are
    /// words of a gateway, so there can be any number: with more than 65,536 counts the result is
    /// [`StoreError::TooMuch`].
    pub async fn count_messages(
        &self,
        scope: &Scope,
        filter: &StatisticsFilter,
        grid: &Grid,
    ) -> Result<Vec<MessageCount>, StoreError> {
        let mut queries = self.read().await?;
        let counted = filter.counted(&mut *queries, scope).await?;
        let counts = queries.messages(&counted, grid).await?;
        queries.end().await?;
        if counts.len() > MESSAGE_COUNTS as usize { Err(StoreError::TooMuch) } else { Ok(counts) }
    }

    /// Counts messages by direction and hour of the week. The grid is one of [hours of the week](Grid::hours_of_week).
    pub async fn count_hours(
        &self,
        scope: &Scope,
        filter: &StatisticsFilter,
        grid: &Grid,
    ) -> Result<Vec<HourCount>, StoreError> {
        let mut queries = self.read().await?;
        let counted = filter.counted(&mut *queries, scope).await?;
        let counts = queries.hours(&counted, grid).await?;
        queries.end().await?;
        Ok(counts)
    }

    /// Counts outgoing messages by their ack, and by the time that delivery and reading took. The same place and time
    /// can be returned more than once.
    pub async fn count_deliveries(
        &self,
        scope: &Scope,
        filter: &StatisticsFilter,
        grid: &Grid,
    ) -> Result<(Vec<AckCount>, Vec<DeliveryTime>), StoreError> {
        let mut queries = self.read().await?;
        let counted = filter.counted(&mut *queries, scope).await?;
        let deliveries = queries.deliveries(&counted, grid).await?;
        queries.end().await?;
        Ok(deliveries)
    }

    /// Counts answers by the time that they took and by the hour of the week in which somebody began to wait. Also
    /// counts the chats that wait `now`; those that have waited longer than `within` since their last question are
    /// counted apart. The grid is one of [hours of the week](Grid::hours_of_week). The same hour and time can be
    /// returned more than once.
    pub async fn count_responses(
        &self,
        scope: &Scope,
        filter: &StatisticsFilter,
        grid: &Grid,
        within: Option<WaitLimit>,
        now: Timestamp,
    ) -> Result<(Vec<ResponseTime>, WaitingChats), StoreError> {
        let mut queries = self.read().await?;
        let counted = filter.counted(&mut *queries, scope).await?;
        let times = queries.response_times(&counted, grid, within).await?;
        let since = within.map_or(Timestamp::MIN, |limit| limit.before(now));
        let waiting = queries.waiting(&counted, since).await?;
        queries.end().await?;
        Ok((times, waiting))
    }
}

/// A count of messages as a database returns it.
pub(crate) struct MessageCountRow {
    pub(crate) slice: i64,
    pub(crate) number: i64,
    pub(crate) from_me: bool,
    pub(crate) kind: Option<String>,
    pub(crate) messages: i64,
}

pub(crate) struct HourCountRow {
    pub(crate) hour: i64,
    pub(crate) from_me: bool,
    pub(crate) messages: i64,
}

/// The number of outgoing messages with this ack, and the seconds that each took. The seconds are arrays, because there
/// are nearly as many different times as messages.
pub(crate) struct DeliveryCountRow {
    pub(crate) slice: i64,
    pub(crate) number: i64,
    pub(crate) ack_rank: i16,
    pub(crate) messages: i64,
    pub(crate) delivered: Vec<i64>,
    pub(crate) read: Vec<i64>,
}

pub(crate) struct ResponseCountRow {
    pub(crate) by_last: bool,
    pub(crate) hour: i64,
    pub(crate) seconds: i64,
    pub(crate) seconds_from_last: i64,
    pub(crate) responses: i64,
}

pub(crate) struct WaitingRow {
    pub(crate) chats: i64,
    pub(crate) since: Option<Timestamp>,
    pub(crate) longer: i64,
}

/// Returns the seconds of a limit, as a database has them.
pub(crate) fn limit_seconds(within: Option<WaitLimit>) -> Option<i64> {
    within.map(|limit| i64::try_from(limit.seconds()).unwrap_or(i64::MAX))
}

impl From<MessageCountRow> for MessageCount {
    fn from(row: MessageCountRow) -> Self {
        let (bucket, messages) = (bucket_key(row.slice, row.number), natural(row.messages));
        Self { bucket, from_me: row.from_me, kind: row.kind, messages }
    }
}

impl From<HourCountRow> for HourCount {
    fn from(row: HourCountRow) -> Self {
        Self { hour_of_week: index(row.hour), from_me: row.from_me, messages: natural(row.messages) }
    }
}

pub(crate) fn deliveries(rows: Vec<DeliveryCountRow>) -> (Vec<AckCount>, Vec<DeliveryTime>) {
    let (mut acks, mut times) = (Vec::with_capacity(rows.len()), Vec::new());
    for row in rows {
        let bucket = bucket_key(row.slice, row.number);
        acks.push(AckCount { bucket, ack_rank: row.ack_rank, messages: natural(row.messages) });
        for (step, seconds) in [(AckStep::Delivered, row.delivered), (AckStep::Read, row.read)] {
            let time = |seconds| DeliveryTime { bucket, step, seconds: natural(seconds), messages: 1 };
            times.extend(seconds.into_iter().map(time));
        }
    }
    (acks, times)
}

impl From<ResponseCountRow> for ResponseTime {
    fn from(row: ResponseCountRow) -> Self {
        Self {
            hour_of_week: index(row.hour),
            asked: if row.by_last { AskedQuestion::Last } else { AskedQuestion::First },
            seconds: natural(row.seconds),
            seconds_from_last: natural(row.seconds_from_last),
            responses: natural(row.responses),
        }
    }
}

impl From<WaitingRow> for WaitingChats {
    fn from(row: WaitingRow) -> Self {
        Self { chats: natural(row.chats), since: row.since, longer: natural(row.longer) }
    }
}

fn bucket_key(slice: i64, number: i64) -> BucketKey {
    BucketKey { slice: index(slice), number }
}

/// Converts a number that begins with 0.
fn index(number: i64) -> usize {
    number.try_into().unwrap_or_default()
}

/// Converts a number that is never negative.
fn natural(number: i64) -> u64 {
    number.try_into().unwrap_or_default()
}
