//! Read-only roles of PostgreSQL, for the programs with which people query the database.

use std::fmt;

use async_trait::async_trait;
use secrecy::SecretString;

use crate::StoreError;

/// The contract of read-only roles. SQLite has none.
#[async_trait]
pub trait ReadOnlyRoles: Send + Sync {
    /// Makes, changes or removes a role in one transaction; with `only_print`, only returns the statements.
    async fn order(&self, name: &RoleName, order: &RoleOrder, only_print: bool) -> Result<RoleOutcome, ReaderError>;
}

/// The name of a role: an identifier of at most 63 bytes that PostgreSQL has not reserved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleName(String);

impl RoleName {
    /// The maximum of bytes of an identifier in PostgreSQL.
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

/// An order to make or to drop a role.
#[derive(Clone, Debug)]
pub enum RoleOrder {
    /// Make the role, or give it another password.
    Make {
        password: SecretString,
    },
    Drop,
}

/// The statements that ran, or would run. They contain a password, and must not be logged.
pub struct RoleOutcome {
    /// The statements, without semicolons at the end. One of them holds the password.
    pub statements: Vec<String>,
    /// Further statements, which only a superuser may run. They were not run.
    pub left: Vec<String>,
    /// The URL with which the role connects, with its password; `None` if the role was dropped.
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
    /// True if the command must be written differently, so that another try does not help.
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
