//! Chats.

use super::Queries;
use super::index::{CHATS_LATEST, CHATS_WAITING, OF_CONTACT};
use super::listing::{Condition, KeyColumn, KeyRange, ListSource, PageQuery, instances, merge};
use super::messages::{MessageReport, reports, sizes};
use super::persons::{Person, persons, persons_with};
use crate::Store;
use crate::StoreError;
use domain::access::scope::Scope;
use domain::chat::chat_id;
use domain::chat::chat_kind::{ChatKind, ChatKinds};
use domain::instance::InstanceId;
use domain::message::MessageKey;
use domain::page::{PAGE_BYTES, Page, Paging, SortKey};
use domain::time::timestamp::Timestamp;

/// A filter of chats. A field that is not set lets all through.
#[derive(Clone, Debug)]
pub struct ChatFilter {
    pub instance_id: Option<InstanceId>,
    /// Only those in which somebody waits for an answer.
    pub unanswered: bool,
    pub kinds: ChatKinds,
    /// The number of the person in the chat, in digits.
    pub contact: Option<String>,
    /// Folded text that the name or the number contains.
    pub search: Option<String>,
}

/// A chat with its last message.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct ChatReport {
    pub instance_id: InstanceId,
    pub chat_id: String,
    pub name: Option<String>,
    pub contact: Option<String>,
    pub kind: ChatKind,
    pub message_count: i64,
    /// `None` if the chat has service messages alone. Lists leave out such chats.
    pub last_message_at: Option<Timestamp>,
    pub last_message_id: Option<String>,
    pub last_incoming_at: Option<Timestamp>,
    pub last_outgoing_at: Option<Timestamp>,
    /// The time of the first incoming message after the last outgoing one. `None` if nobody waits.
    pub waiting_since: Option<Timestamp>,
    #[sqlx(skip)]
    pub last_message: Option<MessageReport>,
}

pub(crate) const COLUMNS: &str = "instance_id, chat_id, coalesce(given_name, name) AS name, contact, kind, message_count, \
                       last_message_at, last_message_id, last_incoming_at, last_outgoing_at, waiting_since";
const KEY: &[KeyColumn] = &[KeyColumn::Text("chat_id")];
pub(crate) const BY_LATEST: ListSource =
    ListSource { table: "chats", columns: COLUMNS, at: "last_message_at", rest: KEY };
pub(crate) const BY_WAITING: ListSource =
    ListSource { table: "chats", columns: COLUMNS, at: "waiting_since", rest: KEY };

impl dyn Store + '_ {
    /// Returns a page of the chats that `filter` lets through, in the order of their latest messages. Unanswered chats
    /// are in the order in which somebody began to wait.
    pub async fn list_chats(
        &self,
        scope: &Scope,
        filter: &ChatFilter,
        paging: &Paging<SortKey>,
    ) -> Result<Page<ChatReport, SortKey>, StoreError> {
        let mut queries = self.read().await?;
        let source = if filter.unanswered { &BY_WAITING } else { &BY_LATEST };
        let mut instances = instances(&mut *queries, scope, filter.instance_id.as_ref()).await?;
        if filter.contact.is_some() && !filter.kinds.contains(ChatKind::Person) {
            instances.clear();
        }
        let conditions = filter.conditions();
        let index = match filter {
            ChatFilter { contact: Some(_), .. } => &OF_CONTACT,
            ChatFilter { unanswered: true, .. } => &CHATS_WAITING,
            _ => &CHATS_LATEST,
        };
        let mut rows = vec![];
        if let Some(contact) = &filter.contact {
            rows = filter.under_other_ids(&mut *queries, &instances, contact, paging, source).await?;
        }
        let ranges = instances.into_iter().map(|instance| KeyRange::new(instance, paging, source)).collect();
        rows.extend(queries.chat_rows(&PageQuery::new(source, index, ranges, conditions, paging)).await?);
        let page = merge(paging, rows, |chat| {
            let at = if filter.unanswered { chat.waiting_since } else { chat.last_message_at };
            SortKey::new(at.unwrap_or(Timestamp::MIN), &chat.instance_id, vec![chat.chat_id.clone()])
        });
        let sizes = sizes(&mut *queries, &Vec::from_iter(page.rows.iter().filter_map(last_message))).await?;
        let mut page = page.within(PAGE_BYTES, &sizes);
        add_messages(&mut *queries, &mut page.rows).await?;
        queries.end().await?;
        Ok(page)
    }

    pub async fn chat(&self, instance_id: &InstanceId, chat_id: &str) -> Result<Option<ChatReport>, StoreError> {
        let mut queries = self.read().await?;
        let person = persons(&mut *queries, std::slice::from_ref(instance_id), chat_id).await?.pop();
        let chat_id = person.as_ref().map_or(chat_id, |person| &person.chat_id);
        let mut chat = queries.chat_row(instance_id, chat_id).await?;
        add_messages(&mut *queries, chat.as_mut_slice()).await?;
        queries.end().await?;
        Ok(chat)
    }
}

async fn add_messages(queries: &mut dyn Queries, chats: &mut [ChatReport]) -> Result<(), StoreError> {
    let mut messages = reports(queries, &Vec::from_iter(chats.iter().filter_map(last_message))).await?;
    for chat in chats {
        chat.last_message = last_message(chat).and_then(|key| messages.remove(&key));
    }
    Ok(())
}

fn last_message(chat: &ChatReport) -> Option<MessageKey> {
    Some(MessageKey { instance_id: chat.instance_id.clone(), id: chat.last_message_id.clone()? })
}

/// Lets the chats through in which people talk with each other.
impl Default for ChatFilter {
    fn default() -> Self {
        let kinds = ChatKinds::conversations();
        Self { instance_id: None, unanswered: false, kinds, contact: None, search: None }
    }
}

impl ChatFilter {
    /// Returns the first chats of a page with a person who has other ids than this number.
    async fn under_other_ids(
        &self,
        queries: &mut dyn Queries,
        instances: &[InstanceId],
        contact: &str,
        paging: &Paging<SortKey>,
        source: &'static ListSource,
    ) -> Result<Vec<ChatReport>, StoreError> {
        let mut rows = vec![];
        for Person { instance_id, chat_id, .. } in persons_with(queries, instances, contact).await? {
            let Some(number) = chat_id::contact(&chat_id) else { continue };
            let conditions = Self { contact: Some(number.to_owned()), ..self.clone() }.conditions();
            let ranges = vec![KeyRange::new(instance_id, paging, source)];
            rows.extend(queries.chat_rows(&PageQuery::new(source, &OF_CONTACT, ranges, conditions, paging)).await?);
        }
        Ok(rows)
    }

    fn conditions(&self) -> Vec<Condition> {
        let listed = Condition::NotNull(if self.unanswered { "waiting_since" } else { "last_message_at" });
        // Only the chat of a person has a number, by which few chats are found.
        let kinds = self.contact.is_none().then(|| Condition::kinds(&self.kinds));
        let contact = self.contact.clone().map(|contact| Condition::Is("contact", contact));
        let search = self.search.clone().map(|text| Condition::Contains("search", text));
        [Some(listed), kinds, contact, search].into_iter().flatten().collect()
    }
}
