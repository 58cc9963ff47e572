//! Media jobs: every `media_url` of a message names a file that is to be saved before the gateway deletes it.
//!
//! A job is a row of `media`. It is pending until its file is stored, or until it is given up with a reason that is
//! written for people. A worker holds a job by a lease. The lease has a fencing token, so that a worker that returns
//! after its lease has run out cannot change the job.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};
use url::Url;

use super::instance::InstanceId;
use crate::media::object_key::ObjectKey;
use crate::time::timestamp::Timestamp;

mod content_disposition;
pub mod file_name;
pub mod media_type;
pub mod object_key;

/// A new row of `media`, in the state `pending` and due at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MediaJob {
    #[serde(flatten)]
    pub key: MediaKey,
    /// The URL as it was received. It may be relative to the gateway's address.
    pub source_url: String,
    /// The host in the URL, or empty for a relative URL. It limits how many files are requested from one host at once.
    pub source_host: String,
    /// The time of the message, by the earliest of its copies that name the file. The gateway deletes older files
    /// first.
    pub occurred_at: Timestamp,
    /// The arrival of the event that asks for the file.
    pub due_at: Timestamp,
}

/// The columns of a job's unique key, in their order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct MediaKey {
    pub instance_id: InstanceId,
    pub message_id: String,
    /// The SHA-256 of the source URL, because a URL is too long for a unique key. In JSON, it is hexadecimal.
    #[serde(serialize_with = "in_hexadecimal")]
    pub source_sha256: [u8; 32],
}

/// Serialises bytes as hexadecimal digits, because JSON holds no bytes.
fn in_hexadecimal<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex::encode(bytes))
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

/// The state of a job, for the column `state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaState {
    /// The file is to be downloaded, or is being downloaded.
    Pending,
    Stored,
    /// The gateway no longer has the file.
    Expired,
    /// The address is one that must not be requested.
    Refused,
    /// The file is larger than the limit.
    TooLarge,
    /// All attempts failed.
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

/// The number of jobs in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaJobCount {
    pub state: MediaState,
    pub count: u64,
    /// The time of the oldest of their messages.
    pub oldest: Timestamp,
}

/// A worker's lease of a job. Every lease of a job has a new token, so that one that ran out has no effect.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Lease {
    #[serde(flatten)]
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
    /// The number of attempts, including this one.
    pub attempts: u32,
    /// The number of earlier attempts that the server denied.
    pub denials: u32,
}

/// A file in the blob store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    pub object_key: ObjectKey,
    /// The size in bytes.
    pub size: u64,
    /// The media type, by the first bytes of the file.
    pub content_type: String,
    /// The original name, sanitised.
    pub file_name: Option<String>,
}

/// The end of an attempt, to be written to the row of the job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    pub lease: Lease,
    /// The number of attempts when the job was leased. If the row has fewer, the job was made due again since then.
    pub attempts: u32,
    pub outcome: AttemptOutcome,
}

/// The outcome of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    Stored {
        file: StoredFile,
        at: Timestamp,
    },
    /// The job stays pending, and is due again at this time.
    Retry {
        at: Timestamp,
        reason: String,
        denied: bool,
    },
    /// The job has ended without a file.
    GivenUp {
        state: MediaState,
        reason: String,
    },
    /// The job stays pending, is due again at this time, and this does not count as an attempt.
    Postponed {
        at: Timestamp,
        reason: String,
    },
    /// The job was returned without an attempt, and is due as before.
    Released,
}

impl AttemptOutcome {
    /// Returns whether the job has ended, so that nothing more is done for the file unless somebody requests it again.
    pub fn ends_job(&self) -> bool {
        matches!(self, Self::Stored { .. } | Self::GivenUp { .. })
    }
}

/// The failure of an attempt, by its consequence. The texts are for the owner.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MediaFailure {
    /// A failure that may pass: the host is unreachable or overloaded, the response broke off, or the store of buzon
    /// does not answer.
    #[error("{reason}")]
    Transient {
        reason: String,
        /// The wait that the server's `Retry-After` asks for.
        retry_after: Option<Duration>,
    },
    /// The server answered 404 or 410.
    #[error("the gateway no longer has the file (it answered {status})")]
    NotFound { status: u16 },
    /// The server gave another answer without the file.
    #[error("{0}")]
    Denied(String),
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    TooLarge(String),
    /// There is no space for the file. The job is not at fault.
    #[error("there is no room for it on the disk")]
    DiskFull,
    /// The bucket takes no file at all. The job is not at fault.
    #[error("the bucket is full")]
    BucketFull,
}

impl MediaFailure {
    pub fn transient(reason: impl Into<String>) -> Self {
        Self::Transient { reason: reason.into(), retry_after: None }
    }
}

