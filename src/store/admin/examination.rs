//! An examination of a database that changes nothing.

use tracing::warn;

use domain::time::timestamp::Timestamp;

/// The result of an examination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examination {
    /// True if the database has no tables or does not exist. The first start makes it.
    pub is_new: bool,
    /// The number of migrations that have not run.
    pub migrations_missing: usize,
    /// The id of the database; `None` if its schema is not of this version.
    pub id: Option<String>,
    /// The time by the server's clock, if there is a server.
    pub server_time: Option<Timestamp>,
    /// The triggers on its tables. buzon has none of its own.
    pub triggers: Vec<Trigger>,
}

/// A trigger that an owner of the database has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    pub name: String,
    pub table: String,
}

/// The number of triggers that are named.
const NAMED: usize = 5;

impl Trigger {
    /// Returns a list for people, such as `see on events, …`.
    pub fn list(triggers: &[Self]) -> String {
        let named = triggers.iter().take(NAMED);
        let mut names = Vec::from_iter(named.map(|it| format!("{} on {}", it.name.escape_debug(), it.table)));
        if triggers.len() > NAMED {
            names.push(format!("and {} more", triggers.len() - NAMED));
        }
        names.join(", ")
    }
}

/// Warns of triggers at a start. A trigger that only tells others of a row is no mistake, so the start is not refused.
pub(crate) fn warn_of(triggers: &[Trigger]) {
    if !triggers.is_empty() {
        warn!(
            triggers = Trigger::list(triggers),
            "the tables have triggers that are not buzon's; they run within its transactions: events whose rows they \
             drop are answered 503, and those that they refuse are quarantined"
        );
    }
}
