//! The move of a database from SQLite to PostgreSQL for good: what becomes of each table, and what both sides do for it.

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use crate::RebuildStage;
use crate::StoreError;
use crate::admin::copies::CopyError;
use domain::time::timestamp::Timestamp;

/// The table that is copied first, in the order of its numbers.
pub const LEDGER: &str = "events";
/// The table whose number says how far the ledger is copied.
pub const CLOCK: &str = "ledger_clock";

/// A table, and what becomes of it.
pub struct RelocatedTable {
    pub name: &'static str,
    pub treatment: TableTreatment,
    /// The column whose least and greatest value are shown. None of them identifies a person.
    pub extreme: &'static str,
    /// The columns that are compared. Without any, all are.
    pub compared: &'static [&'static str],
}

/// The way in which a table comes to its new place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableTreatment {
    /// Its rows are copied as they are.
    Copied,
    /// Its rows are copied over those with which a new database begins.
    Replaced,
    /// A rebuild works its rows out from the copied ones.
    WorkedOut,
    /// It stays empty: it holds nothing that lasts longer than a process or a login.
    LeftOut,
}

const fn table(name: &'static str, treatment: TableTreatment, extreme: &'static str) -> RelocatedTable {
    RelocatedTable { name, treatment, extreme, compared: &[] }
}

/// All tables, in the order in which they are copied. A new table belongs into this list.
pub const RELOCATED: [RelocatedTable; 29] = [
    table(LEDGER, TableTreatment::Copied, "seq"),
    table("chat_links", TableTreatment::Copied, "seq"),
    table("chat_links_owner", TableTreatment::Copied, "seq"),
    table("chat_names", TableTreatment::Copied, "seq"),
    table("chat_aliases", TableTreatment::Copied, "seq"),
    table("media", TableTreatment::Copied, "occurred_at"),
    table("media_removals", TableTreatment::Copied, "object_key"),
    table("forwards", TableTreatment::Copied, "position"),
    table("forward_failures", TableTreatment::Copied, "seq"),
    table("erasures", TableTreatment::Copied, "begun_at"),
    table("erasure_keys", TableTreatment::Copied, "created_at"),
    table("erasure_marks", TableTreatment::Copied, "until"),
    table("erasure_ids", TableTreatment::Copied, "erasure_id"),
    table("retention_runs", TableTreatment::Copied, "begun_at"),
    table("api_tokens", TableTreatment::Copied, "created_at"),
    table("audit", TableTreatment::Copied, "at"),
    table("pseudonym_keys", TableTreatment::Replaced, "purpose"),
    table("time_zone_offsets", TableTreatment::Replaced, "since"),
    table("installation", TableTreatment::Replaced, "time_zone"),
    table(CLOCK, TableTreatment::Replaced, "seq"),
    table("messages", TableTreatment::WorkedOut, "occurred_at"),
    table("message_acks", TableTreatment::WorkedOut, "received_at"),
    table("message_reactions", TableTreatment::WorkedOut, "received_at"),
    table("chats", TableTreatment::WorkedOut, "last_message_at"),
    table("responses", TableTreatment::WorkedOut, "waiting_since"),
    // Each database has the words in a form of its own.
    RelocatedTable {
        compared: &["instance_id", "id", "occurred_at", "seq"],
        ..table("message_search", TableTreatment::WorkedOut, "occurred_at")
    },
    // The moves end before anything is copied.
    table("chat_moves", TableTreatment::LeftOut, "alias"),
    table("media_object_locks", TableTreatment::LeftOut, "locked_until"),
    table("sessions", TableTreatment::LeftOut, "created_at"),
];

/// A value of a row in the form that both databases have in common: flags are numbers, and times are texts.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
pub enum ColumnValue {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Bytes(Vec<u8>),
}

pub type TableRow = Vec<ColumnValue>;

/// The rows of a table as they are read.
pub type TableRows<'r> = BoxStream<'r, Result<TableRow, StoreError>>;

/// The mark of a database that was moved elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retirement {
    /// The new place, without a password.
    pub to: String,
    pub at: String,
}

/// The database that moves. Nobody else writes to it while this exists.
#[async_trait]
pub trait RelocationSource: Send {
    /// Returns the database's id.
    async fn database_id(&mut self) -> Result<String, StoreError>;

    /// Returns the mark that an earlier run has left, if the database has moved already.
    async fn retirement(&mut self) -> Result<Option<Retirement>, StoreError>;

    /// Returns the columns of a table.
    async fn columns(&mut self, table: &str) -> Result<Vec<String>, StoreError>;

    /// Reads these columns of a table. Events come in the order of their numbers, from the one after `after` on.
    fn rows<'r>(&'r mut self, table: &str, columns: &[String], after: i64) -> TableRows<'r>;

    /// Marks the database as moved, and closes it. From then on nothing else opens it.
    async fn retire(self: Box<Self>, to: &str, at: Timestamp) -> Result<(), StoreError>;
}

/// The state of the place that a database moves to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetState {
    /// Nothing is stored there.
    Empty,
    /// A move from the same source has not ended. `ledger` is the digest of the ledger that it began with.
    Unfinished { ledger: String },
    /// The database with this id is there.
    Occupied { database_id: String, tables: Vec<&'static str> },
}

/// The place that a database moves to. A mark keeps everything else from opening it until it is released.
#[async_trait]
pub trait RelocationTarget: Send {
    /// Returns what is there.
    ///
    /// # Errors
    /// [`CopyError::Useless`] if it belongs to another program, or to an unfinished move of another database.
    async fn state(&mut self, database_id: &str) -> Result<TargetState, CopyError>;

    /// Prepares the place: makes the tables, sets the mark, and empties what a move of another ledger has left. Returns the
    /// number up to which the ledger is there.
    async fn begin(&mut self, database_id: &str, ledger: &str) -> Result<i64, CopyError>;

    /// Appends events and moves the clock from `after` to `last`, in one transaction.
    ///
    /// # Errors
    /// [`CopyError::Useless`] if the clock is not at `after`, because somebody else writes there.
    async fn append(&mut self, columns: &[String], rows: Vec<TableRow>, after: i64, last: i64)
    -> Result<(), CopyError>;

    /// Writes rows to a table, which `anew` empties before, in one transaction.
    async fn fill(
        &mut self,
        table: &'static str,
        columns: &[String],
        rows: Vec<TableRow>,
        anew: bool,
    ) -> Result<(), CopyError>;

    /// Works out all tables that follow from the copied ones.
    async fn work_out(&mut self, progress: &(dyn Fn(RebuildStage) + Send + Sync)) -> Result<(), CopyError>;

    /// Reads these columns of a table.
    fn rows<'r>(&'r mut self, table: &str, columns: &[String]) -> TableRows<'r>;

    /// Pauses the forwards, and removes the mark.
    async fn release(&mut self) -> Result<(), CopyError>;
}

/// Returns the columns as a statement names them.
pub(crate) fn quoted(columns: &[String]) -> String {
    Vec::from_iter(columns.iter().map(|column| format!("\"{column}\""))).join(", ")
}
