//! Messages.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;

use super::Queries;
use super::chats::ChatReport;
use super::listing::{KeyColumn, KeyRange, ListSource, ListedMessage, instances, merge};
use super::media::JobReport;
use super::persons::reacting;
use super::search::{self, SEARCH_TIME, SearchRequest};
use crate::Store;
use crate::StoreError;
use crate::error::in_table;
use domain::access::scope::Scope;
use domain::chat::ChatKey;
use domain::chat::chat_kind::ChatKind;
use domain::instance::InstanceId;
use domain::message::ack::StatedAck;
use domain::message::reaction::{MessageReaction, current};
use domain::message::version::Version;
use domain::message::{Location, MessageFields, MessageKey};
use domain::page::{PAGE_BYTES, Page, Paging, SortKey};
use domain::search::{Facet, SearchFilter, SearchQuery};
use domain::time::timestamp::Timestamp;

pub(crate) mod filter;
pub(crate) mod versions;

use filter::{MessageFilter, People};

/// A message with its file and reactions.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageReport {
    pub instance_id: InstanceId,
    pub id: String,
    pub fields: MessageFields,
    pub chat_kind: ChatKind,
    pub is_group: bool,
    pub ack: String,
    pub received_at: Timestamp,
    pub occurred_at: Timestamp,
    pub delivered_at: Option<Timestamp>,
    pub read_at: Option<Timestamp>,
    /// True if nobody wrote the message: it is a notice of the gateway.
    pub is_service: bool,
    /// The time at which its text was last changed.
    pub edited_at: Option<Timestamp>,
    /// The time at which it was deleted.
    pub revoked_at: Option<Timestamp>,
    /// The file of the message; of several, one that is stored.
    pub media: Option<JobReport>,
    /// The current reaction of each person.
    pub reactions: Vec<MessageReaction>,
    /// True if there are more rows of reactions than were read, so that some persons are missing.
    pub reactions_truncated: bool,
    pub(crate) has_file: bool,
    /// The numbers of the first copy, and of the copy that the fields are of.
    pub(crate) copies: (i64, i64),
}

/// A message with its history.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageDetail {
    pub message: MessageReport,
    /// The acks that were stated about the message, in the order of their arrival.
    pub acks: Vec<StatedAck>,
    /// True if there are more acks than these.
    pub acks_truncated: bool,
    /// The texts that the message had, the first one first.
    pub versions: Vec<Version>,
    /// True if there are more copies of the message than were read.
    pub versions_truncated: bool,
    /// The message that this one answers, if it is in the database.
    pub quoted: Option<MessageReport>,
}

/// The maximum number of reaction rows that a message is shown with, removals and former reactions included.
pub(crate) const REACTIONS: i64 = 200;
/// The maximum number of acks that a message is shown with.
pub(crate) const ACKS: i64 = 200;

/// The statements that read messages and what belongs to them.
#[async_trait]
pub trait MessageQueries {
    /// Returns the size in bytes of the long texts of each message and of its first [`REACTIONS`], in the order of the
    /// keys.
    async fn message_sizes(&mut self, keys: &[MessageKey]) -> Result<Vec<i64>, StoreError>;

    /// Returns the messages with these keys, without their files and reactions, in any order.
    async fn messages_with(&mut self, keys: &[MessageKey]) -> Result<Vec<MessageReport>, StoreError>;

    /// Returns one media job of each of these messages: one with a stored file, else the latest.
    async fn media_of(&mut self, keys: &[MessageKey]) -> Result<Vec<JobReport>, StoreError>;

    /// Returns the first [`REACTIONS`] of each message, in the order of the primary key, and one more.
    async fn reactions_to(&mut self, keys: &[MessageKey]) -> Result<Vec<MessageReaction>, StoreError>;

    /// Returns the first [`ACKS`] that were stated about a message, in the order of their arrival, and one more.
    async fn acks_of(&mut self, key: &MessageKey) -> Result<Vec<StatedAck>, StoreError>;

