//! The only place with SQL. A trait for each aggregate ([`EventStore`] …), joined as [`Store`], with its twins in
//! `sqlite/` and `postgres/`. Questions are methods of `dyn Store` in `read/`, which use the traits of queries there.
//!
//! To add a method: add it to the trait, write it in both backends (their numbered parameters are written differently,
//! so that the texts differ: the same text twice would be one file in `.sqlx`), run `scripts/sqlx-data`, and add its
//! test to `tests/store/`, which runs on both. Rules belong in `domain`; a backend holds statements.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

mod admin;
mod error;
#[cfg(feature = "postgres")]
mod postgres;
mod read;
#[cfg(feature = "sqlite")]
mod sqlite;
mod write;

pub use admin::adhoc::{QueryError, QueryPart, Session, Value, ask};
pub use admin::audit::AuditStore;
pub use admin::cells::{CellError, CellName, NewCell};
pub use admin::copies::{Contents, Copied, Copies, CopyError, DatabaseKind, Programs, StoredObject};
pub use admin::examination::{Examination, Trigger};
pub use admin::readers::{ReadOnlyRoles, ReaderError, RoleName, RoleOrder, RoleOutcome};
pub use admin::relocation::{
    CLOCK, ColumnValue, LEDGER, RELOCATED, RelocatedTable, RelocationSource, RelocationTarget, Retirement, TableRow,
    TableRows, TableTreatment, TargetState,
};
pub use admin::schema::Pending;
pub use admin::sessions::SessionStore;
pub use admin::tokens::TokenStore;
pub use admin::zones::ZoneStore;
pub use error::{DatabaseUrlError, OpenError, StoreError};
pub use read::acks::{AckFilter, AckReport};
pub use read::chats::{ChatFilter, ChatReport};
pub use read::events::{EventDetail, EventFilter, EventReport};
pub use read::feed::{Feed, FeedChat, FeedEvent, FeedFile, FeedFilter, FeedItem};
pub use read::instances::{InstanceReport, Occurrence};
pub use read::media::{JobFilter, JobReport, MediaFilter, MediaReports};
pub use read::messages::filter::MessageFilter;
pub use read::messages::{MessageDetail, MessageReport};
pub use read::reactions::ReactionFilter;
pub use read::statistics::StatisticsFilter;
pub use write::erasure::contract::{
    ErasureExport, ErasureOrder, ErasurePiece, ErasureReport, ErasureScan, ErasureStage, ErasureStore, ExportedErasure,
    SuspectedEvent, UnfinishedErasure,
};
pub use write::erasure::retention::{Overdue, OverdueQuery, RetentionStore};
pub use write::events::EventStore;
pub use write::forwards::{
    AckOwner, FailureState, ForwardClaim, ForwardCounts, ForwardFailure, ForwardReport, ForwardSave, ForwardSignal,
    ForwardState, ForwardStore, ReplayState, ResumeFrom,
};
pub use write::media::{JobClaim, MediaStore};
pub use write::objects::ObjectStore;
pub use write::persons::names::GivenName;
pub use write::persons::{KnownPersons, OwnerWord, PersonStore};
pub use write::rebuild::{Aim, Difference, RebuildStage};

use domain::page::position::Position;
use read::Queries;

/// Everything that a database does for buzon. What people and dashboards ask are methods of `dyn Store`, in `read/`.
#[async_trait]
pub trait Store:
    AuditStore
    + EventStore
    + ErasureStore
    + RetentionStore
    + ForwardStore
    + MediaStore
    + MediaReports
    + ObjectStore
    + PersonStore
    + SessionStore
    + TokenStore
    + ZoneStore
    + Availability
{
    /// Begins a question, on a connection of its own: all of its statements see the same rows.
    async fn read(&self) -> Result<Box<dyn Queries>, StoreError>;

    /// Returns the latest position of the ledger: no event or file that becomes visible later has its number or a lower
    /// one.
    async fn latest(&self) -> Result<Position, StoreError>;
}

/// The connections of a store to its database.
#[async_trait]
pub trait Availability: Send + Sync {
    /// Returns once the database has answered, on a connection that is not the writer's.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Closes the connections in an orderly way. The store cannot be used afterwards.
    async fn close(&self);
}

/// The database that holds the data.
#[derive(Clone)]
pub enum Database {
    #[cfg(feature = "sqlite")]
    Sqlite { path: std::path::PathBuf },
    #[cfg(feature = "postgres")]
    Postgres { url: secrecy::SecretString },
}

impl Database {
    pub fn parse(text: &str) -> Result<Self, DatabaseUrlError> {
        match text.split_once(':') {
            Some(("sqlite", path)) => Self::sqlite(path.strip_prefix("//").unwrap_or(path)),
            Some(("postgres" | "postgresql", _)) => Self::postgres(text),
            _ => Err(DatabaseUrlError::Scheme),
        }
    }

