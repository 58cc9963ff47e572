//! The audit: who took data out of here or erased it, and when.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use crate::time::timestamp::Timestamp;

/// The time for which an entry is kept: two years.
pub const KEPT: Duration = Duration::from_secs(731 * 24 * 60 * 60);

/// A deed that goes into the audit. Neither its words nor its detail contain a phone number or an id of a person.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditedDeed {
    pub at: Timestamp,
    pub actor: AuditActor,
    /// A word for what was done, such as `export messages`.
    pub action: String,
    /// The pseudonym of the person or the chat that it is about, if it is about one.
    pub subject_hmac: Option<String>,
    /// A JSON object with the rest.
    pub detail: Value,
}

/// The one who does something that goes into the audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditActor {
    /// Somebody at the command line.
    Command,
    /// The bearer of the token that opens everything.
    Owner,
    /// The bearer of a token with this name.
    Token(String),
}

impl fmt::Display for AuditActor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command => f.write_str("command"),
            Self::Owner => f.write_str("owner"),
            Self::Token(name) => write!(f, "token:{name}"),
        }
    }
}

/// A row of the audit, as it is read.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEntry {
    pub seq: i64,
    pub at: Timestamp,
    pub actor: String,
    pub action: String,
    pub subject_hmac: Option<String>,
    /// JSON.
    pub detail: Option<String>,
}
