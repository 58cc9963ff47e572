//! Derives all other tables from the ledger again.
//!
//! That is done in temporary tables with the names of the permanent ones. A database looks for a name among the
//! temporary tables first, so the statements that record events write there. Then both are compared, and a rebuild
//! takes over what differs, in one transaction.

use async_trait::async_trait;

use super::folding::FoldLimit;
use super::record::{Rows, apply};
use crate::StoreError;
use crate::error::in_table;
use domain::event::Event;
use domain::event::batch::LedgerRow;
use domain::instance::InstanceId;
use domain::time::timestamp::Timestamp;

/// The limits on the events that are applied together, and on the bytes of their bodies. A single event may have more.
pub(crate) const EVENTS: i64 = 500;
pub(crate) const BYTES: i64 = 8 * 1024 * 1024;

/// The number of differing rows of each kind that are named.
const EXAMPLES: i64 = 3;

/// A table that follows from the ledger.
pub(crate) struct DerivedTable {
    pub(crate) name: &'static str,
    pub(crate) key: &'static [&'static str],
    pub(crate) columns: TableColumns,
}

/// The columns of a table that follow from the ledger, besides the key.
pub(crate) enum TableColumns {
    /// All columns, but for the database's own row number.
    All,
    /// Only these. The others say what has happened since, so a row that follows from no event stays.
    Only(&'static [&'static str]),
}

pub(crate) const TABLES: [DerivedTable; 7] = [
    DerivedTable { name: "messages", key: &["instance_id", "id"], columns: TableColumns::All },
    DerivedTable { name: "message_acks", key: &["instance_id", "message_id", "ack"], columns: TableColumns::All },
    DerivedTable {
        name: "message_reactions",
        key: &["instance_id", "message_id", "from_number", "reaction", "reacted_at"],
        columns: TableColumns::All,
    },
    DerivedTable { name: "chats", key: &["instance_id", "chat_id"], columns: TableColumns::All },
    DerivedTable { name: "responses", key: &["instance_id", "chat_id", "waiting_since"], columns: TableColumns::All },
    DerivedTable { name: "message_search", key: &["instance_id", "id", "occurred_at"], columns: TableColumns::All },
    DerivedTable {
        name: "media",
        key: &["instance_id", "message_id", "source_sha256"],
        columns: TableColumns::Only(&["source_url", "source_host", "occurred_at", "chat_id", "kind"]),
    },
];

/// A difference between a table and the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub table: &'static str,
    /// The number of rows that should exist and do not.
    pub missing: i64,
    /// The number of rows that should not exist.
    pub surplus: i64,
    /// The number of rows with other values.
    pub different: i64,
    /// The first two columns of the keys of some of these rows.
    pub examples: Vec<String>,
}

impl Difference {
    pub fn is_none(&self) -> bool {
        (self.missing, self.surplus, self.different) == (0, 0, 0)
    }
}

/// The progress of a rebuild.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RebuildStage {
    /// The events up to `seq` of those up to `last` are applied.
    Applying {
        seq: i64,
        last: i64,
    },
    Comparing(&'static str),
    Writing(&'static str),
}

/// The purpose of the work: to compare, or to take over what differs as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    Check,
    Rebuild,
}

/// The statements on a connection with the temporary tables, in a transaction that sees one state of the database.
#[async_trait]
pub(crate) trait RebuildRows {
    /// Returns the number of the latest event.
    async fn last_seq(&mut self) -> Result<i64, StoreError>;

    /// Returns the applied events after a number, as many as are applied together.
    async fn applied_after(&mut self, seq: i64) -> Result<Vec<(i64, Event)>, StoreError>;

    /// Returns the columns of a table, without those of its key and without the database's own row number.
    async fn other_columns(&mut self, table: &DerivedTable) -> Result<Vec<String>, StoreError>;

    /// Returns the number that a query gives.
    async fn count(&mut self, query: String) -> Result<i64, StoreError>;

    /// Returns the texts that a query gives.
    async fn texts(&mut self, query: String) -> Result<Vec<String>, StoreError>;

    /// Makes the permanent table equal to the temporary one.
    async fn take_over(&mut self, table: &DerivedTable) -> Result<(), StoreError>;

