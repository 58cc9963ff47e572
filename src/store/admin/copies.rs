//! Copies of a whole database as one file, for backups.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::OpenError;
use crate::StoreError;
use domain::media::object_key::ObjectKey;

/// The kind of database that a copy is of. It can be restored into no other kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DatabaseKind {
    Sqlite,
    Postgres,
}

impl DatabaseKind {
    /// Returns the name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }

    /// Returns the name in settings and labels.
    pub fn word(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

/// The contents of a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    pub kind: DatabaseKind,
    /// The name of the database in the marker of its media store.
    pub database_id: String,
    /// The number of the latest migration.
    pub schema_version: i64,
    /// The copy holds every event up to this number.
    pub last_seq: i64,
    /// Set for PostgreSQL only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres: Option<Origin>,
}

/// The origin of a copy of PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The schema of the tables.
    pub schema: String,
    /// The server's major version.
    pub server: i32,
    /// The major version of the `pg_dump` that wrote the copy.
    pub pg_dump: i32,
}

/// A file that the media store must have according to the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredObject {
    pub key: ObjectKey,
    /// The size in bytes.
    pub size: u64,
}

/// A copy: its contents, and the media files that are stored according to it, ordered by their keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    pub contents: Contents,
    pub objects: Vec<StoredObject>,
}

/// The place of PostgreSQL's own programs.
#[derive(Clone, Debug, Default)]
pub struct Programs {
    /// The only folder in which they are looked for, if it is set.
    pub folder: Option<PathBuf>,
}

/// The contract of backups: makes copies of a database beside its server, and restores them.
#[async_trait]
pub trait Copies: Send {
    /// Makes sure that a copy can be made, excludes other backups of this database until this is dropped, and returns
    /// the id of the database.
    ///
    /// # Errors
    /// [`CopyError::Useless`] if another backup is under way, or a program is missing.
    async fn hold(&mut self) -> Result<String, CopyError>;

    /// Writes everything that was committed when this began to the file `to`, which must not exist. The server goes on
    /// writing meanwhile. Reports how many bytes are written.
    async fn copy(&mut self, to: &Path, written: &(dyn Fn(u64) + Send + Sync)) -> Result<Copied, CopyError>;

    /// Makes sure that a copy with these contents can be restored, and reserves the place. What an interrupted restore
    /// left behind does not matter.
    ///
    /// # Errors
    /// [`CopyError::Useless`] if the place is not empty, or is of another kind than the copy.
    async fn take_place(&mut self, contents: &Contents) -> Result<(), CopyError>;

    /// Makes a database from a copy, and gives it an id and a new epoch. The database is complete when this returns; a
    /// copy that the database refuses leaves nothing. A database without its new id cannot be opened.
    async fn restore(&mut self, from: File, contents: &Contents, database_id: &str) -> Result<(), CopyError>;
}

/// Errors of making a copy, or of restoring one.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Trying again does not help until something else is done.
    #[error("{0}")]
    Useless(String),
    /// The copy does not hold what was written.
    #[error("the copy of the database is damaged: {0}")]
    Damaged(String),
    #[error("{0}")]
    Failed(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<StoreError> for CopyError {
    fn from(error: StoreError) -> Self {
        Self::Open(error.into())
    }
}

impl From<sqlx::Error> for CopyError {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl CopyError {
    /// Returns the error of a backup that is under way already, with its holder if that is known.
    pub(crate) fn busy(holder: Option<&str>) -> Self {
        let holder = holder.map(|holder| format!(": {holder}")).unwrap_or_default();
        Self::Useless(format!("another backup or restore of this database is under way{holder}"))
    }

    pub(crate) fn other_kind(of: DatabaseKind, here: DatabaseKind) -> Self {
        let (of, here) = (of.name(), here.name());
        Self::Useless(format!("the backup is of {of}, and the database here is {here}; set BUZON_DATABASE_URL"))
    }

    /// Returns the error of a place that is not empty. An empty database that a running buzon may have made counts too.
    pub(crate) fn not_empty(what: &str) -> Self {
        Self::Useless(format!("{what} is not empty; a backup is restored into an empty place only"))
    }
}

/// Refuses a copy that a newer buzon made.
pub(crate) fn known(found: i64, known: Option<i64>) -> Result<(), CopyError> {
    let known = known.unwrap_or_default();
    if found > known { Err(OpenError::NewerSchema { found, known }.into()) } else { Ok(()) }
}

/// The columns of `media` that say where the file is.
pub(crate) struct ObjectRow {
    pub(crate) object_key: String,
    pub(crate) size: i64,
}

/// Reads the objects of these rows.
pub(crate) fn objects(rows: Vec<ObjectRow>) -> Result<Vec<StoredObject>, CopyError> {
    let object = |row: ObjectRow| {
        Some(StoredObject { key: ObjectKey::parse(&row.object_key)?, size: row.size.try_into().ok()? })
    };
    let unreadable = || CopyError::Failed("a row of media holds an unusable object_key or size".to_owned());
    rows.into_iter().map(|row| object(row).ok_or_else(unreadable)).collect()
}
