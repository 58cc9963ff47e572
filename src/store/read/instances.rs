//! Instances: their first and last events, and counts.

use async_trait::async_trait;

use super::listing::instances;
use crate::Store;
use crate::StoreError;
use domain::access::scope::Scope;
use domain::event::event_id::EventId;
use domain::instance::InstanceId;
use domain::time::timestamp::Timestamp;

/// The number up to which quarantined events are counted.
pub(crate) const QUARANTINED_COUNTED: i64 = 1_000;

/// An instance with its counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceReport {
    pub instance_id: InstanceId,
    pub first_event: Occurrence,
    pub last_event: Occurrence,
    /// The time of its latest message.
    pub last_message_at: Option<Timestamp>,
    pub incoming: i64,
    pub outgoing: i64,
    /// Counted up to 1,000.
    pub quarantined: i64,
}

/// An event and the time of its arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occurrence {
    pub id: EventId,
    pub received_at: Timestamp,
}

/// The statements about instances.
#[async_trait]
pub trait InstanceQueries {
    /// Returns every instance that has an event, including `-`, in the order of the bytes of their ids.
    async fn known_instances(&mut self) -> Result<Vec<InstanceId>, StoreError>;

    /// Returns those of these instances that have an event.
    async fn instance_reports(
        &mut self,
        instances: &[InstanceId],
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<InstanceReport>, StoreError>;

    /// Returns the instances that have an event, each with the arrival of its last one, in the order of their ids.
    async fn last_arrivals(&mut self) -> Result<Vec<(InstanceId, Timestamp)>, StoreError>;
}

impl dyn Store + '_ {
    /// Returns the instances that have an event, in the order of their ids. Messages are counted from `since` on and
    /// before `until`.
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

    /// Returns the instances that the ledger has events of.
    pub async fn ledger_instances(&self) -> Result<Vec<InstanceId>, StoreError> {
        let mut queries = self.read().await?;
        let instances = queries.known_instances().await?;
        queries.end().await?;
        Ok(instances)
    }

    /// Returns the arrival of the last event of each instance, in the order of their ids.
    pub async fn last_events(&self) -> Result<Vec<(InstanceId, Timestamp)>, StoreError> {
        let mut queries = self.read().await?;
        let arrivals = queries.last_arrivals().await?;
        queries.end().await?;
        Ok(arrivals)
    }
}

/// The columns that are read of an instance.
pub(crate) struct InstanceRow {
    pub(crate) instance_id: InstanceId,
    pub(crate) first_sha256: Vec<u8>,
    pub(crate) first_received_at: Timestamp,
    pub(crate) last_sha256: Vec<u8>,
    pub(crate) last_received_at: Timestamp,
    pub(crate) last_message_at: Option<Timestamp>,
    pub(crate) incoming: i64,
    pub(crate) outgoing: i64,
    pub(crate) quarantined: i64,
}

impl From<InstanceRow> for InstanceReport {
    fn from(row: InstanceRow) -> Self {
        let id = |sha256: &[u8]| EventId::new(row.instance_id.clone(), sha256);
        Self {
            first_event: Occurrence { id: id(&row.first_sha256), received_at: row.first_received_at },
            last_event: Occurrence { id: id(&row.last_sha256), received_at: row.last_received_at },
            instance_id: row.instance_id,
            last_message_at: row.last_message_at,
            incoming: row.incoming,
            outgoing: row.outgoing,
            quarantined: row.quarantined,
        }
    }
}