    /// Returns the names of the permanent table and of the temporary one.
    async fn names(&mut self, table: &DerivedTable) -> Result<(String, String), StoreError>;

    /// The operator between two rows that differ, NULLs counting as equal.
    const DIFFERS: &'static str;
}

/// The columns of `events` that an event is read from.
pub(crate) struct AppliedColumns {
    pub(crate) seq: i64,
    pub(crate) instance_id: InstanceId,
    pub(crate) body: Vec<u8>,
    pub(crate) received_at: Timestamp,
    pub(crate) signed: bool,
}

impl From<AppliedColumns> for Event {
    fn from(row: AppliedColumns) -> Self {
        Self::of_ledger(row.instance_id, row.body, row.received_at, row.signed)
    }
}

/// Applies all events, compares, and takes over what differs if that is the aim. The transaction is the caller's.
pub(crate) async fn rebuild(
    rows: &mut (impl Rows + RebuildRows),
    aim: Aim,
    progress: &(dyn Fn(RebuildStage) + Send + Sync),
) -> Result<Vec<Difference>, StoreError> {
    let (mut seq, last) = (0, rows.last_seq().await?);
    loop {
        progress(RebuildStage::Applying { seq, last });
        let events = rows.applied_after(seq).await.map_err(in_table("events"))?;
        let Some((reached, _)) = events.last() else { break };
        seq = *reached;
        let new: Vec<LedgerRow<'_>> = events.iter().map(|(seq, event)| LedgerRow::of_ledger(event, *seq)).collect();
        apply(rows, &Vec::from_iter(&new), FoldLimit::None).await?;
    }
    let mut differences = Vec::new();
    for table in &TABLES {
        progress(RebuildStage::Comparing(table.name));
        let difference = compare(rows, table).await?;
        if aim == Aim::Rebuild && !difference.is_none() {
            progress(RebuildStage::Writing(table.name));
            rows.take_over(table).await?;
        }
        differences.push(difference);
    }
    Ok(differences)
}

async fn compare<R: RebuildRows>(rows: &mut R, table: &DerivedTable) -> Result<Difference, StoreError> {
    let (live, derived) = rows.names(table).await?;
    let columns = match table.columns {
        TableColumns::All => rows.other_columns(table).await?,
        TableColumns::Only(columns) => columns.iter().map(|column| (*column).to_owned()).collect(),
    };
    let same_key = Vec::from_iter(table.key.iter().map(|key| format!("live.{key} = derived.{key}"))).join(" AND ");
    let all_of = |side: &str| Vec::from_iter(columns.iter().map(|column| format!("{side}.{column}"))).join(", ");
    // These are joins because SQLite makes an index for a join where the key has none.
    let without = |rows: &str, row: &str, others: &str, other: &str| {
        format!(
            "FROM {rows} AS {row} LEFT JOIN {others} AS {other} ON {same_key} WHERE {other}.{} IS NULL",
            table.key[0]
        )
    };
    let parts = [
        ("derived", without(&derived, "derived", &live, "live")),
        ("live", without(&live, "live", &derived, "derived")),
        (
            "live",
            format!(
                "FROM {live} AS live INNER JOIN {derived} AS derived ON {same_key} WHERE ({}) {} ({})",
                all_of("live"),
                R::DIFFERS,
                all_of("derived")
            ),
        ),
    ];
    let (mut counts, mut examples) = ([0; 3], vec![]);
    for (count, (side, part)) in counts.iter_mut().zip(&parts) {
        *count = rows.count(format!("SELECT count(*) {part}")).await?;
        if *count > 0 {
            let [first, second] = [table.key[0], table.key[1]];
            let query = format!("SELECT {side}.{first} || '/' || {side}.{second} {part} LIMIT {EXAMPLES}");
            examples.extend(rows.texts(query).await?);
        }
    }
    let [missing, mut surplus, different] = counts;
    // The joins do not notice a row that exists twice where no key forbids that, but the numbers of rows differ.
    let more = rows.count(format!("SELECT (SELECT count(*) FROM {live}) - (SELECT count(*) FROM {derived})")).await?;
    surplus = surplus.max(more + missing);
    Ok(Difference { table: table.name, missing, surplus, different, examples })
}