    #[cfg(feature = "sqlite")]
    fn sqlite(path: &str) -> Result<Self, DatabaseUrlError> {
        let usable = !path.is_empty() && !path.contains(['?', '\0']) && path != ":memory:";
        usable.then(|| Self::Sqlite { path: path.into() }).ok_or(DatabaseUrlError::SqlitePath)
    }

    #[cfg(not(feature = "sqlite"))]
    fn sqlite(_: &str) -> Result<Self, DatabaseUrlError> {
        Err(DatabaseUrlError::NotBuilt("SQLite"))
    }

    #[cfg(feature = "postgres")]
    fn postgres(text: &str) -> Result<Self, DatabaseUrlError> {
        postgres::url::check(text)?;
        Ok(Self::Postgres { url: text.to_owned().into() })
    }

    #[cfg(not(feature = "postgres"))]
    fn postgres(_: &str) -> Result<Self, DatabaseUrlError> {
        Err(DatabaseUrlError::NotBuilt("PostgreSQL"))
    }
}

impl Database {
    pub fn kind(&self) -> DatabaseKind {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite { .. } => DatabaseKind::Sqlite,
            #[cfg(feature = "postgres")]
            Self::Postgres { .. } => DatabaseKind::Postgres,
        }
    }

    /// Returns whether the URL contains a password, with which anybody who reads it can open the database.
    pub fn has_password(&self) -> bool {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite { .. } => false,
            #[cfg(feature = "postgres")]
            Self::Postgres { url } => postgres::url::has_password(url),
        }
    }

    /// Returns the folder of the database, if it is a file of this machine.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite { path } => {
                Some(path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new(".")))
            }
            #[cfg(feature = "postgres")]
            Self::Postgres { .. } => None,
        }
    }
}

/// Writes the URL without the password, and without the parameters, which may contain one too.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite { path } => write!(f, "sqlite://{}", path.display()),
            #[cfg(feature = "postgres")]
            Self::Postgres { url } => f.write_str(&postgres::url::shown(url)),
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({self})")
    }
}

/// The options of opening a store.
#[derive(Clone, Debug)]
pub struct Options {
    pub database: Database,
    pub pending: Pending,
    pub access: OpenMode,
    /// Accepts PostgreSQL with `fsync` or `full_page_writes` off, for managed services that protect the log themselves.
    pub allow_managed_pg: bool,
}

/// The purpose for which a store is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// The store is for a server. SQLite accepts one server at a time.
    Serve,
    /// The store is for short transactions beside a server.
    Beside,
}

/// Checks that a database exists. Only a server and `migrate` create a new one. A PostgreSQL server is not asked: it
/// says whether it has the database when a connection is made.
///
/// # Errors
/// [`OpenError::Absent`], mostly because a command runs in another folder than the service.
pub fn present(database: &Database) -> Result<(), OpenError> {
    match database {
        #[cfg(feature = "sqlite")]
        Database::Sqlite { path } => sqlite::present(path),
        #[cfg(feature = "postgres")]
        Database::Postgres { .. } => Ok(()),
    }
}

/// Opens the store, and brings its schema to this version or refuses.
pub async fn open(options: &Options) -> Result<Arc<dyn Store>, OpenError> {
    if options.access == OpenMode::Beside {
        present(&options.database)?;
    }
    match &options.database {
        #[cfg(feature = "sqlite")]
        Database::Sqlite { path } => {
            Ok(Arc::new(sqlite::SqliteStore::open(path, options.pending, options.access).await?))
        }
        #[cfg(feature = "postgres")]
        Database::Postgres { url } => {
            let (pending, access) = (options.pending, options.access);
            Ok(Arc::new(postgres::PostgresStore::open(url, pending, access, options.allow_managed_pg).await?))
        }
    }
}

/// Checks a database as a start would, without a change. A server may run at the same time.
#[cfg_attr(not(feature = "postgres"), expect(unused_variables, reason = "it is of PostgreSQL"))]
pub async fn examine(database: &Database, allow_managed_pg: bool) -> Result<Examination, OpenError> {
    match database {
        #[cfg(feature = "sqlite")]
        Database::Sqlite { path } => sqlite::admin::examination::examine(path).await,
        #[cfg(feature = "postgres")]
        Database::Postgres { url } => postgres::admin::examination::examine(url, allow_managed_pg).await,
    }
}

/// Brings the schema to this version, and returns how many migrations that took.
pub async fn migrate(database: &Database) -> Result<usize, OpenError> {
    match database {
        #[cfg(feature = "sqlite")]
        Database::Sqlite { path } => sqlite::migrate(path).await,
        #[cfg(feature = "postgres")]
        Database::Postgres { url } => postgres::migrate(url).await,
    }
}

