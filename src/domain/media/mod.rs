//! Media jobs: every `media_url` that a message ever carried is a file to be saved before the gateway deletes it.
//!
//! A job is a row of `media`. It is pending until its file is stored, or until it is given up for a reason that a
//! person understands. A worker holds it by a lease, whose token fences off a worker that comes back too late.

use std::fmt;
use std::time::Duration;

use sha2::{Digest, Sha256};
use url::Url;

use super::instance::InstanceId;
use crate::media::object_key::ObjectKey;
use crate::time::timestamp::Timestamp;

mod content_disposition;
pub mod file_name;
pub mod media_type;
pub mod object_key;

/// A row of `media` as it begins: state `pending`, due at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaJob {
    pub key: MediaKey,
    /// Verbatim; may be relative to the gateway's own address.
    pub source_url: String,
    /// The host that it names; empty for a relative one. Bounds how much is asked of one host at once.
    pub source_host: String,
    /// When the message was, by the earliest of its copies that name the file: the earlier, the sooner the gateway
    /// deletes it.
    pub occurred_at: Timestamp,
    /// The arrival of the event that asks for the file.
    pub due_at: Timestamp,
}

/// The columns of a job's unique key, in their order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MediaKey {
    pub instance_id: InstanceId,
    pub message_id: String,
    /// SHA-256 of the source URL: a URL is too long for a unique key.
    pub source_sha256: [u8; 32],
}

impl MediaJob {
    pub fn new(
        instance_id: InstanceId,
        message_id: String,
        source_url: String,
        occurred_at: Timestamp,
        due_at: Timestamp,
    ) -> Self {
        let key = MediaKey { instance_id, message_id, source_sha256: Sha256::digest(&source_url).into() };
        let source_host = Url::parse(source_url.trim()).ok().and_then(|url| Some(url.host_str()?.to_owned()));
        Self { key, source_url, source_host: source_host.unwrap_or_default(), occurred_at, due_at }
    }
}

/// Where a job stands: the column `state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaState {
    /// To be fetched, or being fetched.
    Pending,
    Stored,
    /// The gateway no longer has the file.
    Expired,
    /// Its address is one that must not be asked.
    Refused,
    /// Larger than the limit.
    TooLarge,
    /// All its attempts were used up.
    Failed,
}

impl MediaState {
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Stored, Self::Expired, Self::Refused, Self::TooLarge, Self::Failed];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Stored => "stored",
            Self::Expired => "expired",
            Self::Refused => "refused",
            Self::TooLarge => "too_large",
            Self::Failed => "failed",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

impl fmt::Display for MediaState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The jobs of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaJobCount {
    pub state: MediaState,
    pub count: u64,
    /// When the oldest of their messages was.
    pub oldest: Timestamp,
}

/// A worker's hold on a job. Every claim of a job has another token, so that a lease which ran out is worth nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lease {
    pub key: MediaKey,
    pub token: i64,
}

/// A job that a worker holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeasedJob {
    pub lease: Lease,
    pub source_url: String,
    pub source_host: String,
    pub occurred_at: Timestamp,
    /// With this one.
    pub attempts: u32,
    /// How many of the earlier ones the server answered with a no.
    pub denials: u32,
}

/// A file that is safe in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    pub object_key: ObjectKey,
    /// In bytes.
    pub size: u64,
    /// What the first bytes say that it is.
    pub content_type: String,
    /// Its original name, made harmless.
    pub file_name: Option<String>,
}

/// How an attempt ended, for the row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    pub lease: Lease,
    /// As the job was claimed. Fewer in the row mean that it was made due again since.
    pub attempts: u32,
    pub outcome: AttemptOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    Stored {
        file: StoredFile,
        at: Timestamp,
    },
    /// Pending, until then.
    Retry {
        at: Timestamp,
        reason: String,
        denied: bool,
    },
    /// Given up.
    GivenUp {
        state: MediaState,
        reason: String,
    },
    /// Pending until then, and not counted as an attempt.
    Postponed {
        at: Timestamp,
        reason: String,
    },
    /// Given back untried; due as before.
    Released,
}

impl AttemptOutcome {
    /// True if nothing more is done for the file, unless somebody asks for it again.
    pub fn ends_job(&self) -> bool {
        matches!(self, Self::Stored { .. } | Self::GivenUp { .. })
    }
}

