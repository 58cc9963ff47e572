//! Forwards: their places in the ledger, and the events that they could not send.

use async_trait::async_trait;
use serde::Serialize;

use crate::StoreError;
use domain::forward::ForwardName;
use domain::forward::cursor::ForwardCursor;
use domain::forward::retry::AttemptTally;
use domain::forward::selection::LedgerHead;
use domain::instance::InstanceId;
use domain::time::timestamp::Timestamp;

/// The maximum number of events of a forward that were given up and are remembered. The oldest are forgotten first.
pub(crate) const DEAD_KEPT: i64 = 10_000;
/// The maximum lag in events that is counted.
pub(crate) const COUNTED_LAG: i64 = 100_000;

/// The contract of forwards.
#[async_trait]
pub trait ForwardStore: Send + Sync {
    /// Makes a forward known. A new one begins after the latest event.
    async fn register_forward(&self, name: &ForwardName) -> Result<(), StoreError>;

    /// Leases a forward that is not paused. No two callers ever hold the same one.
    async fn claim_forward(&self, claim: &ForwardClaim) -> Result<Option<ForwardState>, StoreError>;

    /// Writes how far a forward has come, and lengthens or ends the lease. Returns what commands have said meanwhile, or
    /// `None`, with nothing written, if the lease is another's by now. A replay that a command has changed is left alone.
    async fn save_forward(&self, save: &ForwardSave) -> Result<Option<ForwardSignal>, StoreError>;

    /// Returns what commands have said; `None` for an unknown forward.
    async fn forward_signal(&self, name: &ForwardName) -> Result<Option<ForwardSignal>, StoreError>;

    /// Returns all forwards that were ever registered, by name.
    async fn forwards(&self) -> Result<Vec<ForwardReport>, StoreError>;

    /// Returns at most `limit` events that a forward could not send, the oldest first.
    async fn forward_failures(
        &self,
        name: &ForwardName,
        state: Option<FailureState>,
        limit: u32,
    ) -> Result<Vec<ForwardFailure>, StoreError>;

    /// Returns at most `limit` events after a number and up to another one, without their bodies.
    async fn ledger_heads(&self, after: i64, until: i64, limit: u32) -> Result<Vec<LedgerHead>, StoreError>;

    /// Returns the events with these numbers, without their bodies.
    async fn ledger_heads_of(&self, seqs: &[i64]) -> Result<Vec<LedgerHead>, StoreError>;

    /// Returns the bodies of these events, unless they were erased.
    async fn ledger_bodies(&self, seqs: &[i64]) -> Result<Vec<(i64, Vec<u8>)>, StoreError>;

    /// Returns the outgoing messages with these ids, in all instances but `-`.
    async fn ack_owners(&self, ids: &[String]) -> Result<Vec<AckOwner>, StoreError>;

    /// Pauses a forward, and returns whether it is known.
    async fn pause_forward(&self, name: &ForwardName) -> Result<bool, StoreError>;

    /// Lets a forward go on, from its position or from what comes next, and returns whether it is known.
    async fn resume_forward(&self, name: &ForwardName, from: ResumeFrom) -> Result<bool, StoreError>;

    /// Makes the events due now that a forward could not send, also those that it gave up if `dead` says so. Returns how
    /// many.
    async fn retry_forward(&self, name: &ForwardName, dead: bool, now: Timestamp) -> Result<u64, StoreError>;

    /// Has a forward send everything again that is after a number and not after its position. Returns whether it does,
    /// which it does not during another replay.
    async fn replay_forward(&self, name: &ForwardName, after: i64, even_old: bool) -> Result<bool, StoreError>;
}

/// The place from which a paused forward goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResumeFrom {
    /// The next event that comes. Everything before is left out.
    Now,
    Position,
}

/// A request for the lease of a forward.
#[derive(Clone, Debug)]
pub struct ForwardClaim {
    pub name: ForwardName,
    pub now: Timestamp,
    pub lease_until: Timestamp,
    /// A lease that ends after this time was given by a wrong clock, and does not count.
    pub lease_absurd_after: Timestamp,
}

