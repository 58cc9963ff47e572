//! Cells of PostgreSQL: schemas of one database, each of which is a database of buzon of its own. Whoever needs more than one
//! writer splits the instances among several.

use std::fmt;

use secrecy::SecretString;

use crate::OpenError;

/// The name of a cell: that of its schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellName(String);

impl CellName {
    /// The maximum of bytes. Citus adds a number to the names of tables, and the setting `cell` takes as many.
    const MAX: usize = 32;

    pub fn parse(text: &str) -> Result<Self, CellError> {
        let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let usable = text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.chars().all(known)
            && text.len() <= Self::MAX
            && !text.starts_with("pg_")
            && !["public", "information_schema", "citus"].contains(&text);
        usable.then(|| Self(text.to_owned())).ok_or(CellError::Name)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CellName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A cell that is ready for a server.
pub struct NewCell {
    /// Its URL. It holds the password of the URL that it was made with.
    pub url: SecretString,
    /// The node of Citus that has its tables, as `HOST:PORT`.
    pub worker: Option<String>,
}

/// Errors of making a cell.
#[derive(Debug, thiserror::Error)]
pub enum CellError {
    #[error(
        "a cell's name is 1 to {} small letters, digits and _, begins with a letter, and is no name of PostgreSQL's own",
        CellName::MAX
    )]
    Name,
    #[error(
        "{0} is a file, which holds one cell; cells are schemas of a PostgreSQL database, which database_url names"
    )]
    NotPostgres(String),
    #[error("this database has no Citus: run CREATE EXTENSION citus on its coordinator, or leave out --citus")]
    NoCitus,
    #[error(transparent)]
    Open(#[from] OpenError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_has_a_name_that_needs_no_quotes_and_is_not_taken() {
        for name in ["a", "cell1", "sales_2", &"c".repeat(32)] {
            assert_eq!(CellName::parse(name).unwrap().as_str(), name);
        }
        for name in ["", "1a", "_a", "A", "a-b", "a b", "ñ", "public", "pg_x", "citus", &"c".repeat(33)] {
            assert!(matches!(CellName::parse(name), Err(CellError::Name)), "{name}");
        }
    }
}
