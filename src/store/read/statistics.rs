//! Counts of messages and answers over a period, in the units of a time zone.

use async_trait::async_trait;

use super::listing::instances;
use crate::{Store, StoreError};
use domain::access::scope::Scope;
use domain::instance::InstanceId;
use domain::statistics::{AckCount, AckStep, DeliveryTime, HourCount, MessageCount, ResponseTime, WaitingChats};
use domain::time::calendar::{BucketKey, Grid};

/// The maximum number of message counts of one query: every hour of 92 days with more than ten types both ways.
const MESSAGE_COUNTS: i64 = 65_536;
/// The number of counts that a statement reads: one more, to tell whether there are too many.
pub(crate) const MESSAGE_COUNTS_READ: i64 = MESSAGE_COUNTS + 1;

/// The statements that count. Each slice of each instance is a range of an index.
#[async_trait]
pub trait StatisticsQueries {
    async fn messages(&mut self, instances: &[InstanceId], grid: &Grid) -> Result<Vec<MessageCount>, StoreError>;
    async fn hours(&mut self, instances: &[InstanceId], grid: &Grid) -> Result<Vec<HourCount>, StoreError>;
    async fn deliveries(
        &mut self,
        instances: &[InstanceId],
        grid: &Grid,
    ) -> Result<(Vec<AckCount>, Vec<DeliveryTime>), StoreError>;
    async fn response_times(&mut self, instances: &[InstanceId], grid: &Grid) -> Result<Vec<ResponseTime>, StoreError>;
    async fn waiting(&mut self, instances: &[InstanceId]) -> Result<WaitingChats, StoreError>;
}

/// Counts of the rows in `scope` alone, and of one instance where that is `wanted`. Each counts where the [`Grid`] puts its
/// time.
impl dyn Store + '_ {
    /// Counts messages by direction and type; each place, direction and type once. Types are a gateway's words, so there
    /// can be any number: beyond 65,536 counts the answer is [`StoreError::TooMuch`].
    pub async fn count_messages(
        &self,
        scope: &Scope,
        wanted: Option<&InstanceId>,
        grid: &Grid,
    ) -> Result<Vec<MessageCount>, StoreError> {
        let mut queries = self.read().await?;
        let instances = instances(&mut *queries, scope, wanted).await?;
        let counts = queries.messages(&instances, grid).await?;
        queries.end().await?;
        if counts.len() > MESSAGE_COUNTS as usize { Err(StoreError::TooMuch) } else { Ok(counts) }
    }

    /// Counts messages by direction and hour of the week. The grid is one of [hours of the week](Grid::hours_of_week).
    pub async fn count_hours(
        &self,
        scope: &Scope,
        wanted: Option<&InstanceId>,
        grid: &Grid,
    ) -> Result<Vec<HourCount>, StoreError> {
        let mut queries = self.read().await?;
        let instances = instances(&mut *queries, scope, wanted).await?;
        let counts = queries.hours(&instances, grid).await?;
        queries.end().await?;
        Ok(counts)
    }

    /// Counts outgoing messages by how far they have come, and by how long that took. The same place and time can come
    /// more than once.
    pub async fn count_deliveries(
        &self,
        scope: &Scope,
        wanted: Option<&InstanceId>,
        grid: &Grid,
    ) -> Result<(Vec<AckCount>, Vec<DeliveryTime>), StoreError> {
        let mut queries = self.read().await?;
        let instances = instances(&mut *queries, scope, wanted).await?;
        let deliveries = queries.deliveries(&instances, grid).await?;
        queries.end().await?;
        Ok(deliveries)
    }

    /// Counts answers by how long they took and by the hour of the week in which somebody began to wait; and who waits
    /// now, since whenever. The grid is one of [hours of the week](Grid::hours_of_week). The same hour and time can come
    /// more than once.
    pub async fn count_responses(
        &self,
        scope: &Scope,
        wanted: Option<&InstanceId>,
        grid: &Grid,
    ) -> Result<(Vec<ResponseTime>, WaitingChats), StoreError> {
        let mut queries = self.read().await?;
        let instances = instances(&mut *queries, scope, wanted).await?;
        let times = queries.response_times(&instances, grid).await?;
        let waiting = queries.waiting(&instances).await?;
        queries.end().await?;
        Ok((times, waiting))
    }
}

/// A count as a database gives it.
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

/// Outgoing messages that have come this far, and how many seconds each took. They come together, for there are nearly as
/// many different times as messages.
pub(crate) struct DeliveryCountRow {
    pub(crate) slice: i64,
    pub(crate) number: i64,
    pub(crate) ack_rank: i16,
    pub(crate) messages: i64,
    pub(crate) delivered: Vec<i64>,
    pub(crate) read: Vec<i64>,
}

pub(crate) struct ResponseCountRow {
    pub(crate) hour: i64,
    pub(crate) seconds: i64,
    pub(crate) responses: i64,
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
        Self { hour_of_week: index(row.hour), seconds: natural(row.seconds), responses: natural(row.responses) }
    }
}

fn bucket_key(slice: i64, number: i64) -> BucketKey {
    BucketKey { slice: index(slice), number }
}

/// What we numbered from 0.
fn index(number: i64) -> usize {
    number.try_into().unwrap_or_default()
}

/// What is never negative.
pub(crate) fn natural(number: i64) -> u64 {
    number.try_into().unwrap_or_default()
}
