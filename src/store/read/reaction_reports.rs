//! Reactions as people and dashboards see them.

use async_trait::async_trait;

use super::listing::{Condition, KeyColumn, ListSource, PageQuery, Question, Readable, merge, targets};
use crate::StoreError;
use domain::access::scope::Scope;
use domain::instance::InstanceId;
use domain::message::reaction::MessageReaction;
use domain::page::{Page, Paging, SortKey};
use domain::time::timestamp::Timestamp;

/// The contract of what people ask about reactions.
#[async_trait]
pub trait ReactionReports: Send + Sync {
    /// A page of the reactions that `filter` lets through, removals among them, by when they were made.
    async fn list_reactions(
        &self,
        scope: &Scope,
        filter: &ReactionFilter,
        paging: &Paging<SortKey>,
    ) -> Result<Page<MessageReaction, SortKey>, StoreError>;
}

/// Which reactions are wanted; what is not set lets all through.
#[derive(Clone, Debug, Default)]
pub struct ReactionFilter {
    pub instance_id: Option<InstanceId>,
    pub message_id: Option<String>,
    pub from_number: Option<String>,
}

/// The statements that read reactions.
#[async_trait]
pub(crate) trait ReactionQueries {
    async fn reaction_rows(
        &mut self,
        listing: &ListSource,
        ask: &PageQuery<'_>,
    ) -> Result<Vec<MessageReaction>, StoreError>;
}

const REACTIONS: ListSource = ListSource {
    table: "message_reactions",
    columns: "instance_id, message_id, from_number, reaction, reacted_at, received_at",
    at: "reacted_at",
    rest: &[KeyColumn::Text("message_id"), KeyColumn::Text("from_number"), KeyColumn::Text("reaction")],
};

#[async_trait]
impl<S: Readable> ReactionReports for S {
    async fn list_reactions(
        &self,
        scope: &Scope,
        filter: &ReactionFilter,
        paging: &Paging<SortKey>,
    ) -> Result<Page<MessageReaction, SortKey>, StoreError> {
        let mut reading = self.reading().await?;
        let targets = targets(&mut reading, scope, filter.instance_id.as_ref(), paging, &REACTIONS).await?;
        let conditions: Vec<Condition> =
            Condition::each([("message_id", &filter.message_id), ("from_number", &filter.from_number)]).collect();
        let rows = reading.reaction_rows(&REACTIONS, &PageQuery::new(&targets, &conditions, paging)).await?;
        reading.end().await?;
        Ok(merge(paging, rows, |row| {
            let rest = vec![row.message_id.clone(), row.from_number.clone(), row.reaction.clone()];
            SortKey::new(row.reacted_at, &row.instance_id, rest)
        }))
    }
}

/// A row of `message_reactions`.
#[derive(serde::Deserialize, sqlx::FromRow)]
pub(crate) struct ReactionRow<T> {
    pub(crate) instance_id: String,
    pub(crate) message_id: String,
    pub(crate) from_number: String,
    pub(crate) reaction: String,
    pub(crate) reacted_at: T,
    pub(crate) received_at: T,
}

impl<T> ReactionRow<T> {
    pub(crate) fn read(self, time: impl Fn(T) -> Result<Timestamp, StoreError>) -> Result<MessageReaction, StoreError> {
        Ok(MessageReaction {
            instance_id: InstanceId::from_store(&self.instance_id),
            message_id: self.message_id,
            from_number: self.from_number,
            reaction: self.reaction,
            reacted_at: time(self.reacted_at)?,
            received_at: time(self.received_at)?,
        })
    }
}