/// Why a file could not be had, by what follows from it. The texts are for the owner.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MediaFailure {
    /// It may pass: the host is away or overloaded, the answer broke off, our own store does not answer.
    #[error("{reason}")]
    Transient {
        reason: String,
        /// What the server's Retry-After asks for.
        retry_after: Option<Duration>,
    },
    /// 404 or 410.
    #[error("the gateway no longer has the file (it answered {status})")]
    NotFound { status: u16 },
    /// Another answer that is no file.
    #[error("{0}")]
    Denied(String),
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    TooLarge(String),
    /// No fault of the job's.
    #[error("there is no room for it on the disk")]
    DiskFull,
    /// No fault of the job's, nor would another file be taken.
    #[error("the bucket is full")]
    BucketFull,
}

impl MediaFailure {
    pub fn transient(reason: impl Into<String>) -> Self {
        Self::Transient { reason: reason.into(), retry_after: None }
    }
}

/// When an attempt is followed by another.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// How often a file is asked for before it is given up.
    pub max_attempts: u32,
}

/// How often a server may say no. A file can be announced a moment before it is there.
const MAX_DENIALS: u32 = 4;
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// After that there may be room, for this file too; up to twice as long.
const FULL_DELAY: Duration = Duration::from_secs(60);
const MAX_DELAY: Duration = Duration::from_secs(10 * 60);
/// A server may not put us off for longer.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

impl RetryPolicy {
    /// No attempt is further away than that.
    pub const MAX_WAIT: Duration = MAX_RETRY_AFTER;

    /// What follows from a failed attempt. `jitter` is a random number from 0 to 1: jobs that failed together come
    /// again apart.
    pub fn outcome(&self, job: &LeasedJob, failure: &MediaFailure, now: Timestamp, jitter: f64) -> AttemptOutcome {
        let given_up = |state| AttemptOutcome::GivenUp { state, reason: failure.to_string() };
        match failure {
            MediaFailure::DiskFull | MediaFailure::BucketFull => {
                AttemptOutcome::Postponed { at: now + FULL_DELAY.mul_f64(1.0 + jitter), reason: failure.to_string() }
            }
            MediaFailure::Refused(_) => given_up(MediaState::Refused),
            MediaFailure::TooLarge(_) => given_up(MediaState::TooLarge),
            MediaFailure::NotFound { .. } if job.denials + 1 >= MAX_DENIALS => given_up(MediaState::Expired),
            MediaFailure::Denied(_) if job.denials + 1 >= MAX_DENIALS => given_up(MediaState::Failed),
            MediaFailure::NotFound { .. } | MediaFailure::Denied(_) => {
                retry(now, delay(job.denials + 1, jitter), failure.to_string(), true)
            }
            MediaFailure::Transient { reason, .. } if job.attempts >= self.max_attempts => AttemptOutcome::GivenUp {
                state: MediaState::Failed,
                reason: format!("given up after {} attempts; the last time {reason}", job.attempts),
            },
            MediaFailure::Transient { reason, retry_after } => {
                let asked = retry_after.map_or(Duration::ZERO, |asked| asked.min(MAX_RETRY_AFTER));
                retry(now, delay(job.attempts, jitter).max(asked), reason.clone(), false)
            }
        }
    }
}

fn retry(now: Timestamp, delay: Duration, reason: String, denied: bool) -> AttemptOutcome {
    AttemptOutcome::Retry { at: now + delay, reason, denied }
}

