//! A look at a database that changes nothing of it.

use crate::domain::timestamp::Timestamp;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examination {
    /// Whether it has no table yet, or is not there: the first start makes it.
    pub is_new: bool,
    /// How many migrations have not run.
    pub migrations_missing: usize,
    /// Which database it is; `None` where its schema is not of this version.
    pub id: Option<String>,
    /// The time by the server's clock, where there is a server.
    pub server_time: Option<Timestamp>,
}
