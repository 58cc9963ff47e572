//! What was stated of messages, as people and dashboards see it.

use super::index::{ACK_WORD, Index, OF_MESSAGE};
use super::listing::{Condition, KeyColumn, ListSource, PageQuery, merge, ranges};
use crate::{Store, StoreError};
use domain::access::scope::Scope;
use domain::instance::InstanceId;
use domain::message::ack::StatedAck;
use domain::page::{Page, Paging, SortKey};
use domain::time::timestamp::Timestamp;

/// Which acks are wanted; what is not set lets all through.
#[derive(Clone, Debug, Default)]
pub struct AckFilter {
    pub instance_id: Option<InstanceId>,
    pub message_id: Option<String>,
    pub ack: Option<String>,
}

/// A word that was stated of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AckReport {
    pub instance_id: InstanceId,
    pub message_id: String,
    pub stated: StatedAck,
}

const ACKS: ListSource = ListSource {
    table: "message_acks",
    columns: "instance_id, message_id, ack, ack_rank, received_at",
    at: "received_at",
    rest: &[KeyColumn::Text("message_id"), KeyColumn::Text("ack")],
};

impl dyn Store + '_ {
    /// Returns a page of the acks that `filter` lets through, by when they were first stated.
    pub async fn list_acks(
        &self,
        scope: &Scope,
        filter: &AckFilter,
        paging: &Paging<SortKey>,
    ) -> Result<Page<AckReport, SortKey>, StoreError> {
        let mut queries = self.read().await?;
        let ranges = ranges(&mut *queries, scope, filter.instance_id.as_ref(), paging, &ACKS).await?;
        let conditions: Vec<Condition> =
            Condition::each([("message_id", &filter.message_id), ("ack", &filter.ack)]).collect();
        let index = Index::first(&[&OF_MESSAGE, &ACK_WORD], &conditions);
        let rows = queries.ack_rows(&PageQuery::new(&ACKS, index, ranges, conditions, paging)).await?;
        queries.end().await?;
        Ok(merge(paging, rows, |row| {
            let rest = vec![row.message_id.clone(), row.stated.ack.clone()];
            SortKey::new(row.stated.received_at, &row.instance_id, rest)
        }))
    }
}

/// A row of `message_acks`.
#[derive(sqlx::FromRow)]
pub(crate) struct AckReportRow<T> {
    pub(crate) instance_id: String,
    pub(crate) message_id: String,
    pub(crate) ack: String,
    pub(crate) ack_rank: i16,
    pub(crate) received_at: T,
}

impl<T> AckReportRow<T> {
    pub(crate) fn read(self, time: impl Fn(T) -> Result<Timestamp, StoreError>) -> Result<AckReport, StoreError> {
        Ok(AckReport {
            instance_id: InstanceId::from_store(&self.instance_id),
            message_id: self.message_id,
            stated: StatedAck { ack: self.ack, rank: self.ack_rank, received_at: time(self.received_at)? },
        })
    }
}
