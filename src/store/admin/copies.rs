//! A whole database as one file, for backups.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{OpenError, StoreError};
use domain::media::object_key::ObjectKey;

/// Which database a copy is of: it can be restored into no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DatabaseKind {
    Sqlite,
    Postgres,
}

impl DatabaseKind {
    /// As a person calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }

    /// As a setting and a label call it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

/// What a copy holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    pub kind: DatabaseKind,
    /// The name of the database in the marker of its media store.
    pub database_id: String,
    /// The number of the latest migration.
    pub schema_version: i64,
    /// Every event up to this one is in it.
    pub last_seq: i64,
    /// Of PostgreSQL alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres: Option<Origin>,
}

/// Whence a copy of PostgreSQL comes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Where the tables are.
    pub schema: String,
    /// The server's major version.
    pub server: i32,
    /// That of the `pg_dump` which wrote the copy.
    pub pg_dump: i32,
}

/// A file that the media store must have, as the database says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredObject {
    pub key: ObjectKey,
    /// In bytes.
    pub size: u64,
}

/// A copy: what it holds, and the media files of which it says that they are stored, by their keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    pub contents: Contents,
    pub objects: Vec<StoredObject>,
}

/// Where PostgreSQL's own programs are.
#[derive(Clone, Debug, Default)]
pub struct Programs {
    /// In this folder and nowhere else; without one they are looked for.
    pub folder: Option<PathBuf>,
}

/// Makes copies of a database beside its server, and makes a database of a copy.
#[async_trait]
pub trait Copies: Send {
    /// Makes sure that a copy can be made, keeps other backups of this database away until this is dropped, and
    /// returns the name of the database.
    ///
    /// # Errors
    /// [`CopyError::Useless`] if another backup is under way, or a program is missing.
    async fn hold(&mut self) -> Result<String, CopyError>;

    /// Writes everything that was committed when this began to the file `to`, which must not be there. The server goes
    /// on writing meanwhile. Tells how many bytes are written.
    async fn copy(&mut self, to: &Path, written: &(dyn Fn(u64) + Send + Sync)) -> Result<Copied, CopyError>;

    /// Makes sure that a copy with these contents can be restored, and takes the place. What a restore left behind that
    /// was broken off is no hindrance.
    ///
    /// # Errors
    /// [`CopyError::Useless`] if the place is not empty, or not of the copy's kind.
    async fn take_place(&mut self, contents: &Contents) -> Result<(), CopyError>;

    /// Makes the database of a copy, and gives it a name. All of it is there when this returns; a copy
    /// that the database refuses leaves nothing. Nobody can open one that has not got its name yet.
    async fn restore(&mut self, from: File, contents: &Contents, database_id: &str) -> Result<(), CopyError>;
}

/// Why there is no copy, or no database of one.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Trying again is useless until something else is done.
    #[error("{0}")]
    Useless(String),
    /// The copy is not what was written.
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

impl CopyError {
    /// `holder` is who is at it, where that is known.
    pub(crate) fn busy(holder: Option<&str>) -> Self {
        let holder = holder.map(|holder| format!(": {holder}")).unwrap_or_default();
        Self::Useless(format!("another backup or restore of this database is under way{holder}"))
    }

    pub(crate) fn other_kind(of: DatabaseKind, here: DatabaseKind) -> Self {
        let (of, here) = (of.name(), here.name());
        Self::Useless(format!("the backup is of {of}, and the database here is {here}; set BUZON_DATABASE_URL"))
    }

    /// An empty database that a running buzon might have made meanwhile is no place either.
    pub(crate) fn not_empty(what: &str) -> Self {
        Self::Useless(format!("{what} is not empty; a backup is restored into an empty place only"))
    }
}

/// Refuses a copy that a newer buzon made.
pub(crate) fn known(found: i64, known: Option<i64>) -> Result<(), CopyError> {
    let known = known.unwrap_or_default();
    if found > known { Err(OpenError::NewerSchema { found, known }.into()) } else { Ok(()) }
}

/// A row of `media` that says where its file is.
pub(crate) struct ObjectRow {
    pub(crate) object_key: String,
    pub(crate) size: i64,
}

/// What we wrote.
pub(crate) fn objects(rows: Vec<ObjectRow>) -> Result<Vec<StoredObject>, CopyError> {
    let object = |row: ObjectRow| {
        Some(StoredObject { key: ObjectKey::parse(&row.object_key)?, size: row.size.try_into().ok()? })
    };
    let unreadable = || CopyError::Failed("a row of media holds an unusable object_key or size".to_owned());
    rows.into_iter().map(|row| object(row).ok_or_else(unreadable)).collect()
}
