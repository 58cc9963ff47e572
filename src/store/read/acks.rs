//! Acks: the words that a gateway stated about messages.

use super::index::{ACK_WORD, Index, OF_MESSAGE};
use super::listing::{Condition, KeyColumn, ListSource, PageQuery, merge, ranges};
use crate::Store;
use crate::StoreError;
use domain::access::scope::Scope;
use domain::instance::InstanceId;
use domain::message::ack::StatedAck;
use domain::page::{Page, Paging, SortKey};
use domain::time::timestamp::Timestamp;

/// A filter of acks. A field that is not set lets all through.
#[derive(Clone, Debug, Default)]
pub struct AckFilter {
    pub instance_id: Option<InstanceId>,
    pub message_id: Option<String>,
    pub ack: Option<String>,
}

/// A word that was stated about a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AckReport {
    pub instance_id: InstanceId,
    pub message_id: String,
    pub stated: StatedAck,
}

pub(crate) const ACKS: ListSource = ListSource {
    table: "message_acks",
    columns: "instance_id, message_id, ack, ack_rank, received_at, last_received_at",
    at: "received_at",
    rest: &[KeyColumn::Text("message_id"), KeyColumn::Text("ack")],
};

impl dyn Store + '_ {
    /// Returns a page of the acks that `filter` lets through, in the order in which they were first stated.
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

/// The columns of [`ACKS`].
pub(crate) type AckReportRow = (InstanceId, String, String, i16, Timestamp, Timestamp);

impl From<AckReportRow> for AckReport {
    fn from((instance_id, message_id, ack, rank, received_at, last_received_at): AckReportRow) -> Self {
        Self { instance_id, message_id, stated: StatedAck { ack, rank, received_at, last_received_at } }
    }
}