/// Twice as long after each attempt, up to [`MAX_DELAY`]; the half of it random.
fn delay(attempts: u32, jitter: f64) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    let full = (FIRST_DELAY * 2u32.pow(doublings)).min(MAX_DELAY);
    full.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_724_717_200_004);
    const POLICY: RetryPolicy = RetryPolicy { max_attempts: 600 };

    fn job(attempts: u32, denials: u32) -> LeasedJob {
        let instance_id = InstanceId::new("7").expect("it is an id");
        let key = MediaKey { instance_id, message_id: "A".to_owned(), source_sha256: [0; 32] };
        let (source_url, source_host) = ("/a.jpg".to_owned(), String::new());
        LeasedJob { lease: Lease { key, token: 1 }, source_url, source_host, occurred_at: NOW, attempts, denials }
    }

    /// The seconds until the next attempt, with all of the jitter.
    fn seconds(attempts: u32, denials: u32, failure: MediaFailure) -> Option<i64> {
        match POLICY.outcome(&job(attempts, denials), &failure, NOW, 1.0) {
            AttemptOutcome::Retry { at, .. } => Some((at.millis() - NOW.millis()) / 1_000),
            _ => None,
        }
    }

    fn state(attempts: u32, denials: u32, failure: MediaFailure) -> Option<(MediaState, String)> {
        match POLICY.outcome(&job(attempts, denials), &failure, NOW, 1.0) {
            AttemptOutcome::GivenUp { state, reason } => Some((state, reason)),
            _ => None,
        }
    }

    #[test]
    fn what_may_pass_is_tried_for_days_and_ever_more_rarely() {
        let waits: Vec<_> = (1..=12).map(|attempt| seconds(attempt, 0, MediaFailure::transient("away"))).collect();
        let expected = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600];
        assert_eq!(waits, expected.map(Some));
        let longest: i64 = (1..600).filter_map(|attempt| seconds(attempt, 0, MediaFailure::transient("away"))).sum();
        assert_eq!(
            longest * 3 / 4 / 86_400,
            3,
            "half of each wait is random, so three quarters of them pass in the mean"
        );
        let (state, reason) = state(600, 0, MediaFailure::transient("the host did not answer")).expect("it ends");
        assert_eq!(state, MediaState::Failed);
        assert_eq!(reason, "given up after 600 attempts; the last time the host did not answer");
    }

    #[test]
    fn the_half_of_every_wait_is_random() {
        assert_eq!(delay(4, 0.0), Duration::from_secs(4));
        assert_eq!(delay(4, 0.5), Duration::from_secs(6));
        assert_eq!(delay(4, 1.0), Duration::from_secs(8));
    }

    #[test]
    fn a_server_that_asks_for_time_has_it_up_to_an_hour() {
        let asked = |seconds| MediaFailure::Transient {
            reason: "429".to_owned(),
            retry_after: Some(Duration::from_secs(seconds)),
        };
        assert_eq!(seconds(1, 0, asked(120)), Some(120));
        assert_eq!(seconds(5, 0, asked(3)), Some(16));
        assert_eq!(seconds(1, 0, asked(1_000_000)), Some(3_600));
    }

    #[test]
    fn a_file_that_is_not_there_has_a_few_quick_tries_however_long_the_host_was_away() {
        let gone = || MediaFailure::NotFound { status: 404 };
        assert_eq!([0, 1, 2].map(|denials| seconds(300, denials, gone())), [Some(1), Some(2), Some(4)]);
        let reason = "the gateway no longer has the file (it answered 404)".to_owned();
        assert_eq!(state(4, 3, gone()), Some((MediaState::Expired, reason)));
        let denied = || MediaFailure::Denied("the server answered 403 Forbidden".to_owned());
        assert_eq!(seconds(1, 0, denied()), Some(1));
        assert_eq!(state(4, 3, denied()), Some((MediaState::Failed, "the server answered 403 Forbidden".to_owned())));
    }

    #[test]
    fn a_forbidden_address_and_a_file_that_is_too_large_end_at_once_and_one_without_room_never() {
        assert_eq!(state(1, 0, MediaFailure::Refused("no".to_owned())), Some((MediaState::Refused, "no".to_owned())));
        assert_eq!(state(1, 0, MediaFailure::TooLarge("no".to_owned())), Some((MediaState::TooLarge, "no".to_owned())));
        let postponed = AttemptOutcome::Postponed {
            at: NOW + Duration::from_secs(120),
            reason: "there is no room for it on the disk".to_owned(),
        };
        assert_eq!(POLICY.outcome(&job(600, 3), &MediaFailure::DiskFull, NOW, 1.0), postponed);
    }

    #[test]
    fn a_job_knows_the_host_that_it_asks() {
        let host = |url: &str| {
            let instance_id = InstanceId::new("7").expect("it is an id");
            MediaJob::new(instance_id, "A".to_owned(), url.to_owned(), NOW, NOW).source_host
        };
        assert_eq!(host("https://GW.example.com:8443/a.jpg?x"), "gw.example.com");
        assert_eq!(host("/uploads/whatsapp/a.jpg"), "");
        assert_eq!(host("http://"), "");
    }
}
