//! Lists by keyset: a list reads, for each instance, the few rows that its index has next, and merges them.
//!
//! Each index leads with the instance. A list of several instances therefore asks each for as many rows as a page has.
//! Rows of other instances cost nothing, so a narrow scope of a reader costs no more than a wide one.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::Queries;
use super::acks::AckReport;
use super::chats::ChatReport;
use super::index::Index;
use super::media::JobReport;
use super::persons::{Person, persons, persons_with};
use crate::StoreError;
use domain::access::scope::Scope;
use domain::chat::chat_kind::{ChatKind, ChatKinds};
use domain::instance::InstanceId;
use domain::message::MessageKey;
use domain::message::reaction::MessageReaction;
use domain::page::{KeyPart, KeysetRange, Page, Paging, SortKey};
use domain::time::timestamp::Timestamp;

/// The table of a list. The columns `at` and `rest` are the sort key of the rows of an instance, and are among `columns`
/// as `instance_id` is.
pub(crate) struct ListSource {
    pub(crate) table: &'static str,
    pub(crate) columns: &'static str,
    pub(crate) at: &'static str,
    pub(crate) rest: &'static [KeyColumn],
}

/// A column of a sort key after the time: text, bytes that a cursor holds as hexadecimal digits, or a number that no
/// other row of the database has.
pub(crate) enum KeyColumn {
    Text(&'static str),
    Bytes(&'static str),
    Number(&'static str),
}

impl ListSource {
    /// Returns the columns that rows of several instances are ordered by. Of the same time, numbered rows are in the
    /// order of their numbers, and others in that of their instances first.
    pub(crate) fn order(&self) -> Vec<&'static str> {
        let is_numbered = self.rest.iter().any(|column| matches!(column, KeyColumn::Number(_)));
        let instance = (!is_numbered).then_some("instance_id");
        std::iter::once(self.at).chain(instance).chain(self.rest.iter().map(KeyColumn::column)).collect()
    }

    /// Returns the lowest parts of a key after the instance.
    pub(crate) fn lowest(&self) -> Vec<KeyPart> {
        self.rest.iter().map(KeyColumn::lowest).collect()
    }
}

impl KeyColumn {
    pub(crate) fn column(&self) -> &'static str {
        match self {
            Self::Text(column) | Self::Bytes(column) | Self::Number(column) => column,
        }
    }

    fn lowest(&self) -> KeyPart {
        match self {
            Self::Text(_) | Self::Bytes(_) => KeyPart::LOWEST_TEXT,
            Self::Number(_) => KeyPart::LOWEST_NUMBER,
        }
    }

    /// Returns the part of a bound as this column can hold it. A cursor comes from outside, so its bytes may be no
    /// hexadecimal digits.
    fn held(&self, part: KeyPart) -> KeyPart {
        match (self, part) {
            (Self::Bytes(_), KeyPart::Text(digits)) if hex::decode(&digits).is_err() => self.lowest(),
            (_, part) => part,
        }
    }
}

/// The column with the kind of the chat.
pub(crate) const KIND: &str = "kind";

/// A value that a column has in all rows of a range.
#[derive(Clone, Debug)]
pub(crate) enum KeyValue {
    Text(String),
    Flag(bool),
}

impl From<&str> for KeyValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// Rows of one instance between two keys. All ranges of a query name the same columns in `equal`.
#[derive(Clone, Debug)]
pub(crate) struct KeyRange {
    pub(crate) instance_id: InstanceId,
    pub(crate) equal: Vec<(&'static str, KeyValue)>,
    pub(crate) range: KeysetRange,
}

impl KeyRange {
    pub(crate) fn new(instance_id: InstanceId, paging: &Paging<SortKey>, source: &ListSource) -> Self {
        let mut range = paging.range(&instance_id, &source.lowest());
        for bound in [&mut range.after, &mut range.before] {
            bound.rest = source.rest.iter().zip(bound.rest.drain(..)).map(|(column, part)| column.held(part)).collect();
        }
        Self { instance_id, equal: vec![], range }
    }

    pub(crate) fn with(mut self, column: &'static str, value: KeyValue) -> Self {
        self.equal.push((column, value));
        self
    }