/// The state of a forward at the beginning of a lease.
#[derive(Clone, Debug)]
pub struct ForwardState {
    pub lease_token: i64,
    pub revision: i64,
    pub cursor: ForwardCursor,
    pub replay: Option<ReplayState>,
    /// Since when the forward is stopped, and why.
    pub stopped: Option<(Timestamp, String)>,
}

/// A part of the ledger that is sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayState {
    pub cursor: ForwardCursor,
    /// The number of the last event.
    pub until: i64,
    /// True if the age of an event does not count.
    pub even_old: bool,
}

/// The progress of a forward.
#[derive(Clone, Debug)]
pub struct ForwardSave {
    pub name: ForwardName,
    pub lease_token: i64,
    pub revision: i64,
    /// `None` ends the lease.
    pub lease_until: Option<Timestamp>,
    pub cursor: ForwardCursor,
    pub replay: Option<ReplayState>,
    pub stopped: Option<(Timestamp, String)>,
    pub counts: ForwardCounts,
    pub failures: Vec<ForwardFailure>,
    /// Events of `forward_failures` that have ended.
    pub settled: Vec<i64>,
}

/// Events that have ended since the last save.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ForwardCounts {
    pub delivered: i64,
    pub stale: i64,
    pub given_up: i64,
}

/// The state of a forward that commands change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardSignal {
    pub paused: bool,
    pub revision: i64,
    pub lease_token: i64,
    pub lease_until: Option<Timestamp>,
}

/// A forward as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardReport {
    pub name: String,
    pub position: i64,
    pub paused: bool,
    pub pause_reason: Option<String>,
    pub replaying: bool,
    pub stopped_since: Option<Timestamp>,
    pub stopped_reason: Option<String>,
    pub delivered: i64,
    pub stale: i64,
    pub given_up: i64,
    pub waiting: i64,
    pub dead: i64,
    /// The number of events after the position, at most 100,000.
    pub lag_events: i64,
    /// The arrival of the first of them.
    pub lag_since: Option<Timestamp>,
}

impl ForwardReport {
    /// Returns the age of the oldest event that is still to be sent.
    pub fn lag_seconds(&self, now: Timestamp) -> f64 {
        self.lag_since.map_or(0.0, |since| (now.millis() - since.millis()).max(0) as f64 / 1e3)
    }
}

/// The state of an event that could not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureState {
    /// It is tried again.
    Waiting,
    /// It was given up.
    Dead,
}

impl FailureState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Dead => "dead",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Waiting, Self::Dead].into_iter().find(|state| state.as_str() == word)
    }
}

/// An event that a forward could not send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardFailure {
    pub seq: i64,
    pub state: FailureState,
    pub tally: AttemptTally,
    pub replay: bool,
    pub even_old: bool,
    pub last_failed_at: Timestamp,
    pub next_attempt_at: Timestamp,
    /// The kind of the last answer.
    pub class: String,
    pub status: Option<u16>,
    /// The beginning of the last answer. It may quote the event.
    pub error: String,
}

/// An outgoing message that an ack without an instance may be about, with its conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AckOwner {
    pub instance_id: InstanceId,
    pub message_id: String,
    pub chat_id: Option<String>,
}

/// The columns of `forwards` at a claim.
pub(crate) struct ForwardColumns {
    pub(crate) lease_token: i64,
    pub(crate) revision: i64,
    pub(crate) position: i64,
    pub(crate) finished: String,
    pub(crate) replay_position: Option<i64>,
    pub(crate) replay_until: Option<i64>,
    pub(crate) replay_finished: String,
    pub(crate) replay_even_old: bool,
    pub(crate) stopped_since: Option<Timestamp>,
    pub(crate) stopped_reason: Option<String>,
}

impl TryFrom<ForwardColumns> for ForwardState {
    type Error = StoreError;

