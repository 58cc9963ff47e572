//! Media jobs: every `media_url` of a message names a file that is to be saved before the gateway deletes it.
//!
//! A job is a row of `media`. It is pending until its file is stored, or until it is given up with a reason that is
//! written for people. A worker holds a job by a lease. The lease has a fencing token, so that a worker that returns
//! after its lease has run out cannot change the job.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::instance::InstanceId;
use crate::media::object_key::ObjectKey;
use crate::time::timestamp::Timestamp;

mod content_disposition;
pub mod file_name;
pub mod media_type;
pub mod object_key;
mod retry;
pub mod source;

pub use retry::RetryPolicy;

/// A new row of `media`, in the state `pending` and due at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MediaJob {
    #[serde(flatten)]
    pub key: MediaKey,
    /// The URL as it was received, in the form that [`source::column`] gives it. It may be relative to the gateway's
    /// address.
    pub source_url: String,
    /// The host in the URL, empty for a relative URL, or `data:` for a file inside the event. It limits how many files
    /// are requested from one host at once.
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
        let source_host = source::host(&source_url);
        Self { key, source_url, source_host, occurred_at, due_at }
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
    /// The file was stored, and is older than files are kept.
    Removed,
}

impl MediaState {
    pub const ALL: [Self; 7] =
        [Self::Pending, Self::Stored, Self::Expired, Self::Refused, Self::TooLarge, Self::Failed, Self::Removed];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Stored => "stored",
            Self::Expired => "expired",
            Self::Refused => "refused",
            Self::TooLarge => "too_large",
            Self::Failed => "failed",
            Self::Removed => "removed",
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
    /// The type of the message.
    pub kind: Option<String>,
    /// True if a file is stored already, which stays until it is replaced.
    pub has_file: bool,
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

impl StoredFile {
    /// Returns the name under which the file is served.
    pub fn served_name(&self) -> Option<String> {
        self.file_name.as_deref().map(|name| file_name::with_extension(name, &self.content_type))
    }
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
    /// The job has ended without a file, or with the one that was stored before.
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
    /// Ends a job without a new file. If there is an older one, the job is stored as before.
    pub fn given_up(job: &LeasedJob, state: MediaState, reason: String) -> Self {
        Self::GivenUp { state: if job.has_file { MediaState::Stored } else { state }, reason }
    }

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
    /// The file inside the event cannot be read, now or later.
    #[error("{0}")]
    Unreadable(String),
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

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_724_717_200_004);

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
