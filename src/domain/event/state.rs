//! The states of events.

/// The result of interpreting an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventState {
    /// The event was understood, and the other tables hold what it says.
    Applied,
    /// The type of the event is unknown. It is in the ledger only.
    Ignored,
    /// The event cannot be used. It is in the ledger only, with the reason.
    Quarantined,
    /// The event was of a person who was erased. Only its arrival is left.
    Erased,
    /// The event is older than what is kept. Only its arrival is left, by which a repeat is recognised.
    Expired,
}

impl EventState {
    pub const ALL: [Self; 5] = [Self::Applied, Self::Ignored, Self::Quarantined, Self::Erased, Self::Expired];

    /// Returns the word for the column `state`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Ignored => "ignored",
            Self::Quarantined => "quarantined",
            Self::Erased => "erased",
            Self::Expired => "expired",
        }
    }

    /// Returns the state that has this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}