    /// Returns the chats of these instances with the person of this number.
    async fn chats_with(&mut self, instances: &[InstanceId], contact: &str) -> Result<Vec<ChatKey>, StoreError>;

    async fn chat_row(&mut self, instance_id: &InstanceId, chat_id: &str) -> Result<Option<ChatReport>, StoreError>;
}

const KEY: &[KeyColumn] = &[KeyColumn::Number("seq")];
pub(crate) const BY_TIME: ListSource =
    ListSource { table: "messages", columns: "instance_id, id, occurred_at, seq", at: "occurred_at", rest: KEY };
pub(crate) const BY_ARRIVAL: ListSource =
    ListSource { table: "messages", columns: "instance_id, id, received_at, seq", at: "received_at", rest: KEY };

impl dyn Store + '_ {
    /// Returns a page of the messages that `filter` lets through.
    pub async fn list_messages(
        &self,
        scope: &Scope,
        filter: &MessageFilter,
        paging: &Paging<SortKey>,
    ) -> Result<Page<MessageReport, SortKey>, StoreError> {
        let mut queries = self.read().await?;
        let keys = fitting_keys(&mut *queries, scope, filter, paging).await?;
        let mut messages = reports(&mut *queries, &keys.rows).await?;
        let page = keys.filter_map(|key| messages.remove(&key));
        queries.end().await?;
        Ok(page)
    }

    /// Returns a page of the same messages without their reactions, for an export.
    pub async fn export_messages(
        &self,
        scope: &Scope,
        filter: &MessageFilter,
        paging: &Paging<SortKey>,
    ) -> Result<Page<MessageReport, SortKey>, StoreError> {
        let mut queries = self.read().await?;
        let keys = fitting_keys(&mut *queries, scope, filter, paging).await?;
        let mut messages = with_files(&mut *queries, &keys.rows).await?;
        let page = keys.filter_map(|key| messages.remove(&key));
        queries.end().await?;
        Ok(page)
    }

    /// Returns a message with its acks and the message that it answers.
    pub async fn message(&self, instance_id: &InstanceId, id: &str) -> Result<Option<MessageDetail>, StoreError> {
        let mut queries = self.read().await?;
        let detail = detail(&mut *queries, MessageKey { instance_id: instance_id.clone(), id: id.to_owned() }).await?;
        queries.end().await?;
        Ok(detail)
    }
}

/// Returns the keys of a page whose messages have at most [`PAGE_BYTES`].
async fn fitting_keys(
    queries: &mut dyn Queries,
    scope: &Scope,
    filter: &MessageFilter,
    paging: &Paging<SortKey>,
) -> Result<Page<MessageKey, SortKey>, StoreError> {
    let keys = keys(queries, scope, filter, paging).await?;
    let sizes = sizes(queries, &keys.rows).await?;
    Ok(keys.within(PAGE_BYTES, &sizes))
}

async fn keys(
    queries: &mut dyn Queries,
    scope: &Scope,
    filter: &MessageFilter,
    paging: &Paging<SortKey>,
) -> Result<Page<MessageKey, SortKey>, StoreError> {
    let source = if filter.by_arrival { &BY_ARRIVAL } else { &BY_TIME };
    let instances = instances(queries, scope, filter.instance_id.as_ref()).await?;
    if let Some(query) = &filter.search {
        return found(queries, scope, instances, filter, query, paging).await;
    }
    let people = filter.people(queries, &instances).await?;
    let mut asked = BTreeMap::<&People, Vec<KeyRange>>::new();
    for place in filter.places(queries, instances).await? {
        for people in people.get(&place.0).into_iter().flatten() {
            asked.entry(people).or_default().push(KeyRange::of_place(place.clone(), paging, source));
        }
    }
    let mut rows = Vec::new();
    for (people, ranges) in asked {
        let filter = filter.by_ids(people);
        for query in filter.queries(source, ranges, paging) {
            rows.extend(queries.listed_messages(&query).await?);
        }
    }
    Ok(merge(paging, rows, ListedMessage::sort_key).map(|row| row.key))
}

