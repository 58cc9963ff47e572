//! What was stated of messages, as people and dashboards see it.

use async_trait::async_trait;

use super::listing::{Condition, KeyColumn, ListSource, PageQuery, Question, Readable, merge, targets};
use crate::StoreError;
use domain::access::scope::Scope;
use domain::instance::InstanceId;
use domain::message::ack::StatedAck;
use domain::page::{Page, Paging, SortKey};
use domain::time::timestamp::Timestamp;

/// The contract of what people ask about acks.
#[async_trait]
pub trait AckReports: Send + Sync {
    /// A page of the acks that `filter` lets through, by when they were first stated.
    async fn list_acks(
        &self,
        scope: &Scope,
        filter: &AckFilter,
        paging: &Paging<SortKey>,
    ) -> Result<Page<AckReport, SortKey>, StoreError>;
}

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

/// The statements that read acks.
#[async_trait]
pub(crate) trait AckQueries {
    async fn ack_rows(&mut self, listing: &ListSource, ask: &PageQuery<'_>) -> Result<Vec<AckReport>, StoreError>;
}

const ACKS: ListSource = ListSource {
    table: "message_acks",
    columns: "instance_id, message_id, ack, ack_rank, received_at",
    at: "received_at",
    rest: &[KeyColumn::Text("message_id"), KeyColumn::Text("ack")],
};

#[async_trait]
impl<S: Readable> AckReports for S {
    async fn list_acks(
        &self,
        scope: &Scope,
        filter: &AckFilter,
        paging: &Paging<SortKey>,
    ) -> Result<Page<AckReport, SortKey>, StoreError> {
        let mut reading = self.reading().await?;
        let targets = targets(&mut reading, scope, filter.instance_id.as_ref(), paging, &ACKS).await?;
        let word = filter.ack.as_ref().map(|ack| ACKS.word("ack", ack));
        let conditions: Vec<Condition> = Condition::each([("message_id", &filter.message_id)]).chain(word).collect();
        let rows = reading.ack_rows(&ACKS, &PageQuery::new(&targets, &conditions, paging)).await?;
        reading.end().await?;
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
