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
pub use admin::copies::{Contents, Copied, Copies, CopyError, DatabaseKind, Programs, StoredObject};
pub use admin::examination::{Examination, Trigger};
pub use admin::readers::{ReadOnlyRoles, ReaderError, RoleName, RoleOrder, RoleOutcome};
pub use admin::schema::Pending;
pub use admin::tokens::TokenStore;
pub use admin::zones::ZoneStore;
pub use error::{DatabaseUrlError, OpenError, StoreError};
pub use read::acks::{AckFilter, AckReport};
pub use read::chats::{ChatFilter, ChatReport};
pub use read::events::{EventDetail, EventFilter, EventReport};
pub use read::feed::{Feed, FeedEvent, FeedFile, FeedFilter, FeedItem};
pub use read::instances::{InstanceReport, Occurrence};
pub use read::media::{JobFilter, JobReport, MediaFilter, MediaReports};
pub use read::messages::{MessageDetail, MessageFilter, MessageReport};
pub use read::reactions::ReactionFilter;
pub use write::events::EventStore;
pub use write::media::{JobClaim, MediaStore};
pub use write::objects::ObjectStore;
pub use write::rebuild::{Aim, Difference, RebuildStage};

use read::Queries;

/// Everything that a database does for buzon. What people and dashboards ask are methods of `dyn Store`, in `read/`.
#[async_trait]
pub trait Store: EventStore + MediaStore + MediaReports + ObjectStore + TokenStore + ZoneStore + Availability {
    /// Begins a question, on a connection of its own: all of its statements see the same rows.
    async fn read(&self) -> Result<Box<dyn Queries>, StoreError>;

    /// Returns the latest number of the ledger: no event or file that becomes visible later has this number or a lower
    /// one.
    async fn latest_seq(&self) -> Result<i64, StoreError>;
}

/// Whether the database is there.
#[async_trait]
pub trait Availability: Send + Sync {
    /// Asks the database for an answer, on a connection that is not the writer's.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Closes the connections in an orderly way. The store cannot be used afterwards.
    async fn close(&self);
}

/// Which database holds the data.
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

    /// True if the URL holds a password, so that whoever reads it can open the database.
    pub fn has_password(&self) -> bool {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite { .. } => false,
            #[cfg(feature = "postgres")]
            Self::Postgres { url } => postgres::url::has_password(url),
        }
    }

    /// Where this machine keeps it, if it does and that is known.
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

/// Without the password, and without parameters, which may hold one too.
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

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct Options {
    pub database: Database,
    pub pending: Pending,
    pub access: OpenMode,
    /// Take PostgreSQL with `fsync` or `full_page_writes` off: for managed services that guard the log themselves.
    pub allow_managed_pg: bool,
}

/// What a store is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// To serve. SQLite takes one server at a time.
    Serve,
    /// To work in short transactions beside a server.
    Beside,
}

/// Makes sure that a database is there, of which only a server and `migrate` make a new one. Whether a PostgreSQL
/// server has one, it says when it is connected to.
///
/// # Errors
/// [`OpenError::Absent`], mostly where a command is run in another folder than the service.
pub fn present(database: &Database) -> Result<(), OpenError> {
    match database {
        #[cfg(feature = "sqlite")]
        Database::Sqlite { path } => sqlite::present(path),
        #[cfg(feature = "postgres")]
        Database::Postgres { .. } => Ok(()),
    }
}

/// Opens the store, and brings its schema to this version or refuses. What a migration leaves to be worked out is
/// worked out too, which takes its time when there are many messages.
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

/// Looks at a database as a start would, and changes nothing; beside a server too.
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

/// Compares the tables of a database, of this version's schema, with what its ledger says; with [`Aim::Rebuild`] makes
/// them that.
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

/// Opens a connection for one query of a person, beside a server.
pub async fn session(database: &Database) -> Result<Box<dyn Session>, OpenError> {
    present(database)?;
    match database {
        #[cfg(feature = "sqlite")]
        Database::Sqlite { path } => Ok(Box::new(sqlite::admin::adhoc::SqliteSession::open(path).await?)),
        #[cfg(feature = "postgres")]
        Database::Postgres { url } => Ok(Box::new(postgres::admin::adhoc::PostgresSession::open(url).await?)),
    }
}

/// The roles of the database's server that read and do not write.
pub fn readers(database: &Database) -> Result<Box<dyn ReadOnlyRoles>, ReaderError> {
    match database {
        #[cfg(feature = "sqlite")]
        Database::Sqlite { path } => Err(ReaderError::NotPostgres(path.display().to_string())),
        #[cfg(feature = "postgres")]
        Database::Postgres { url } => Ok(Box::new(postgres::admin::readers::PostgresReadOnlyRoles(url.clone()))),
    }
}

/// The means of making copies of a database, and a database of a copy.
#[cfg_attr(not(feature = "postgres"), expect(unused_variables, reason = "it is of PostgreSQL"))]
pub fn copies(database: &Database, programs: &Programs) -> Box<dyn Copies> {
    match database {
        #[cfg(feature = "sqlite")]
        Database::Sqlite { path } => Box::new(sqlite::admin::copies::SqliteCopies::new(path)),
        #[cfg(feature = "postgres")]
        Database::Postgres { url } => Box::new(postgres::admin::copies::PostgresCopies::new(url, programs)),
    }
}

/// What a copy holds, after all of it was read. `None` where a copy is of use to its database's own programs alone.
///
/// # Errors
/// [`CopyError::Damaged`] if it is not sound.
#[cfg_attr(not(feature = "sqlite"), expect(unused_variables, reason = "PostgreSQL's own programs read its copies"))]
pub async fn inspect_copy(kind: DatabaseKind, copy: &Path) -> Result<Option<Copied>, CopyError> {
    match kind {
        #[cfg(feature = "sqlite")]
        DatabaseKind::Sqlite => sqlite::admin::copies::inspect(copy).await.map(Some),
        _ => Ok(None),
    }
}
