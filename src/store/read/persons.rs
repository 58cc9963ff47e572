//! Persons with several ids. Whoever asks by one of them asks by all.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;

use super::Queries;
use crate::StoreError;
use crate::error::in_table;
use domain::chat::ChatKey;
use domain::chat::chat_id;
use domain::chat::person::national_number::forms;
use domain::instance::InstanceId;
use domain::message::MessageKey;
use domain::message::reaction::MessageReaction;

/// An id of a person, and the id of the conversation.
pub struct PersonId {
    pub(crate) instance_id: InstanceId,
    pub(crate) alias: String,
    pub(crate) chat_id: String,
}

/// The statements about persons.
#[async_trait]
pub trait PersonQueries {
    /// Returns the other ids of the person with this id in each of these instances, if there are any.
    async fn ids_of(&mut self, instances: &[InstanceId], id: &str) -> Result<Vec<PersonId>, StoreError>;

    /// Returns the conversations of these ids, of those that are aliases.
    async fn conversations(&mut self, ids: &[ChatKey]) -> Result<Vec<PersonId>, StoreError>;
}

/// The conversation with a person in an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) instance_id: InstanceId,
    pub(crate) chat_id: String,
    /// All ids of the person.
    pub(crate) ids: BTreeSet<String>,
}

impl Person {
    pub(crate) fn chat(self) -> ChatKey {
        ChatKey { instance_id: self.instance_id, chat_id: self.chat_id }
    }
}

/// Returns the person with this id in each of these instances.
pub(crate) async fn persons(
    queries: &mut dyn Queries,
    instances: &[InstanceId],
    id: &str,
) -> Result<Vec<Person>, StoreError> {
    let mut found = HashMap::<InstanceId, Vec<PersonId>>::new();
    if chat_id::is_person(id) {
        for row in queries.ids_of(instances, id).await.map_err(in_table("chat_aliases"))? {
            found.entry(row.instance_id.clone()).or_default().push(row);
        }
    }
    let person = |instance_id: &InstanceId| {
        let others = found.remove(instance_id).unwrap_or_default();
        let chat_id = others.first().map_or(id, |other| &other.chat_id).to_owned();
        let ids = others.into_iter().map(|other| other.alias).chain([id.to_owned(), chat_id.clone()]).collect();
        Person { instance_id: instance_id.clone(), chat_id, ids }
    };
    Ok(instances.iter().map(person).collect())
}

/// Returns the persons with this number, in any of its forms, in those of these instances where the number alone does not
/// find their conversation.
pub(crate) async fn persons_with(
    queries: &mut dyn Queries,
    instances: &[InstanceId],
    contact: &str,
) -> Result<Vec<Person>, StoreError> {
    let mut found = Vec::<Person>::new();
    for id in forms(contact).iter().map(|form| chat_id::of_number(form)) {
        let elsewhere = |person: &Person| chat_id::contact(&person.chat_id) != Some(contact);
        let more = persons(queries, instances, &id).await?.into_iter().filter(elsewhere);
        let more: Vec<Person> = more.filter(|person| !found.iter().any(|it| it == person)).collect();
        found.extend(more);
    }
    Ok(found)
}

/// Returns the conversations of those who reacted under another id.
pub(crate) async fn reacting(
    queries: &mut dyn Queries,
    reactions: &HashMap<MessageKey, Vec<MessageReaction>>,
) -> Result<HashMap<ChatKey, String>, StoreError> {
    let id = |it: &MessageReaction| ChatKey { instance_id: it.instance_id.clone(), chat_id: it.from_number.clone() };
    let ids: BTreeSet<ChatKey> = reactions.values().flatten().map(id).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let found = queries.conversations(&Vec::from_iter(ids)).await.map_err(in_table("chat_aliases"))?;
    let conversation = |it: PersonId| (ChatKey { instance_id: it.instance_id, chat_id: it.alias }, it.chat_id);
    Ok(found.into_iter().map(conversation).collect())
}
