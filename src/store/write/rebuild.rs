//! Working out all tables but the ledger again from it.
//!
//! That is done in temporary tables with the names of the lasting ones: a database looks for a name among them first, so that the
//! very statements that record events write there. Then the two are compared, and a rebuild takes over what differs,
//! in one transaction.

use async_trait::async_trait;

use super::folding::FoldLimit;
use super::record::{Rows, apply};
use crate::StoreError;
use domain::event::Event;
use domain::event::batch::LedgerRow;

/// Events that are applied together, and the bytes of their bodies: those of a single event may be more.
pub(crate) const EVENTS: i64 = 500;
pub(crate) const BYTES: i64 = 8 * 1024 * 1024;

/// Rows of each kind that are named.
const EXAMPLES: i64 = 3;

/// A table that follows from the ledger.
pub(crate) struct DerivedTable {
    pub(crate) name: &'static str,
    pub(crate) key: &'static [&'static str],
    pub(crate) columns: TableColumns,
}

/// What of a table follows from the ledger, besides the key.
pub(crate) enum TableColumns {
    /// All but the key of the database's own that tells rows of a table apart.
    All,
    /// The others say what has happened since: so a row that has nothing to follow from stays.
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
        columns: TableColumns::Only(&["source_url", "source_host", "occurred_at"]),
    },
];

/// How a table differs from what the ledger says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub table: &'static str,
    /// Rows that should be there.
    pub missing: i64,
    /// Rows that should not be there.
    pub surplus: i64,
    /// Rows that are there and say something else.
    pub different: i64,
    /// The beginnings of the keys of some of them.
    pub examples: Vec<String>,
}

impl Difference {
    pub fn is_none(&self) -> bool {
        (self.missing, self.surplus, self.different) == (0, 0, 0)
    }
}

/// Where the work is.
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

/// Compares, or takes over what differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    Check,
    Rebuild,
}

/// A connection of its own, with the temporary tables, in a transaction that sees one state of the database.
#[async_trait]
pub(crate) trait RebuildRows {
    /// The number of the latest event.
    async fn last_seq(&mut self) -> Result<i64, StoreError>;

    /// The applied events after a number, as many as are applied together.
    async fn applied_after(&mut self, seq: i64) -> Result<Vec<(i64, Event)>, StoreError>;

    /// The columns of a table but those of its key, and without that of the database's own.
    async fn other_columns(&mut self, table: &DerivedTable) -> Result<Vec<String>, StoreError>;

    /// A number that a query gives.
    async fn count(&mut self, query: String) -> Result<i64, StoreError>;

    /// The texts that a query gives.
    async fn texts(&mut self, query: String) -> Result<Vec<String>, StoreError>;

    /// Makes the table what the temporary one is.
    async fn take_over(&mut self, table: &DerivedTable) -> Result<(), StoreError>;

    /// The names of the lasting table and of the temporary one.
    async fn names(&mut self, table: &DerivedTable) -> Result<(String, String), StoreError>;

    /// The operator between two rows that differ, NULLs counting as equal.
    const DIFFERS: &'static str;
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
        let events = rows.applied_after(seq).await?;
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
    let (live, told) = rows.names(table).await?;
    let columns = match table.columns {
        TableColumns::All => rows.other_columns(table).await?,
        TableColumns::Only(columns) => columns.iter().map(|column| (*column).to_owned()).collect(),
    };
    let same_key = Vec::from_iter(table.key.iter().map(|key| format!("live.{key} = told.{key}"))).join(" AND ");
    let all_of = |side: &str| Vec::from_iter(columns.iter().map(|column| format!("{side}.{column}"))).join(", ");
    // Joins, for which SQLite makes an index where a key has none.
    let without = |rows: &str, row: &str, others: &str, other: &str| {
        format!(
            "FROM {rows} AS {row} LEFT JOIN {others} AS {other} ON {same_key} WHERE {other}.{} IS NULL",
            table.key[0]
        )
    };
    let parts = [
        ("told", without(&told, "told", &live, "live")),
        ("live", without(&live, "live", &told, "told")),
        (
            "live",
            format!(
                "FROM {live} AS live INNER JOIN {told} AS told ON {same_key} WHERE ({}) {} ({})",
                all_of("live"),
                R::DIFFERS,
                all_of("told")
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
    // Of a row that is there twice, where no key forbids it, the joins see nothing; the numbers of rows do.
    let more = rows.count(format!("SELECT (SELECT count(*) FROM {live}) - (SELECT count(*) FROM {told})")).await?;
    surplus = surplus.max(more + missing);
    Ok(Difference { table: table.name, missing, surplus, different, examples })
}
