//! The audit of exports and erasures, and the keys of its pseudonyms.

use async_trait::async_trait;

use crate::Store;
use crate::StoreError;
use domain::audit::{AuditEntry, AuditedDeed};
use domain::pseudonym::PseudonymKey;
use domain::time::timestamp::Timestamp;

/// The purpose of the key of the audit's pseudonyms, in `pseudonym_keys`.
const PURPOSE: &str = "audit";

/// The contract of the audit.
#[async_trait]
pub trait AuditStore: Send + Sync {
    /// Adds a deed, and forgets those that are older than two years.
    async fn audit(&self, deed: &AuditedDeed) -> Result<(), StoreError>;

    /// Returns at most `limit` entries before the one with the number `before`, the latest first.
    async fn audit_entries(&self, before: Option<i64>, limit: u32) -> Result<Vec<AuditEntry>, StoreError>;

    /// Returns the key of pseudonyms for this purpose, if there is one.
    async fn pseudonym_key(&self, purpose: &str) -> Result<Option<PseudonymKey>, StoreError>;
}

impl dyn Store + '_ {
    /// Returns the pseudonym that a person or a chat has in the audit.
    pub async fn audit_pseudonym(&self, id: &str) -> Result<String, StoreError> {
        let key = self.pseudonym_key(PURPOSE).await?;
        Ok(key.ok_or_else(|| StoreError::unreadable("pseudonym_keys", "secret"))?.of(id))
    }
}

/// The columns of a row of `audit`.
pub(crate) struct AuditColumns {
    pub(crate) seq: i64,
    pub(crate) at: Timestamp,
    pub(crate) actor: String,
    pub(crate) action: String,
    pub(crate) subject_hmac: Option<String>,
    pub(crate) detail: Option<String>,
}

impl From<AuditColumns> for AuditEntry {
    fn from(AuditColumns { seq, at, actor, action, subject_hmac, detail }: AuditColumns) -> Self {
        Self { seq, at, actor, action, subject_hmac, detail }
    }
}
