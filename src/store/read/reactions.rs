//! Reactions to messages.

use std::collections::BTreeMap;

use super::index::{Index, OF_MESSAGE, REACTIONS_OF_PERSON};
use super::listing::{Condition, KeyColumn, KeyRange, ListSource, PageQuery, instances, merge};
use super::persons::{Person, persons};
use crate::Store;
use crate::StoreError;
use domain::access::scope::Scope;
use domain::instance::InstanceId;
use domain::message::reaction::MessageReaction;
use domain::page::{Page, Paging, SortKey};
use domain::time::timestamp::Timestamp;

/// A filter of reactions. A field that is not set lets all through.
#[derive(Clone, Debug, Default)]
pub struct ReactionFilter {
    pub instance_id: Option<InstanceId>,
    pub message_id: Option<String>,
    pub from_number: Option<String>,
}

pub(crate) const REACTIONS: ListSource = ListSource {
    table: "message_reactions",
    columns: "instance_id, message_id, from_number, reaction, reacted_at, received_at, last_received_at",
    at: "reacted_at",
    rest: &[KeyColumn::Text("message_id"), KeyColumn::Text("from_number"), KeyColumn::Text("reaction")],
};

impl dyn Store + '_ {
    /// Returns a page of the reactions that `filter` lets through, including removals, in the order in which they were
    /// made.
    pub async fn list_reactions(
        &self,
        scope: &Scope,
        filter: &ReactionFilter,
        paging: &Paging<SortKey>,
    ) -> Result<Page<MessageReaction, SortKey>, StoreError> {
        let mut queries = self.read().await?;
        let instances = instances(&mut *queries, scope, filter.instance_id.as_ref()).await?;
        // A person is asked for by each id.
        let mut asked = BTreeMap::<Option<String>, Vec<KeyRange>>::new();
        match &filter.from_number {
            Some(id) => {
                for Person { instance_id, ids, .. } in persons(&mut *queries, &instances, id).await? {
                    let range = KeyRange::new(instance_id, paging, &REACTIONS);
                    ids.into_iter().for_each(|id| asked.entry(Some(id)).or_default().push(range.clone()));
                }
            }
            None => {
                let ranges = instances.into_iter().map(|instance| KeyRange::new(instance, paging, &REACTIONS));
                asked.insert(None, ranges.collect());
            }
        }
        let mut rows = vec![];
        for (from_number, ranges) in asked {
            let conditions: Vec<Condition> =
                Condition::each([("message_id", &filter.message_id), ("from_number", &from_number)]).collect();
            let index = Index::first(&[&OF_MESSAGE, &REACTIONS_OF_PERSON], &conditions);
            let query = PageQuery::new(&REACTIONS, index, ranges, conditions, paging);
            rows.extend(queries.reaction_rows(&query).await?);
        }
        queries.end().await?;
        Ok(merge(paging, rows, |row| {
            let rest = vec![row.message_id.clone(), row.from_number.clone(), row.reaction.clone()];
            SortKey::new(row.reacted_at, &row.instance_id, rest)
        }))
    }
}

/// The columns of [`REACTIONS`].
pub(crate) type ReactionReportRow = (InstanceId, String, String, String, Timestamp, Timestamp, Timestamp);

pub(crate) fn reaction(row: ReactionReportRow) -> MessageReaction {
    let (instance_id, message_id, from_number, reaction, reacted_at, received_at, last_received_at) = row;
    MessageReaction { instance_id, message_id, from_number, reaction, reacted_at, received_at, last_received_at }
}
