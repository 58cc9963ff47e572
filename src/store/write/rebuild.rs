//! Derives all other tables from the ledger again.
//!
//! That is done in temporary tables with the names of the permanent ones. A database looks for a name among the
//! temporary tables first, so the statements that record events write there. Then both are compared, and a rebuild
//! takes over what differs, in one transaction.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use super::folding::FoldLimit;
use super::persons::Learner;
use super::persons::moves::move_messages;
use super::record::{Rows, apply};
use crate::StoreError;
use crate::error::in_table;
use domain::chat::ChatKey;
use domain::event::Event;
use domain::event::batch::LedgerRow;
use domain::instance::InstanceId;
use domain::time::timestamp::Timestamp;

/// The limits on the events that are applied together, and on the bytes of their bodies. A single event may have more.
pub(crate) const EVENTS: i64 = 500;
pub(crate) const BYTES: i64 = 8 * 1024 * 1024;

/// The number of persons that are looked at together.
const PERSONS: usize = 500;

/// The condition on evidence that outlives its events: its event has expired, or the one of the two that it follows from.
pub(crate) const OUTLIVES: &str = "NOT EXISTS (SELECT 1 FROM events WHERE events.instance_id = kept.instance_id \
     AND events.seq = kept.seq AND events.state = 'applied') \
     OR (kept.source = 'quote' AND EXISTS (SELECT 1 FROM retention_runs))";

/// The number of messages that are moved together.
const MOVED_TOGETHER: u32 = 256;

const MESSAGES: &str = "messages";

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

/// The table of unfinished moves. A rebuild ends them: it gives every message its chat.
pub(crate) const MOVES: DerivedTable =
    DerivedTable { name: "chat_moves", key: &["instance_id", "alias"], columns: TableColumns::All };

