//! Forwards, which hand events on to other receivers. A forward walks over the ledger: [`selection`] decides what it
//! sends, [`max_age`] until when, and [`lane`] in which order. [`answer`] and [`retry`] say what follows from an answer, and
//! [`cursor`] remembers how far it has come.

use std::fmt;
use std::sync::Arc;

pub mod answer;
pub mod cursor;
pub mod destination;
pub mod lane;
pub mod max_age;
pub mod retry;
pub mod selection;

/// The header with an event's public id. A receiver recognises repeats by it, and buzon what was forwarded already.
pub const EVENT_HEADER: &str = "x-buzon-event";
/// The header with the number of the attempt, from 1.
pub const ATTEMPT_HEADER: &str = "x-buzon-attempt";
/// The header of events that the owner has sent again.
pub const REPLAY_HEADER: &str = "x-buzon-replay";

/// The header that says that an event is ours and not the gateway's, and what it is.
pub const KIND_HEADER: &str = "x-buzon-kind";

/// The reason of a pause by the owner.
pub const PAUSED_BY_OWNER: &str = "owner";
/// The reason of the pause after a restore, after which a forward would send again what it has sent since the copy.
pub const PAUSED_BY_RESTORE: &str = "restored";
/// The reason of the pause after a copy to another database, whose settings may name another receiver.
pub const PAUSED_BY_COPY: &str = "copied";

/// The types of events that begin so are buzon's own. Nobody else may send them.
pub const RESERVED_TYPES: &str = "buzon_";

/// The type of the events with which buzon says that a person was erased. Only forwards that list it get them.
pub const ERASED: &str = "buzon_erased";

/// Returns the value of [`KIND_HEADER`] for an event of ours.
pub fn kind(event_type: Option<&str>) -> Option<&'static str> {
    (event_type == Some(ERASED)).then_some("erasure")
}

/// The name of a forward: up to 32 lower-case letters, digits, `-` and `_`. It is a label of the metrics.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ForwardName(Arc<str>);

/// The error for a text that cannot name a forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a forward's name has 1 to {} lower-case letters, digits, - or _", ForwardName::MAX_BYTES)]
pub struct InvalidForwardName;

impl ForwardName {
    const MAX_BYTES: usize = 32;

    pub fn new(name: &str) -> Result<Self, InvalidForwardName> {
        let is_usual = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        let usable = !name.is_empty() && name.len() <= Self::MAX_BYTES && name.bytes().all(is_usual);
        usable.then(|| Self(name.into())).ok_or(InvalidForwardName)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ForwardName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_short_plain_word() {
        for name in ["bot", "n8n-flow_2", &"x".repeat(32)] {
            assert!(ForwardName::new(name).is_ok(), "{name}");
        }
        for name in ["", "Bot", "a b", "ñ", "a/b", &"x".repeat(33)] {
            assert_eq!(ForwardName::new(name), Err(InvalidForwardName), "{name}");
        }
    }
}
