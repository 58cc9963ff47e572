//! What is known of each instance.

use async_trait::async_trait;

use super::listing::instances;
use crate::{Store, StoreError};
use domain::access::scope::Scope;
use domain::instance::InstanceId;
use domain::time::timestamp::Timestamp;

/// How far quarantined events are counted.
pub(crate) const QUARANTINED_COUNTED: i64 = 1_000;

/// An instance, for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceReport {
    pub instance_id: InstanceId,
    pub first_event: Occurrence,
    pub last_event: Occurrence,
    /// When its latest message was.
    pub last_message_at: Option<Timestamp>,
    pub incoming: i64,
    pub outgoing: i64,
    /// Counted up to 1,000.
    pub quarantined: i64,
}

/// An event's number, and when it arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occurrence {
    pub seq: i64,
    pub received_at: Timestamp,
}

/// The statements about instances.
#[async_trait]
pub trait InstanceQueries {
    /// Every instance of which there is an event, `-` among them, in the order of its bytes.
    async fn known_instances(&mut self) -> Result<Vec<InstanceId>, StoreError>;

    /// Those of these instances of which there is an event.
    async fn instance_reports(
        &mut self,
        instances: &[InstanceId],
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<InstanceReport>, StoreError>;

    /// The instances of which there is an event, each with the arrival of its last, in the order of their ids.
    async fn last_arrivals(&mut self) -> Result<Vec<(InstanceId, Timestamp)>, StoreError>;
}

impl dyn Store + '_ {
    /// Returns the instances of which there is an event, in the order of their ids; messages are counted from `since` on
    /// and before `until`.
    pub async fn list_instances(
        &self,
        scope: &Scope,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<InstanceReport>, StoreError> {
        let mut queries = self.read().await?;
        let instances = instances(&mut *queries, scope, None).await?;
        let mut reports = queries.instance_reports(&instances, since, until).await?;
        queries.end().await?;
        reports.sort_by(|a, b| a.instance_id.cmp(&b.instance_id));
        Ok(reports)
    }

    /// Returns when the last event of each instance came, in the order of their ids.
    pub async fn last_events(&self) -> Result<Vec<(InstanceId, Timestamp)>, StoreError> {
        let mut queries = self.read().await?;
        let arrivals = queries.last_arrivals().await?;
        queries.end().await?;
        Ok(arrivals)
    }
}

/// What is read of an instance.
pub(crate) struct InstanceRow<T> {
    pub(crate) instance_id: String,
    pub(crate) first_seq: i64,
    pub(crate) first_received_at: T,
    pub(crate) last_seq: i64,
    pub(crate) last_received_at: T,
    pub(crate) last_message_at: Option<T>,
    pub(crate) incoming: i64,
    pub(crate) outgoing: i64,
    pub(crate) quarantined: i64,
}

impl<T> InstanceRow<T> {
    pub(crate) fn read(self, time: impl Fn(T) -> Result<Timestamp, StoreError>) -> Result<InstanceReport, StoreError> {
        Ok(InstanceReport {
            instance_id: InstanceId::from_store(&self.instance_id),
            first_event: Occurrence { seq: self.first_seq, received_at: time(self.first_received_at)? },
            last_event: Occurrence { seq: self.last_seq, received_at: time(self.last_received_at)? },
            last_message_at: self.last_message_at.map(&time).transpose()?,
            incoming: self.incoming,
            outgoing: self.outgoing,
            quarantined: self.quarantined,
        })
    }
}
