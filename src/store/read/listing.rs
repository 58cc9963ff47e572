//! Lists by keyset: every list reads, for each instance, the few rows that its index has next, and merges them.
//!
//! Each index leads with the instance. A list of several instances therefore asks each for as many rows as a page has;
//! what other instances hold, a reader's scope among them, costs nothing.

use std::collections::BTreeSet;

use async_trait::async_trait;

use crate::StoreError;
use domain::access::scope::Scope;
use domain::instance::InstanceId;
use domain::page::{KeysetRange, Page, Paging, SortKey};

/// A store that can be asked questions.
#[async_trait]
pub(crate) trait Readable: Send + Sync {
    type Reading: Question + crate::Queries;

    /// Begins a question, on a connection of its own: all of its statements see the same rows.
    async fn reading(&self) -> Result<Self::Reading, StoreError>;
}

#[async_trait]
pub(crate) trait Question: Send {
    /// Ends a question that was answered.
    async fn end(self) -> Result<(), StoreError>;
}

/// The statements on no table in particular.
#[async_trait]
pub(crate) trait InstanceQueries {
    /// Every instance of which there is an event, `-` among them, in the order of its bytes.
    async fn known_instances(&mut self) -> Result<Vec<InstanceId>, StoreError>;
}

/// What a list is read from: columns `instance_id`, `at` and `rest` are its sort key, and stand among `columns`.
pub(crate) struct ListSource {
    pub(crate) table: &'static str,
    pub(crate) columns: &'static str,
    pub(crate) at: &'static str,
    pub(crate) rest: &'static [KeyColumn],
}

impl ListSource {
    /// Whether an index has the rows with this word in a column.
    pub(crate) fn is_rare(&self, column: &str, word: &str) -> bool {
        !common_words(self.table, column).contains(&word)
    }

    /// That a column has this word.
    pub(crate) fn word(&self, column: &'static str, word: &str) -> Condition {
        let condition = if self.is_rare(column, word) { Condition::Is } else { Condition::Has };
        condition(column, word.to_owned())
    }
}