    /// Returns the range of a place: an instance, or a chat in it.
    pub(crate) fn of_place(
        (instance_id, chat_id): (InstanceId, Option<String>),
        paging: &Paging<SortKey>,
        source: &ListSource,
    ) -> Self {
        let range = Self::new(instance_id, paging, source);
        chat_id.into_iter().fold(range, |range, chat_id| range.with("chat_id", KeyValue::Text(chat_id)))
    }

    fn has(&self, column: &str) -> bool {
        self.equal.iter().any(|(known, _)| *known == column)
    }
}

/// A condition on every row of a list. The columns are names in the program's own text; the values are parameters.
#[derive(Clone, Debug)]
pub(crate) enum Condition {
    Is(&'static str, String),
    Flag(&'static str, bool),
    /// The column has one of these words.
    OneOf(&'static str, Vec<&'static str>),
    Null(&'static str),
    NotNull(&'static str),
    /// The column contains this text.
    Contains(&'static str, String),
    /// The column begins with this text.
    Begins(&'static str, String),
    AtLeast(&'static str, i64),
    AtMost(&'static str, i64),
}

impl Condition {
    /// Returns a condition for each text that is set.
    pub(crate) fn each<const N: usize>(texts: [(&'static str, &Option<String>); N]) -> impl Iterator<Item = Self> {
        texts.map(|(column, text)| text.clone().map(|text| Self::Is(column, text))).into_iter().flatten()
    }

    /// Returns the condition that the chat is of one of these kinds.
    pub(crate) fn kinds(kinds: &ChatKinds) -> Self {
        match kinds.words().as_slice() {
            // A comparison finds the place in an index, where PostgreSQL checks a list row by row.
            [kind] => Self::Is(KIND, (*kind).to_owned()),
            kinds => Self::OneOf(KIND, kinds.to_vec()),
        }
    }

    /// Returns the values that the condition lets the column have.
    fn values_of(&self, column: &str) -> Option<Vec<KeyValue>> {
        match self {
            Self::Is(known, text) if *known == column => Some(vec![KeyValue::Text(text.clone())]),
            Self::Flag(known, flag) if *known == column => Some(vec![KeyValue::Flag(*flag)]),
            Self::OneOf(known, words) if *known == column => Some(words.iter().map(|word| (*word).into()).collect()),
            _ => None,
        }
    }

    /// Returns the text that the condition demands of the column.
    pub(crate) fn text_of(&self, column: &str) -> Option<&str> {
        match self {
            Self::Is(known, text) if *known == column => Some(text),
            _ => None,
        }
    }
}

/// The key of a message in a list, and what the list is ordered by.
pub struct ListedMessage {
    pub(crate) key: MessageKey,
    pub(crate) at: Timestamp,
    pub(crate) seq: i64,
}

impl ListedMessage {
    pub(crate) fn sort_key(&self) -> SortKey {
        SortKey::numbered(self.at, self.seq)
    }
}

/// The columns of a list of messages.
pub(crate) type ListedMessageRow = (InstanceId, String, Timestamp, i64);

impl From<ListedMessageRow> for ListedMessage {
    fn from((instance_id, id, at, seq): ListedMessageRow) -> Self {
        Self { key: MessageKey { instance_id, id }, at, seq }
    }
}

/// One page of a list, or of the part of it that an index has.
pub struct PageQuery {
    pub(crate) source: &'static ListSource,
    pub(crate) index: &'static Index,
    pub(crate) ranges: Vec<KeyRange>,
    /// The conditions besides those in `equal` of the ranges.
    pub(crate) conditions: Vec<Condition>,
    pub(crate) ascending: bool,
    pub(crate) limit: u32,
}

impl PageQuery {
    /// Gives each range the values of the leading columns of the index. The rows with one value of a flag or one kind of
    /// chats are in order there, so if the conditions allow more than one, there is a range for each.
    pub(crate) fn new(
        source: &'static ListSource,
        index: &'static Index,
        mut ranges: Vec<KeyRange>,
        mut conditions: Vec<Condition>,
        paging: &Paging<SortKey>,
    ) -> Self {
        for column in index.leading {
            if ranges.iter().any(|range| range.has(column)) {
                continue;
            }
            let values = conditions.iter().find_map(|condition| condition.values_of(column));
            let values = values.unwrap_or_else(|| every_value(column));
            let each = |range: KeyRange| values.iter().map(move |value| range.clone().with(column, value.clone()));
            ranges = ranges.into_iter().flat_map(each).collect();
            conditions.retain(|condition| condition.values_of(column).is_none());
        }
        Self { source, index, ranges, conditions, ascending: paging.ascending(), limit: paging.rows_to_read() }
    }
}

/// Returns the values that a leading column of an index can have: a kind of chats or a flag.
fn every_value(column: &str) -> Vec<KeyValue> {
    match column {
        KIND => ChatKind::ALL.map(|kind| kind.as_str().into()).into(),
        _ => vec![KeyValue::Flag(false), KeyValue::Flag(true)],
    }
}

/// The statements that list.
#[async_trait]
pub trait ListQueries {
    /// Returns the messages of a page, each with the time that the list is ordered by.
    async fn listed_messages(&mut self, query: &PageQuery) -> Result<Vec<ListedMessage>, StoreError>;

    /// Returns the chats of a page, without their messages.
    async fn chat_rows(&mut self, query: &PageQuery) -> Result<Vec<ChatReport>, StoreError>;

    async fn ack_rows(&mut self, query: &PageQuery) -> Result<Vec<AckReport>, StoreError>;

    async fn reaction_rows(&mut self, query: &PageQuery) -> Result<Vec<MessageReaction>, StoreError>;

    async fn media_rows(&mut self, query: &PageQuery) -> Result<Vec<JobReport>, StoreError>;
}

/// Returns the instances that a list is about: those that are asked for, as far as the reader may see them.
pub(crate) async fn instances(
    queries: &mut dyn Queries,
    scope: &Scope,
    wanted: Option<&InstanceId>,
) -> Result<Vec<InstanceId>, StoreError> {
    match (wanted, scope) {
        (Some(wanted), scope) => Ok(scope.allows(wanted).then(|| wanted.clone()).into_iter().collect()),
        (None, Scope::Instances(instances)) => Ok(BTreeSet::iter(instances).cloned().collect()),
        (None, Scope::All) => queries.known_instances().await,
    }
}

/// Returns the ranges of a page in those instances.
pub(crate) async fn ranges(
    queries: &mut dyn Queries,
    scope: &Scope,
    wanted: Option<&InstanceId>,
    paging: &Paging<SortKey>,
    source: &ListSource,
) -> Result<Vec<KeyRange>, StoreError> {
    let instances = instances(queries, scope, wanted).await?;
    Ok(instances.into_iter().map(|instance| KeyRange::new(instance, paging, source)).collect())
}

/// Returns the instances that are asked for, with the chats in them if a chat or a person is asked for. Chats of other
/// kinds are left out.
pub(crate) async fn places(
    queries: &mut dyn Queries,
    instances: Vec<InstanceId>,
    contact: Option<&str>,
    chat_id: Option<&str>,
    kinds: Option<&ChatKinds>,
) -> Result<Vec<(InstanceId, Option<String>)>, StoreError> {
    let mut chats = None;
    if let Some(id) = chat_id {
        let persons = persons(queries, &instances, id).await?;
        chats = Some(BTreeSet::from_iter(persons.into_iter().map(Person::chat)));
    }
    if let Some(contact) = contact {
        let with_number = queries.chats_with(&instances, contact).await?;
        let others = persons_with(queries, &instances, contact).await?.into_iter().map(Person::chat);
        let with_person = BTreeSet::from_iter(with_number.into_iter().chain(others));
        chats = Some(chats.map_or(with_person.clone(), |chats| &chats & &with_person));
    }
    let Some(chats) = chats else { return Ok(instances.into_iter().map(|instance| (instance, None)).collect()) };
    let wanted = chats.into_iter().filter(|chat| kinds.is_none_or(|kinds| kinds.contains(ChatKind::of(&chat.chat_id))));
    Ok(wanted.map(|chat| (chat.instance_id, Some(chat.chat_id))).collect())
}

/// Makes a page of rows that were read for several ranges.
pub(crate) fn merge<T>(paging: &Paging<SortKey>, rows: Vec<T>, key: impl Fn(&T) -> SortKey) -> Page<T, SortKey> {
    let mut keyed: Vec<(SortKey, T)> = rows.into_iter().map(|row| (key(&row), row)).collect();
    keyed.sort_by(|(a, _), (b, _)| if paging.ascending() { a.cmp(b) } else { b.cmp(a) });
    keyed.truncate(paging.rows_to_read() as usize);
    paging.page(keyed, |(key, _)| key.clone()).map(|(_, row)| row)
}
