//! Errors of a store, told apart by what the caller should do about them.

/// The refusal of a pooler that does not keep sessions, with the way out.
pub(crate) const POOLER: &str = "a connection pooler in transaction mode stands before it, which mixes up statements and settings; \
     use session mode, or connect to the server itself";

/// The error of a unit of work, of which nothing was kept, unless the answer to a commit was lost.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refuses this data, and would refuse it again. Only the code is kept, because the message may quote
    /// the data.
    #[error("the database refused the data (code {code})")]
    Refused { code: String },
    /// Another transaction was in the way; the same work may be tried again at once.
    #[error("the database was busy with another transaction (code {code})")]
    Contended { code: String },
    /// The database cannot work at the moment: it is away, out of space, or shutting down.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// A query or a unit of work was given up because it took too long.
    #[error("the database took too long")]
    TooSlow,
    /// The work is more than one unit of work, or one answer, may take. A batch is to be halved, and a query to be
    /// narrowed. One event alone is never too much.
    #[error("it is too much at once")]
    TooMuch,
    /// The database's files do not hold what it wrote. Trying again does not help.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// A row holds a value that cannot be read, because somebody else wrote it. Trying again does not help.
    #[error("a row of {} cannot be read (column {column}: {reason})", table.unwrap_or("some table"))]
    Unreadable {
        table: Option<&'static str>,
        /// The column's name, or its position in the statement, counted from 0.
        column: String,
        /// The reason why the value cannot be read. It does not quote the value.
        reason: String,
    },
    /// A statement returned without an error, and did not write all of its rows.
    #[error("a trigger or rule on the table {table} swallowed a row; remove it, or let it return the row")]
    Swallowed { table: &'static str },
    /// The database moved elsewhere, and this one is out of date.
    #[error("this database was copied to {to} at {at}, which took its place; set database_url to that one")]
    Retired {
        /// The place, without a password.
        to: String,
        at: String,
    },
    /// The database works, but its settings break the promise that a commit is on disk.
    #[error("the database is not safe: {0}")]
    Unsafe(String),
}

/// Errors of a text that is not a valid database URL.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseUrlError {
    #[error("expected sqlite://PATH or postgres://USER:PASSWORD@HOST/DATABASE")]
    Scheme,
    #[error("SQLite needs the path of a file, without parameters: sqlite:///var/lib/buzon/buzon.db")]
    SqlitePath,
    #[error("it is no PostgreSQL URL: {0}")]
    Postgres(String),
    #[error(
        "a user or password with other characters than letters and digits is written with %: / is %2F, @ is %40, # is %23, \
         ? is %3F, : is %3A, % is %25"
    )]
    Unescaped,
    #[error("there is no parameter {0}")]
    Parameter(String),
    #[error("this buzon was built without {0}")]
    NotBuilt(&'static str),
}

/// Errors of opening a store. Nothing in the database was changed, unless a migration failed midway.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the database holds tables of another program ({tables}); give buzon a database of its own")]
    ForeignTables { tables: String },
    #[error("the database has schema {found}, and this buzon knows schemas up to {known}; use a newer buzon")]
    NewerSchema { found: i64, known: i64 },
    #[error("{missing} migrations have not run; run: buzon migrate")]
    MigrationsPending { missing: usize },
    #[error("migration {version} of the database is not the one that this buzon has; use the buzon that made it")]
    AlteredMigration { version: i64 },
    #[error("a migration failed: {0}")]
    Migration(String),
    #[error(
        "{lock} was not free in time: it is held by {holder}; wait until that ends, or end it with \
         pg_terminate_backend"
    )]
    Held { lock: String, holder: String },
    #[error("a restore of this database did not end; run buzon restore again, which begins anew")]
    RestoreUnfinished,
    #[error("a copy into this database did not end; run buzon copy again where its source is")]
    CopyUnfinished,
    #[error("another buzon{holder} works on {path}; SQLite takes one server at a time")]
    Locked { path: String, holder: String },
    #[error("there is no database at {path}, in {folder}; run it where buzon.toml is, or give --config")]
    Absent {
        path: String,
        /// The absolute path.
        folder: String,
    },
    #[error("cannot use {path}: {reason}")]
    File { path: String, reason: String },
    #[error(
        "{path} is damaged: {reason}. Nothing was changed. Restore a backup; without one, save what can be read: \
         sqlite3 {path} .recover | sqlite3 saved.db"
    )]
    Damaged { path: String, reason: String },
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database) => match database.code() {
                Some(code) if code.len() == SQLSTATE_LENGTH => Self::of_sqlstate(&code, database.message()),
                Some(code) => Self::of_sqlite_code(&code, database.message()),
                None => Self::Unavailable(database.message().to_owned()),
            },
            sqlx::Error::Encode(_) => Self::Refused { code: "codec".to_owned() },
            sqlx::Error::ColumnDecode { index, source } => {
                Self::Unreadable { table: None, column: index.clone(), reason: source.to_string() }
            }
            sqlx::Error::Decode(source) => {
                Self::Unreadable { table: None, column: "unknown".to_owned(), reason: source.to_string() }
            }
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