/// Compares the tables of a database with its ledger, and with [`Aim::Rebuild`] corrects them. The schema must be of this
/// version.
pub async fn rebuild(
    options: &Options,
    aim: Aim,
    progress: &(dyn Fn(RebuildStage) + Send + Sync),
) -> Result<Vec<Difference>, OpenError> {
    present(&options.database)?;
    match &options.database {
        #[cfg(feature = "sqlite")]
        Database::Sqlite { path } => sqlite::write::rebuild::run(path, aim, progress).await,
        #[cfg(feature = "postgres")]
        Database::Postgres { url } => postgres::write::rebuild::run(url, options.allow_managed_pg, aim, progress).await,
    }
}

/// Makes a cell in a PostgreSQL database: a schema with the tables of this version, which Citus distributes if `citus` is set.
#[cfg_attr(not(feature = "postgres"), expect(unused_variables, reason = "cells are of PostgreSQL"))]
pub async fn init_cell(database: &Database, name: &CellName, citus: bool) -> Result<NewCell, CellError> {
    match database {
        #[cfg(feature = "sqlite")]
        Database::Sqlite { path } => Err(CellError::NotPostgres(path.display().to_string())),
        #[cfg(feature = "postgres")]
        Database::Postgres { url } => postgres::admin::cells::init(url, name, citus).await,
    }
}

/// Opens a connection for one ad-hoc query. A server may run at the same time.
pub async fn session(database: &Database) -> Result<Box<dyn Session>, OpenError> {
    present(database)?;
    match database {
        #[cfg(feature = "sqlite")]
        Database::Sqlite { path } => Ok(Box::new(sqlite::admin::adhoc::SqliteSession::open(path).await?)),
        #[cfg(feature = "postgres")]
        Database::Postgres { url } => Ok(Box::new(postgres::admin::adhoc::PostgresSession::open(url).await?)),
    }
}

/// Returns the management of the server's roles that can only read.
pub fn readers(database: &Database) -> Result<Box<dyn ReadOnlyRoles>, ReaderError> {
    match database {
        #[cfg(feature = "sqlite")]
        Database::Sqlite { path } => Err(ReaderError::NotPostgres(path.display().to_string())),
        #[cfg(feature = "postgres")]
        Database::Postgres { url } => Ok(Box::new(postgres::admin::readers::PostgresReadOnlyRoles(url.clone()))),
    }
}

/// Returns the means to copy a database, and to restore one from a copy.
#[cfg_attr(not(feature = "postgres"), expect(unused_variables, reason = "it is of PostgreSQL"))]
pub fn copies(database: &Database, programs: &Programs) -> Box<dyn Copies> {
    match database {
        #[cfg(feature = "sqlite")]
        Database::Sqlite { path } => Box::new(sqlite::admin::copies::SqliteCopies::new(path)),
        #[cfg(feature = "postgres")]
        Database::Postgres { url } => Box::new(postgres::admin::copies::PostgresCopies::new(url, programs)),
    }
}

/// Opens a SQLite database that is to move to PostgreSQL. No server may run.
///
/// # Errors
/// [`CopyError::Useless`] if the database is in PostgreSQL already.
pub async fn relocation_source(database: &Database) -> Result<Box<dyn RelocationSource>, CopyError> {
    match database {
        #[cfg(feature = "sqlite")]
        Database::Sqlite { path } => Ok(Box::new(sqlite::relocation::SqliteSource::open(path).await?)),
        #[cfg(feature = "postgres")]
        Database::Postgres { .. } => Err(CopyError::Useless(format!(
            "{database} is no SQLite database; buzon copy moves from SQLite to PostgreSQL"
        ))),
    }
}

/// Opens the PostgreSQL database that one is to move to.
///
/// # Errors
/// [`CopyError::Useless`] if the database is in SQLite.
#[cfg_attr(not(feature = "postgres"), expect(unused_variables, reason = "it is of PostgreSQL"))]
pub async fn relocation_target(
    database: &Database,
    allow_managed_pg: bool,
) -> Result<Box<dyn RelocationTarget>, CopyError> {
    match database {
        #[cfg(feature = "sqlite")]
        Database::Sqlite { .. } => Err(CopyError::Useless(format!(
            "{database} is a SQLite database; buzon copy moves from SQLite to PostgreSQL"
        ))),
        #[cfg(feature = "postgres")]
        Database::Postgres { url } => {
            Ok(Box::new(postgres::relocation::PostgresTarget::open(url, allow_managed_pg).await?))
        }
    }
}

/// Reads all of a copy, and returns its contents. Returns `None` if only the database's own programs can read the copy.
///
/// # Errors
/// [`CopyError::Damaged`] if the copy is damaged.
#[cfg_attr(not(feature = "sqlite"), expect(unused_variables, reason = "PostgreSQL's own programs read its copies"))]
pub async fn inspect_copy(kind: DatabaseKind, copy: &Path) -> Result<Option<Copied>, CopyError> {
    match kind {
        #[cfg(feature = "sqlite")]
        DatabaseKind::Sqlite => sqlite::admin::copies::inspect(copy).await.map(Some),
        _ => Ok(None),
    }
}

/// Its `#[test]`, which has a time limit, is that of the whole crate.
#[cfg(test)]
#[macro_use]
extern crate limit;