/// The rule for when a failed attempt is followed by another.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// The number of attempts after which a job is given up.
    pub max_attempts: u32,
}

/// The number of denials after which a job is given up. It is more than one because a file can be announced a moment
/// before it exists.
const MAX_DENIALS: u32 = 4;
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// The minimum delay when there is no space; the maximum is twice as long. By then there may be space again.
const FULL_DELAY: Duration = Duration::from_secs(60);
const MAX_DELAY: Duration = Duration::from_secs(10 * 60);
/// The limit on the delay that a server may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

impl RetryPolicy {
    /// The longest time between two attempts.
    pub const MAX_WAIT: Duration = MAX_RETRY_AFTER;

    /// Decides what follows a failed attempt. `jitter` is a random number from 0 to 1, so that jobs that failed
    /// together are tried again at different times.
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

/// Returns the delay, which doubles after each attempt up to [`MAX_DELAY`]. Half of it is random.
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

    /// Returns the seconds until the next attempt, with the maximum jitter.
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
    fn after_transient_failures_a_job_is_tried_for_days_with_growing_delays() {
        let waits: Vec<_> = (1..=12).map(|attempt| seconds(attempt, 0, MediaFailure::transient("away"))).collect();
        let expected = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600];
        assert_eq!(waits, expected.map(Some));
        let longest: i64 = (1..600).filter_map(|attempt| seconds(attempt, 0, MediaFailure::transient("away"))).sum();
        assert_eq!(
            longest * 3 / 4 / 86_400,
            3,
            "half of each delay is random, so on average three quarters of it pass"
        );
        let (state, reason) = state(600, 0, MediaFailure::transient("the host did not answer")).expect("it ends");
        assert_eq!(state, MediaState::Failed);
        assert_eq!(reason, "given up after 600 attempts; the last time the host did not answer");
    }

    #[test]
    fn half_of_every_delay_is_random() {
        assert_eq!(delay(4, 0.0), Duration::from_secs(4));
        assert_eq!(delay(4, 0.5), Duration::from_secs(6));
        assert_eq!(delay(4, 1.0), Duration::from_secs(8));
    }

    #[test]
    fn a_server_may_ask_for_a_delay_of_up_to_an_hour() {
        let asked = |seconds| MediaFailure::Transient {
            reason: "429".to_owned(),
            retry_after: Some(Duration::from_secs(seconds)),
        };
        assert_eq!(seconds(1, 0, asked(120)), Some(120));
        assert_eq!(seconds(5, 0, asked(3)), Some(16));
        assert_eq!(seconds(1, 0, asked(1_000_000)), Some(3_600));
    }

    #[test]
    fn a_missing_file_has_a_few_quick_attempts_however_long_the_host_was_unreachable() {
        let gone = || MediaFailure::NotFound { status: 404 };
        assert_eq!([0, 1, 2].map(|denials| seconds(300, denials, gone())), [Some(1), Some(2), Some(4)]);
        let reason = "the gateway no longer has the file (it answered 404)".to_owned();
        assert_eq!(state(4, 3, gone()), Some((MediaState::Expired, reason)));
        let denied = || MediaFailure::Denied("the server answered 403 Forbidden".to_owned());
        assert_eq!(seconds(1, 0, denied()), Some(1));
        assert_eq!(state(4, 3, denied()), Some((MediaState::Failed, "the server answered 403 Forbidden".to_owned())));
    }

    #[test]
    fn a_forbidden_address_or_too_large_a_file_ends_a_job_at_once_and_a_full_disk_never_does() {
        assert_eq!(state(1, 0, MediaFailure::Refused("no".to_owned())), Some((MediaState::Refused, "no".to_owned())));
        assert_eq!(state(1, 0, MediaFailure::TooLarge("no".to_owned())), Some((MediaState::TooLarge, "no".to_owned())));
        let postponed = AttemptOutcome::Postponed {
            at: NOW + Duration::from_secs(120),
            reason: "there is no room for it on the disk".to_owned(),
        };
        assert_eq!(POLICY.outcome(&job(600, 3), &MediaFailure::DiskFull, NOW, 1.0), postponed);
    }

    #[test]
    fn a_job_has_the_host_of_its_url() {
        let host = |url: &str| {
            let instance_id = InstanceId::new("7").expect("it is an id");
            MediaJob::new(instance_id, "A".to_owned(), url.to_owned(), NOW, NOW).source_host
        };
        assert_eq!(host("https://GW.example.com:8443/a.jpg?x"), "gw.example.com");
        assert_eq!(host("/uploads/whatsapp/a.jpg"), "");
        assert_eq!(host("http://"), "");
    }
}