    fn try_from(row: ForwardColumns) -> Result<Self, StoreError> {
        let replay = match row.replay_position.zip(row.replay_until) {
            Some((position, until)) => {
                let cursor = ForwardCursor::new(position, numbers(&row.replay_finished)?);
                Some(ReplayState { cursor, until, even_old: row.replay_even_old })
            }
            None => None,
        };
        Ok(Self {
            lease_token: row.lease_token,
            revision: row.revision,
            cursor: ForwardCursor::new(row.position, numbers(&row.finished)?),
            replay,
            stopped: row.stopped_since.map(|since| (since, row.stopped_reason.unwrap_or_default())),
        })
    }
}

fn numbers(json: &str) -> Result<Vec<i64>, StoreError> {
    serde_json::from_str(json).map_err(|_| StoreError::unreadable("forwards", "finished"))
}

/// The columns of a save, in the form in which both databases take them.
pub(crate) struct SaveColumns {
    pub(crate) position: i64,
    pub(crate) finished: String,
    pub(crate) replay_position: Option<i64>,
    pub(crate) replay_until: Option<i64>,
    pub(crate) replay_finished: String,
    pub(crate) replay_even_old: bool,
    pub(crate) stopped_since: Option<Timestamp>,
    pub(crate) stopped_reason: Option<String>,
}

impl From<&ForwardSave> for SaveColumns {
    fn from(save: &ForwardSave) -> Self {
        let (replay, stopped) = (save.replay.as_ref(), save.stopped.as_ref());
        Self {
            position: save.cursor.position(),
            finished: json(save.cursor.done()),
            replay_position: replay.map(|replay| replay.cursor.position()),
            replay_until: replay.map(|replay| replay.until),
            replay_finished: json(replay.map(|replay| replay.cursor.done()).unwrap_or_default()),
            replay_even_old: replay.is_some_and(|replay| replay.even_old),
            stopped_since: stopped.map(|(since, _)| *since),
            stopped_reason: stopped.map(|(_, reason)| reason.clone()),
        }
    }
}

fn json(numbers: Vec<i64>) -> String {
    serde_json::to_string(&numbers).expect("numbers are JSON")
}

/// The columns of `forward_failures`, without the forward.
#[derive(Serialize)]
pub(crate) struct FailureColumns {
    pub(crate) seq: i64,
    pub(crate) state: String,
    pub(crate) attempts: i32,
    pub(crate) timeouts: i32,
    pub(crate) refusals: i32,
    pub(crate) replay: bool,
    pub(crate) even_old: bool,
    pub(crate) last_failed_at: Timestamp,
    pub(crate) next_attempt_at: Timestamp,
    pub(crate) class: String,
    pub(crate) status: Option<i32>,
    pub(crate) error: String,
}

impl From<&ForwardFailure> for FailureColumns {
    fn from(failure: &ForwardFailure) -> Self {
        let small = |number: u32| number.try_into().unwrap_or(i32::MAX);
        Self {
            seq: failure.seq,
            state: failure.state.as_str().to_owned(),
            attempts: small(failure.tally.attempts),
            timeouts: small(failure.tally.timeouts),
            refusals: small(failure.tally.refusals),
            replay: failure.replay,
            even_old: failure.even_old,
            last_failed_at: failure.last_failed_at,
            next_attempt_at: failure.next_attempt_at,
            class: failure.class.clone(),
            status: failure.status.map(i32::from),
            error: failure.error.clone(),
        }
    }
}

impl TryFrom<FailureColumns> for ForwardFailure {
    type Error = StoreError;

    fn try_from(row: FailureColumns) -> Result<Self, StoreError> {
        let unreadable = |column| move || StoreError::unreadable("forward_failures", column);
        let small = |number: i32| number.try_into().unwrap_or_default();
        Ok(Self {
            seq: row.seq,
            state: FailureState::parse(&row.state).ok_or_else(unreadable("state"))?,
            tally: AttemptTally {
                attempts: small(row.attempts),
                timeouts: small(row.timeouts),
                refusals: small(row.refusals),
            },
            replay: row.replay,
            even_old: row.even_old,
            last_failed_at: row.last_failed_at,
            next_attempt_at: row.next_attempt_at,
            class: row.class,
            status: row.status.and_then(|status| status.try_into().ok()),
            error: row.error,
        })
    }
}