/// Adds the table to the error of a row that cannot be read, because sqlx does not name it.
pub(crate) fn in_table(table: &'static str) -> impl Fn(StoreError) -> StoreError {
    move |error| match error {
        StoreError::Unreadable { table: None, column, reason } => {
            StoreError::Unreadable { table: Some(table), column, reason }
        }
        error => error,
    }
}

/// Checks the number of rows that a statement has written. A trigger can drop a row without an error, and the commit
/// would then acknowledge what is not stored.
///
/// # Errors
/// [`StoreError::Swallowed`] if not all of the rows were written.
pub(crate) fn all_written(table: &'static str, rows: usize, written: u64) -> Result<(), StoreError> {
    if written == rows as u64 { Ok(()) } else { Err(StoreError::Swallowed { table }) }
}

/// Returns a count that a row holds.
pub(crate) fn count(table: &'static str, number: impl TryInto<u32>) -> Result<u32, StoreError> {
    number.try_into().map_err(|_| StoreError::unreadable(table, "a count"))
}

/// The length of PostgreSQL's codes. SQLite's are numbers of at most four digits.
const SQLSTATE_LENGTH: usize = 5;

impl StoreError {
    /// Returns the error of a value that buzon does not write in this column.
    pub(crate) fn unreadable(table: &'static str, column: &str) -> Self {
        Self::Unreadable { table: Some(table), column: column.to_owned(), reason: "not a usable value".to_owned() }
    }

    /// Tells PostgreSQL's errors apart by the classes of its appendix "Error Codes".
    fn of_sqlstate(code: &str, message: &str) -> Self {
        let text = || code.to_owned();
        match &code[..2] {
            _ if matches!(code, "40001" | "40P01" | "55P03") => Self::Contended { code: text() },
            _ if code == "57014" => Self::TooSlow,
            // A prepared statement exists twice, or is missing: another client uses the same session.
            _ if matches!(code, "42P05" | "26000") => Self::Unsafe(format!("{message}: {POOLER}")),
            // The classes are: cardinality, data, integrity, check option, program limit, raised by the owner's
            // trigger.
            "21" | "22" | "23" | "44" | "54" | "P0" => Self::Refused { code: text() },
            _ => Self::Unavailable(format!("{message} (SQLSTATE {code})")),
        }
    }

    /// Tells SQLite's errors apart by the primary result code, which is the low byte of the extended one.
    fn of_sqlite_code(code: &str, message: &str) -> Self {
        const BUSY: i32 = 5;
        const LOCKED: i32 = 6;
        const INTERRUPTED: i32 = 9;
        const TOO_BIG: i32 = 18;
        const CORRUPT: i32 = 11;
        const NO_DATABASE: i32 = 26;
        const CONSTRAINT: i32 = 19;
        const MISMATCH: i32 = 20;
        match code.parse::<i32>().map(|extended| extended & 0xFF) {
            Ok(BUSY | LOCKED) => Self::Contended { code: code.to_owned() },
            Ok(INTERRUPTED) => Self::TooSlow,
            Ok(TOO_BIG | CONSTRAINT | MISMATCH) => Self::Refused { code: code.to_owned() },
            Ok(CORRUPT | NO_DATABASE) => Self::Damaged(format!("{message} (SQLite code {code})")),
            _ => Self::Unavailable(format!("{message} (SQLite code {code})")),
        }
    }
}