/// A column of a sort key after the time: text, or bytes that a cursor holds as hexadecimal digits.
pub(crate) enum KeyColumn {
    Text(&'static str),
    Bytes(&'static str),
}

impl KeyColumn {
    pub(crate) fn column(&self) -> &'static str {
        match self {
            Self::Text(column) | Self::Bytes(column) => column,
        }
    }
}

/// Rows that an index has in the order of the list.
#[derive(Clone, Debug)]
pub(crate) struct KeyRange {
    pub(crate) instance_id: InstanceId,
    pub(crate) chat_id: Option<String>,
    /// `from_me` and `is_group`.
    pub(crate) direction: Option<(bool, bool)>,
    pub(crate) range: KeysetRange,
}

impl KeyRange {
    pub(crate) fn new(instance_id: InstanceId, paging: &Paging<SortKey>, listing: &ListSource) -> Self {
        let mut range = paging.range(&instance_id, listing.rest.len());
        for bound in [&mut range.after, &mut range.before] {
            // A cursor comes from outside.
            let bytes =
                listing.rest.iter().zip(&mut bound.rest).filter(|(rest, _)| matches!(rest, KeyColumn::Bytes(_)));
            bytes.filter(|(_, part)| hex::decode(part.as_str()).is_err()).for_each(|(_, part)| part.clear());
        }
        Self { instance_id, chat_id: None, direction: None, range }
    }
}

/// What holds of every row of a list. The columns are names in our own text; values are parameters.
#[derive(Clone, Debug)]
pub(crate) enum Condition {
    /// An index has the rows with this text in the order of the list.
    Is(&'static str, String),
    /// Most rows have this text, or those that are found by another condition are looked at for it.
    Has(&'static str, String),
    Flag(&'static str, bool),
    Null(&'static str),
    NotNull(&'static str),
    /// The column holds this text somewhere.
    Contains(&'static str, String),
    /// The column begins with this text.
    Begins(&'static str, String),
    AtLeast(&'static str, i64),
    AtMost(&'static str, i64),
}

impl Condition {
    /// The columns that are to have a certain text.
    pub(crate) fn each<const N: usize>(texts: [(&'static str, &Option<String>); N]) -> impl Iterator<Item = Self> {
        texts.map(|(column, text)| text.clone().map(|text| Self::Is(column, text))).into_iter().flatten()
    }
}

/// The words of a column that most rows have: its index is without these rows, which the list by time meets soon.
fn common_words(table: &str, column: &str) -> &'static [&'static str] {
    match (table, column) {
        ("messages", "type") => &["text"],
        ("messages", "status") => &["received", "sent"],
        ("message_acks", "ack") => &["pending", "sent", "delivered", "read"],
        _ => &[],
    }
}

/// What the rows of an index that begins with the instance and this column have, where it is without some: in the words
/// of the migration, which a statement must repeat to read that index. SQLite has `IS NOT` there, which is the same to it.
pub(crate) fn rows_of_index(table: &str, column: &str) -> Option<String> {
    match (table, column, common_words(table, column)) {
        ("messages", "from_id" | "to_id", _) => Some(format!("{column} IS DISTINCT FROM chat_id")),
        ("messages", "ack", _) => Some("(from_me OR ack <> 'pending')".to_owned()),
        (_, _, []) => None,
        (_, _, [word]) => Some(format!("{column} <> '{word}'")),
        (_, _, words) => Some(format!("{column} NOT IN ('{}')", words.join("', '"))),
    }
}

/// One page of a list.
pub(crate) struct PageQuery<'a> {
    pub(crate) targets: &'a [KeyRange],
    pub(crate) conditions: &'a [Condition],
    pub(crate) ascending: bool,
    pub(crate) limit: u32,
}

impl<'a> PageQuery<'a> {
    pub(crate) fn new(targets: &'a [KeyRange], conditions: &'a [Condition], paging: &Paging<SortKey>) -> Self {
        Self { targets, conditions, ascending: paging.ascending(), limit: paging.rows_to_read() }
    }
}

/// The instances that a list is about: those that are asked for, as far as the reader may see them.
pub(crate) async fn instances(
    queries: &mut impl crate::Queries,
    scope: &Scope,
    wanted: Option<&InstanceId>,
) -> Result<Vec<InstanceId>, StoreError> {
    match (wanted, scope) {
        (Some(wanted), scope) => Ok(scope.allows(wanted).then(|| wanted.clone()).into_iter().collect()),
        (None, Scope::Instances(instances)) => Ok(BTreeSet::iter(instances).cloned().collect()),
        (None, Scope::All) => queries.known_instances().await,
    }
}

/// What a list of those instances reads.
pub(crate) async fn targets(
    queries: &mut impl crate::Queries,
    scope: &Scope,
    wanted: Option<&InstanceId>,
    paging: &Paging<SortKey>,
    listing: &ListSource,
) -> Result<Vec<KeyRange>, StoreError> {
    let instances = instances(queries, scope, wanted).await?;
    Ok(instances.into_iter().map(|instance| KeyRange::new(instance, paging, listing)).collect())
}

/// Makes a page of rows that were read for several targets.
pub(crate) fn merge<T>(paging: &Paging<SortKey>, rows: Vec<T>, key: impl Fn(&T) -> SortKey) -> Page<T, SortKey> {
    let mut keyed: Vec<(SortKey, T)> = rows.into_iter().map(|row| (key(&row), row)).collect();
    keyed.sort_by(|(a, _), (b, _)| if paging.ascending() { a.cmp(b) } else { b.cmp(a) });
    keyed.truncate(paging.rows_to_read() as usize);
    paging.page(keyed, |(key, _)| key.clone()).map(|(_, row)| row)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_statement_repeats_the_words_of_the_migrations_that_leave_rows_out_of_an_index() {
        let indexes = [("messages", "from_id"), ("messages", "to_id"), ("messages", "type"), ("messages", "status")];
        let indexes = indexes.into_iter().chain([("messages", "ack"), ("message_acks", "ack")]);
        let rows: Vec<String> = indexes.map(|(table, column)| rows_of_index(table, column).unwrap()).collect();
        for (database, distinct) in [("sqlite", "IS NOT"), ("postgres", "IS DISTINCT FROM")] {
            let folder = format!("{}/../../migrations/{database}", env!("CARGO_MANIFEST_DIR"));
            let migrations =
                fs::read_dir(folder).unwrap().map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
            let migrations = migrations.collect::<String>();
            for rows in &rows {
                let rows = rows.replace("IS DISTINCT FROM", distinct);
                assert!(migrations.contains(&format!("WHERE {rows}")), "{database}: {rows}");
            }
        }
    }
}