/// Returns the keys of a page of the messages that a search finds.
async fn found(
    queries: &mut dyn Queries,
    scope: &Scope,
    instances: Vec<InstanceId>,
    filter: &MessageFilter,
    query: &SearchQuery,
    paging: &Paging<SortKey>,
) -> Result<Page<MessageKey, SortKey>, StoreError> {
    let mut narrowing = SearchFilter::default();
    if filter.instance_id.is_some() || *scope != Scope::All {
        narrowing = narrowing.and_any_of(instances.iter().map(Facet::instance));
    }
    if filter.contact.is_some() || filter.chat_id.is_some() {
        let chats = filter.places(queries, instances.clone()).await?;
        let chats = chats.iter().filter_map(|(instance, chat)| Some(Facet::chat(instance, chat.as_deref()?)));
        narrowing = narrowing.and_any_of(chats);
    }
    let conditions = filter.conditions();
    let request = SearchRequest {
        query,
        narrowing,
        instances: &instances,
        conditions: &conditions,
        range: paging.span(&BY_TIME.lowest()),
        ascending: paging.ascending(),
        limit: paging.rows_to_read(),
        time: SEARCH_TIME,
    };
    let found = search::find(queries, &request).await?;
    let page = merge(paging, found.rows, ListedMessage::sort_key).map(|row| row.key);
    Ok(found.unfinished.map_or(page.clone(), |at| paging.unfinished(page, at)))
}

/// Returns the sizes of these messages in bytes, without the columns that have a small limit.
pub(crate) async fn sizes(queries: &mut dyn Queries, keys: &[MessageKey]) -> Result<Vec<usize>, StoreError> {
    let sizes = if keys.is_empty() { vec![] } else { queries.message_sizes(keys).await? };
    Ok(sizes.into_iter().map(|size| usize::try_from(size).unwrap_or(usize::MAX)).collect())
}

/// Returns the messages with these keys, with their files.
async fn with_files(
    queries: &mut dyn Queries,
    keys: &[MessageKey],
) -> Result<HashMap<MessageKey, MessageReport>, StoreError> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let messages = queries.messages_with(keys).await?;
    let mut messages: HashMap<MessageKey, MessageReport> =
        messages.into_iter().map(|message| (message.key(), message)).collect();
    let with_files = messages.values().filter(|message| message.has_file).map(MessageReport::key);
    let with_files: Vec<MessageKey> = with_files.collect();
    if with_files.is_empty() {
        return Ok(messages);
    }
    for job in queries.media_of(&with_files).await.map_err(in_table("media"))? {
        let key = MessageKey { instance_id: InstanceId::from_store(&job.instance_id), id: job.message_id.clone() };
        if let Some(message) = messages.get_mut(&key) {
            message.media.get_or_insert(job);
        }
    }
    Ok(messages)
}

/// Returns the messages with these keys, with their files and reactions.
pub(crate) async fn reports(
    queries: &mut dyn Queries,
    keys: &[MessageKey],
) -> Result<HashMap<MessageKey, MessageReport>, StoreError> {
    let mut messages = with_files(queries, keys).await?;
    if messages.is_empty() {
        return Ok(messages);
    }
    let mut reactions: HashMap<MessageKey, Vec<MessageReaction>> = HashMap::new();
    for reaction in queries.reactions_to(keys).await? {
        let key = MessageKey { instance_id: reaction.instance_id.clone(), id: reaction.message_id.clone() };
        reactions.entry(key).or_default().push(reaction);
    }
    let persons = reacting(queries, &reactions).await?;
    for (key, rows) in reactions {
        if let Some(message) = messages.get_mut(&key) {
            message.take_reactions(rows, &persons);
        }
    }
    Ok(messages)
}

impl MessageReport {
    pub fn key(&self) -> MessageKey {
        MessageKey { instance_id: self.instance_id.clone(), id: self.id.clone() }
    }

