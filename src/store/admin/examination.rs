//! A look at a database that changes nothing of it.

use tracing::warn;

use domain::time::timestamp::Timestamp;

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
    /// Triggers on its tables. None is buzon's.
    pub triggers: Vec<Trigger>,
}

/// A trigger that somebody has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    pub name: String,
    pub table: String,
}

/// So many are named.
const NAMED: usize = 5;

impl Trigger {
    /// For people: `see on events, …`.
    pub fn list(triggers: &[Self]) -> String {
        let named = triggers.iter().take(NAMED);
        let mut names = Vec::from_iter(named.map(|it| format!("{} on {}", it.name.escape_debug(), it.table)));
        if triggers.len() > NAMED {
            names.push(format!("and {} more", triggers.len() - NAMED));
        }
        names.join(", ")
    }
}

/// Said at a start. A trigger that only tells others of a row is nobody's mistake, so it is no reason to refuse.
pub(crate) fn warn_of(triggers: &[Trigger]) {
    if !triggers.is_empty() {
        warn!(
            triggers = Trigger::list(triggers),
            "the tables have triggers that are not buzon's; they run within its transactions: events whose rows they \
             drop are answered 503, and those that they refuse are quarantined"
        );
    }
}