pub(crate) const TABLES: [DerivedTable; 9] = [
    DerivedTable { name: MESSAGES, key: &["instance_id", "id"], columns: TableColumns::All },
    DerivedTable { name: "message_acks", key: &["instance_id", "message_id", "ack"], columns: TableColumns::All },
    DerivedTable {
        name: "message_reactions",
        key: &["instance_id", "message_id", "from_number", "reaction", "reacted_at"],
        columns: TableColumns::All,
    },
    DerivedTable { name: "chats", key: &["instance_id", "chat_id"], columns: TableColumns::All },
    DerivedTable { name: "responses", key: &["instance_id", "chat_id", "waiting_since"], columns: TableColumns::All },
    DerivedTable { name: "message_search", key: &["instance_id", "id", "occurred_at"], columns: TableColumns::All },
    DerivedTable { name: "chat_links", key: &["instance_id", "a", "b", "source"], columns: TableColumns::All },
    // An id that is no alias any more says so by a row.
    DerivedTable { name: "chat_aliases", key: &["instance_id", "alias"], columns: TableColumns::Only(&["chat_id"]) },
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
    /// The ids whose messages are still on their way to the conversation of their person. They are not compared.
    pub left_out: Vec<String>,
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
pub(crate) trait RebuildRows: Rows {
    /// Returns the number of the latest event.
    async fn last_seq(&mut self) -> Result<i64, StoreError>;

    /// Returns the applied events after a number, as many as are applied together.
    async fn applied_after(&mut self, seq: i64) -> Result<Vec<(i64, Event)>, StoreError>;

    /// Returns the columns of a table, without those of its key and without the database's own row number.
    async fn other_columns(&mut self, table: &DerivedTable) -> Result<Vec<String>, StoreError>;

    /// Returns the number that a query gives.
    async fn count(&mut self, query: String) -> Result<i64, StoreError>;

    /// Returns the texts that a query gives.
    async fn texts_of(&mut self, query: String) -> Result<Vec<String>, StoreError>;

    /// Takes over the evidence about persons that no event of the ledger gives any more, because the event has expired.
    /// Returns the persons that it names.
    async fn keep_evidence(&mut self) -> Result<Vec<ChatKey>, StoreError>;

    /// Makes the permanent table equal to the temporary one.
    async fn take_over(&mut self, table: &DerivedTable) -> Result<(), StoreError>;

    /// Returns what the permanent table and the temporary one are read by: a name, or a query in parentheses.
    async fn names(&mut self, table: &DerivedTable) -> Result<(String, String), StoreError>;

    /// Returns the operator between two rows that differ, NULLs counting as equal.
    fn differs(&self) -> &'static str;
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
    rows: &mut dyn RebuildRows,
    aim: Aim,
    progress: &(dyn Fn(RebuildStage) + Send + Sync),
) -> Result<Vec<Difference>, StoreError> {
    recall_persons(rows).await?;
    let (mut seq, last) = (0, rows.last_seq().await?);
    loop {
        progress(RebuildStage::Applying { seq, last });
        let events = rows.applied_after(seq).await.map_err(in_table("events"))?;
        let Some((reached, _)) = events.last() else { break };
        seq = *reached;
        let new: Vec<LedgerRow<'_>> = events.iter().map(|(seq, event)| LedgerRow::of_ledger(event, *seq)).collect();
        apply(rows, &Vec::from_iter(&new), FoldLimit::None).await?;
    }
    while move_messages(rows, MOVED_TOGETHER).await?.more {}
    let moving = UnfinishedMoves::find(rows, aim).await?;
    let mut differences = Vec::new();
    for table in &TABLES {
        progress(RebuildStage::Comparing(table.name));
        let difference = compare(rows, table, &moving).await?;
        if aim == Aim::Rebuild && !difference.is_none() {
            progress(RebuildStage::Writing(table.name));
            rows.take_over(table).await?;
        }
        differences.push(difference);
    }
    if aim == Aim::Rebuild {
        rows.take_over(&MOVES).await?;
    }
    Ok(differences)
}

/// Works out who is who from the evidence that outlives its events.
async fn recall_persons(rows: &mut dyn RebuildRows) -> Result<(), StoreError> {
    let mut persons = BTreeMap::<InstanceId, BTreeSet<String>>::new();
    for person in rows.keep_evidence().await.map_err(in_table("chat_links"))? {
        persons.entry(person.instance_id).or_default().insert(person.chat_id);
    }
    let mut learner = Learner::new(FoldLimit::None);
    for (instance_id, ids) in persons {
        for ids in Vec::from_iter(ids).chunks(PERSONS) {
            learner.resolve(rows, &instance_id, ids.iter().cloned().collect()).await?;
        }
    }
    Ok(())
}

async fn compare(
    rows: &mut dyn RebuildRows,
    table: &DerivedTable,
    moving: &UnfinishedMoves,
) -> Result<Difference, StoreError> {
    let (live, derived) = rows.names(table).await?;
    let columns = match table.columns {
        TableColumns::All => rows.other_columns(table).await?,
        TableColumns::Only(columns) => columns.iter().map(|column| (*column).to_owned()).collect(),
    };
    let same_key = Vec::from_iter(table.key.iter().map(|key| format!("live.{key} = derived.{key}"))).join(" AND ");
    let all_of = |side: &str| Vec::from_iter(columns.iter().map(|column| format!("{side}.{column}"))).join(", ");
    // These are joins because SQLite makes an index for a join where the key has none.
    let compared = |row: &str| moving.compared(table, row);
    let without = |rows: &str, row: &str, others: &str, other: &str| {
        format!(
            "FROM {rows} AS {row} LEFT JOIN {others} AS {other} ON {same_key} WHERE {other}.{} IS NULL AND {}",
            table.key[0],
            compared(row)
        )
    };
    let parts = [
        ("derived", without(&derived, "derived", &live, "live")),
        ("live", without(&live, "live", &derived, "derived")),
        (
            "live",
            format!(
                "FROM {live} AS live INNER JOIN {derived} AS derived ON {same_key} WHERE ({}) {} ({}) AND {}",
                all_of("live"),
                rows.differs(),
                all_of("derived"),
                compared("live")
            ),
        ),
    ];
    let (mut counts, mut examples) = ([0; 3], vec![]);
    for (count, (side, part)) in counts.iter_mut().zip(&parts) {
        *count = rows.count(format!("SELECT count(*) {part}")).await?;
        if *count > 0 {
            let [first, second] = [table.key[0], table.key[1]];
            let query = format!("SELECT {side}.{first} || '/' || {side}.{second} {part} LIMIT {EXAMPLES}");
            examples.extend(rows.texts_of(query).await?);
        }
    }
    let [missing, mut surplus, different] = counts;
    // The joins do not notice a row that exists twice where no key forbids that, but the numbers of rows differ.
    let count = |rows: &str, row: &str| format!("(SELECT count(*) FROM {rows} AS {row} WHERE {})", compared(row));
    let more = rows.count(format!("SELECT {} - {}", count(&live, "live"), count(&derived, "derived"))).await?;
    surplus = surplus.max(more + missing);
    let left_out = if table.name == MESSAGES { moving.chats.clone() } else { vec![] };
    Ok(Difference { table: table.name, missing, surplus, different, examples, left_out })
}

/// The moves of messages that have not ended. A check leaves out what they are about to change.
struct UnfinishedMoves {
    /// The ids whose messages are to be moved, with their instances.
    chats: Vec<String>,
    moves: String,
    messages: String,
}

impl UnfinishedMoves {
    async fn find(rows: &mut dyn RebuildRows, aim: Aim) -> Result<Self, StoreError> {
        let (moves, _) = rows.names(&MOVES).await?;
        let (messages, _) = rows.names(&TABLES[0]).await?;
        let chats = match aim {
            Aim::Check => {
                rows.texts_of(format!("SELECT instance_id || '/' || alias FROM {moves} AS move ORDER BY 1")).await?
            }
            Aim::Rebuild => vec![],
        };
        Ok(Self { chats, moves, messages })
    }

    /// Returns the condition on the rows of a table that are compared.
    fn compared(&self, table: &DerivedTable, row: &str) -> String {
        let Self { moves, messages, .. } = self;
        let left_out = match table.name {
            "chat_aliases" => format!("{row}.alias = {row}.chat_id"),
            _ if self.chats.is_empty() => "1 = 0".to_owned(),
            MESSAGES => {
                let stated = format!("coalesce({row}.stated_chat_id, {row}.chat_id)");
                format!("({row}.instance_id, {stated}) IN (SELECT instance_id, alias FROM {moves} AS move)")
            }
            "chats" | "responses" => format!(
                "({row}.instance_id, {row}.chat_id) IN (SELECT instance_id, alias FROM {moves} AS alias \
                 UNION SELECT instance_id, chat_id FROM {moves} AS target \
                 UNION SELECT moved.instance_id, moved.chat_id FROM {messages} AS moved INNER JOIN {moves} AS move \
                 ON moved.instance_id = move.instance_id AND moved.stated_chat_id = move.alias)"
            ),
            "message_search" | "media" => format!(
                "({row}.instance_id, {row}.{}) IN (SELECT moved.instance_id, moved.id FROM {messages} AS moved \
                 INNER JOIN {moves} AS move ON moved.instance_id = move.instance_id \
                 AND coalesce(moved.stated_chat_id, moved.chat_id) = move.alias)",
                table.key[1]
            ),
            _ => "1 = 0".to_owned(),
        };
        format!("NOT coalesce({left_out}, 1 = 0)")
    }
}