    /// Sets the reactions from the rows of [`MessageQueries::reactions_to`]. If there are more rows, those of the last
    /// person may be incomplete, so that the current reaction of that person is unknown.
    fn take_reactions(&mut self, mut rows: Vec<MessageReaction>, persons: &HashMap<ChatKey, String>) {
        self.reactions_truncated = rows.len() > REACTIONS as usize;
        if self.reactions_truncated {
            let last = rows.iter().map(|row| row.from_number.clone()).max();
            rows.retain(|row| Some(&row.from_number) != last.as_ref());
        }
        self.reactions = current(rows, persons);
    }
}

async fn detail(queries: &mut dyn Queries, key: MessageKey) -> Result<Option<MessageDetail>, StoreError> {
    let Some(message) = reports(queries, std::slice::from_ref(&key)).await?.remove(&key) else { return Ok(None) };
    let quoted_id = message.fields.quoted_message_id.clone();
    let quoted = quoted_id.map(|id| MessageKey { instance_id: key.instance_id.clone(), id });
    let quoted = match quoted {
        Some(quoted) => reports(queries, std::slice::from_ref(&quoted)).await?.remove(&quoted),
        None => None,
    };
    let mut acks = queries.acks_of(&key).await?;
    let acks_truncated = acks.len() > ACKS as usize;
    acks.truncate(ACKS as usize);
    let (versions, versions_truncated) = message.versions(queries).await.map_err(in_table("events"))?;
    Ok(Some(MessageDetail { message, acks, acks_truncated, versions, versions_truncated, quoted }))
}

/// A row of `messages`.
pub(crate) struct MessageReportRow {
    pub(crate) instance_id: InstanceId,
    pub(crate) id: String,
    pub(crate) chat_id: Option<String>,
    pub(crate) from_id: Option<String>,
    pub(crate) to_id: Option<String>,
    pub(crate) from_me: bool,
    pub(crate) sender_name: Option<String>,
    pub(crate) body: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) sent_at: Option<Timestamp>,
    pub(crate) chat_kind: ChatKind,
    pub(crate) is_group: bool,
    pub(crate) quoted_message_id: Option<String>,
    pub(crate) reaction: Option<String>,
    pub(crate) latitude: Option<f64>,
    pub(crate) longitude: Option<f64>,
    pub(crate) vcard: Option<String>,
    pub(crate) status: Option<String>,
    pub(crate) ack: String,
    pub(crate) group_sender: Option<String>,
    pub(crate) received_at: Timestamp,
    pub(crate) occurred_at: Timestamp,
    pub(crate) delivered_at: Option<Timestamp>,
    pub(crate) read_at: Option<Timestamp>,
    pub(crate) is_service: bool,
    pub(crate) edited_at: Option<Timestamp>,
    pub(crate) revoked_at: Option<Timestamp>,
    pub(crate) has_file: bool,
    pub(crate) seq: i64,
    pub(crate) event_seq: i64,
}

impl From<MessageReportRow> for MessageReport {
    fn from(row: MessageReportRow) -> Self {
        let fields = MessageFields {
            chat_id: row.chat_id,
            from_id: row.from_id,
            to_id: row.to_id,
            from_me: row.from_me,
            sender_name: row.sender_name,
            body: row.body,
            kind: row.kind,
            sent_at: row.sent_at,
            is_group: Some(row.is_group),
            quoted_message_id: row.quoted_message_id,
            reaction: row.reaction,
            // A report shows the file instead of the URL, which may be long.
            media_url: None,
            file_name: None,
            location: row.latitude.zip(row.longitude).map(|(latitude, longitude)| Location { latitude, longitude }),
            vcard: row.vcard,
            status: row.status,
            group_sender: row.group_sender,
        };
        Self {
            instance_id: row.instance_id,
            id: row.id,
            fields,
            chat_kind: row.chat_kind,
            is_group: row.is_group,
            ack: row.ack,
            received_at: row.received_at,
            occurred_at: row.occurred_at,
            delivered_at: row.delivered_at,
            read_at: row.read_at,
            is_service: row.is_service,
            edited_at: row.edited_at,
            revoked_at: row.revoked_at,
            media: None,
            reactions: vec![],
            reactions_truncated: false,
            has_file: row.has_file,
            copies: (row.seq, row.event_seq),
        }
    }
}
