//! Roles of PostgreSQL that read and do not write, for the programs that people ask the database with.

use std::fmt;

use async_trait::async_trait;
use secrecy::SecretString;

use crate::StoreError;

/// The contract of such roles. SQLite has none.
#[async_trait]
pub trait ReadOnlyRoles: Send + Sync {
    /// Makes, changes or removes a role, all or nothing; with `only_print`, only says how.
    async fn order(&self, name: &RoleName, order: &RoleOrder, only_print: bool) -> Result<RoleOutcome, ReaderError>;
}

/// A name that a role can have: an identifier of at most 63 bytes that is not PostgreSQL's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleName(String);

impl RoleName {
    /// Bytes of an identifier in PostgreSQL.
    const MAX: usize = 63;

    pub fn parse(text: &str) -> Result<Self, ReaderError> {
        let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let usable = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && text.chars().all(known)
            && text.len() <= Self::MAX
            && !text.starts_with("pg_")
            && !["public", "none"].contains(&text);
        usable.then(|| Self(text.to_owned())).ok_or(ReaderError::Name)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is to become of a role.
#[derive(Clone, Debug)]
pub enum RoleOrder {
    /// Make it, or give it another password.
    Make {
        password: SecretString,
    },
    Drop,
}

/// What was or would be done. Not to be logged.
pub struct RoleOutcome {
    /// The statements, one in each, without a semicolon at the end. One of them holds the password.
    pub statements: Vec<String>,
    /// Further ones, which only a superuser may run, and which were not.
    pub left: Vec<String>,
    /// Where the role connects to, with its password; `None` of one that was dropped.
    pub url: Option<SecretString>,
}

#[derive(Debug, thiserror::Error)]
pub enum ReaderError {
    #[error(
        "a role has a name of at most 63 small letters, digits and _, which begins with none of the digits and not with pg_"
    )]
    Name,
    #[error("SQLite has no roles: whoever can read the file can read it all; open it with: sqlite3 -readonly {0}")]
    NotPostgres(String),
    #[error("the role {0} is there and was not made by this command; choose another name")]
    Foreign(RoleName),
    #[error("there is no role {0}")]
    Missing(RoleName),
    #[error("the database's user may not do that ({0}); see the statements for an administrator with --print")]
    Denied(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ReaderError {
    /// Whether other words would help, rather than another try.
    pub fn is_wrong_use(&self) -> bool {
        matches!(self, Self::Name | Self::NotPostgres(_) | Self::Foreign(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_plain_identifier() {
        for name in ["reader", "_r", "metabase_2"] {
            assert_eq!(RoleName::parse(name).unwrap().as_str(), name);
        }
        let long = "a".repeat(64);
        for name in ["", "2r", "a b", "a\"b", "Reader", "pg_monitor", "public", "none", "señal", "a;b", &long] {
            assert!(RoleName::parse(name).is_err(), "{name}");
        }
    }
}
