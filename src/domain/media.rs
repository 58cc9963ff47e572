//! Media jobs: every `media_url` that a message ever carried is a file to be saved before the gateway deletes it.

use sha2::{Digest, Sha256};

use super::instance::InstanceId;
use super::timestamp::Timestamp;

/// A row of `media` as it begins: state `pending`, due at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaJob {
    pub instance_id: InstanceId,
    pub message_id: String,
    /// Verbatim; may be relative to the gateway's own address.
    pub source_url: String,
    /// SHA-256 of `source_url`: a URL is too long for a unique key.
    pub source_sha256: [u8; 32],
    /// The arrival of the event that asks for the file: when it is due.
    pub due_at: Timestamp,
}

impl MediaJob {
    pub fn new(instance_id: InstanceId, message_id: String, source_url: String, due_at: Timestamp) -> Self {
        let source_sha256 = Sha256::digest(&source_url).into();
        Self { instance_id, message_id, source_url, source_sha256, due_at }
    }

    /// The columns of its unique key, in their order.
    pub fn key(&self) -> (&InstanceId, &str, &[u8; 32]) {
        (&self.instance_id, &self.message_id, &self.source_sha256)
    }
}
