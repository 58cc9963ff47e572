//! The only place with SQL. A contract for each aggregate ([`EventStore`] …), joined as [`Store`], and its twins
//! `sqlite/` and `postgres/`.
//!
//! To add a method: add it to the aggregate's contract, write it in both backends (their numbered
//! parameters are written differently, so that the texts differ: the same text twice would be one file in `.sqlx`), run
//! `scripts/sqlx-data`, and add its test to `tests/store/`, which runs on both. Rules belong in
//! `domain`; a backend holds statements.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

mod acks;
mod chats;
mod error;
mod events;
mod media;
mod messages;
#[cfg(feature = "postgres")]
mod postgres;
mod reactions;
mod record;
mod schema;
#[cfg(feature = "sqlite")]
mod sqlite;
mod writer;

pub use error::StoreError;
pub use events::EventStore;
pub use schema::Pending;

/// Everything that a database does for buzon.
pub trait Store: EventStore + Availability {}

impl<T: EventStore + Availability> Store for T {}

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
    Sqlite { path: PathBuf },
    Postgres { url: SecretString },
}

/// Why a text is no database URL.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseUrlError {
    #[error("expected sqlite://PATH or postgres://USER:PASSWORD@HOST/DATABASE")]
    Scheme,
    #[error("SQLite needs the path of a file, without parameters: sqlite:///var/lib/buzon/buzon.db")]
    SqlitePath,
    #[error("it is no PostgreSQL URL: {0}")]
    Postgres(String),
    #[error("a user or password with other characters than letters and digits is written with %: / is %2F, @ is %40")]
    Unescaped,
    #[error("there is no parameter {0}")]
    Parameter(String),
    #[error("this buzon was built without {0}")]
    NotBuilt(&'static str),
}

/// What may follow the `?` of a PostgreSQL URL: the driver ignores all else, and logs its value.
const POSTGRES_PARAMETERS: [&str; 12] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "user",
];

impl Database {
    pub fn parse(text: &str) -> Result<Self, DatabaseUrlError> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            let usable = !path.is_empty() && !path.contains(['?', '\0']) && path != ":memory:";
            return match (usable, cfg!(feature = "sqlite")) {
                (true, true) => Ok(Self::Sqlite { path: path.into() }),
                (true, false) => Err(DatabaseUrlError::NotBuilt("SQLite")),
                (false, _) => Err(DatabaseUrlError::SqlitePath),
            };
        }
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(DatabaseUrlError::Scheme);
        }
        let url = Url::parse(text).map_err(|error| DatabaseUrlError::Postgres(error.to_string()))?;
        // What stands before an unescaped slash or number sign ends up there, the password among it.
        if url.path().contains('@') || url.fragment().is_some() {
            return Err(DatabaseUrlError::Unescaped);
        }
        if let Some((key, _)) = url.query_pairs().find(|(key, _)| !POSTGRES_PARAMETERS.contains(&key.as_ref())) {
            return Err(DatabaseUrlError::Parameter(key.escape_debug().to_string()));
        }
        #[cfg(feature = "postgres")]
        return postgres::options(text)
            .map(|_| Self::Postgres { url: text.to_owned().into() })
            .map_err(|error| DatabaseUrlError::Postgres(error.to_string()));
        #[cfg(not(feature = "postgres"))]
        return Err(DatabaseUrlError::NotBuilt("PostgreSQL"));
    }
}

/// Without the password, and without parameters, which may hold one too.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite { path } => write!(f, "sqlite://{}", path.display()),
            Self::Postgres { url } => {
                let url = Url::parse(url.expose_secret()).map_err(|_| fmt::Error)?;
                let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
                let host = url.host_str().unwrap_or_default();
                write!(f, "postgres://{host}{port}{path}", path = url.path())
            }
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
    /// Take PostgreSQL with `fsync` or `full_page_writes` off: for managed services that guard the log themselves.
    pub allow_managed_pg: bool,
}

/// Why a store could not be opened. Nothing in the database was changed, unless a migration failed midway.
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
    #[error("another buzon{holder} works on {path}; SQLite takes one server at a time")]
    Locked { path: String, holder: String },
    #[error("cannot use {path}: {reason}")]
    File { path: String, reason: String },
    #[error(transparent)]
    Url(#[from] DatabaseUrlError),
}

/// Opens the store, and brings its schema to this version or refuses.
pub async fn open(options: &Options) -> Result<Arc<dyn Store>, OpenError> {
    match &options.database {
        #[cfg(feature = "sqlite")]
        Database::Sqlite { path } => Ok(Arc::new(sqlite::SqliteStore::open(path, options.pending).await?)),
        #[cfg(not(feature = "sqlite"))]
        Database::Sqlite { .. } => Err(DatabaseUrlError::NotBuilt("SQLite").into()),
        #[cfg(feature = "postgres")]
        Database::Postgres { url } => {
            let url = url.expose_secret();
            Ok(Arc::new(postgres::PostgresStore::open(url, options.pending, options.allow_managed_pg).await?))
        }
        #[cfg(not(feature = "postgres"))]
        Database::Postgres { .. } => Err(DatabaseUrlError::NotBuilt("PostgreSQL").into()),
    }
}

/// Brings the schema to this version, and returns how many migrations that took.
pub async fn migrate(database: &Database) -> Result<usize, OpenError> {
    match database {
        #[cfg(feature = "sqlite")]
        Database::Sqlite { path } => sqlite::migrate(path).await,
        #[cfg(not(feature = "sqlite"))]
        Database::Sqlite { .. } => Err(DatabaseUrlError::NotBuilt("SQLite").into()),
        #[cfg(feature = "postgres")]
        Database::Postgres { url } => postgres::migrate(url.expose_secret()).await,
        #[cfg(not(feature = "postgres"))]
        Database::Postgres { .. } => Err(DatabaseUrlError::NotBuilt("PostgreSQL").into()),
    }
}
