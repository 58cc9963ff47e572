//! A real store whose ledger is another.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use buzon::domain::batch::Receipt;
use buzon::domain::event::Event;
use buzon::domain::instance::InstanceId;
use buzon::domain::media::{Lease, LeasedJob, Settlement, State, StoredFile};
use buzon::domain::object_key::ObjectKey;
use buzon::domain::scope::Scope;
use buzon::domain::timestamp::Timestamp;
use buzon::domain::token::{ApiToken, NewToken, TokenDigest, TokenId};
use buzon::store::{
    Availability, Claim, EventStore, JobFilter, JobReport, MediaReports, MediaStore, ObjectStore, Store, StoreError,
    TokenStore,
};

pub struct Double {
    pub events: Arc<dyn EventStore>,
    pub rest: Arc<dyn Store>,
}

#[async_trait]
impl EventStore for Double {
    async fn record_batch(&self, events: &[Event]) -> Result<Vec<Receipt>, StoreError> {
        self.events.record_batch(events).await
    }
}

#[async_trait]
impl Availability for Double {
    async fn ping(&self) -> Result<(), StoreError> {
        self.rest.ping().await
    }

    async fn close(&self) {
        self.rest.close().await;
    }
}

#[async_trait]
impl MediaStore for Double {
    async fn claim_media(&self, claim: &Claim) -> Result<Vec<LeasedJob>, StoreError> {
        self.rest.claim_media(claim).await
    }

    async fn renew_media(&self, leases: &[Lease], until: Timestamp) -> Result<HashSet<Lease>, StoreError> {
        self.rest.renew_media(leases, until).await
    }

    async fn settle_media(&self, settlements: &[Settlement]) -> Result<HashSet<Lease>, StoreError> {
        self.rest.settle_media(settlements).await
    }

    async fn next_media_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.rest.next_media_due(now).await
    }
}

#[async_trait]
impl MediaReports for Double {
    async fn count_media(&self) -> Result<Vec<(State, u64)>, StoreError> {
        self.rest.count_media().await
    }

    async fn list_media(&self, filter: &JobFilter, limit: u32) -> Result<Vec<JobReport>, StoreError> {
        self.rest.list_media(filter, limit).await
    }

    async fn retry_media(&self, filter: &JobFilter, now: Timestamp) -> Result<u64, StoreError> {
        self.rest.retry_media(filter, now).await
    }

    async fn stored_file(&self, object_key: &ObjectKey, scope: &Scope) -> Result<Option<StoredFile>, StoreError> {
        self.rest.stored_file(object_key, scope).await
    }

    async fn media_of_message(&self, instance_id: &InstanceId, id: &str) -> Result<Vec<JobReport>, StoreError> {
        self.rest.media_of_message(instance_id, id).await
    }
}

#[async_trait]
impl ObjectStore for Double {
    async fn database_id(&self) -> Result<String, StoreError> {
        self.rest.database_id().await
    }

    async fn bytes_stored(&self) -> Result<u64, StoreError> {
        self.rest.bytes_stored().await
    }

    async fn objects_without_row(&self, keys: &[ObjectKey]) -> Result<Vec<ObjectKey>, StoreError> {
        self.rest.objects_without_row(keys).await
    }

    async fn lock_object(&self, key: &ObjectKey, now: Timestamp, until: Timestamp) -> Result<bool, StoreError> {
        self.rest.lock_object(key, now, until).await
    }

    async fn unlock_object(&self, key: &ObjectKey, until: Timestamp) -> Result<(), StoreError> {
        self.rest.unlock_object(key, until).await
    }
}

#[async_trait]
impl TokenStore for Double {
    async fn create_token(&self, token: &NewToken) -> Result<Option<TokenId>, StoreError> {
        self.rest.create_token(token).await
    }

    async fn list_tokens(&self) -> Result<Vec<ApiToken>, StoreError> {
        self.rest.list_tokens().await
    }

    async fn revoke_token(&self, id: TokenId, now: Timestamp) -> Result<bool, StoreError> {
        self.rest.revoke_token(id, now).await
    }

    async fn token_by_digest(&self, digest: &TokenDigest) -> Result<Option<ApiToken>, StoreError> {
        self.rest.token_by_digest(digest).await
    }

    async fn token_by_id(&self, id: TokenId) -> Result<Option<ApiToken>, StoreError> {
        self.rest.token_by_id(id).await
    }

    async fn note_token_use(&self, id: TokenId, now: Timestamp, noted_since: Timestamp) -> Result<(), StoreError> {
        self.rest.note_token_use(id, now, noted_since).await
    }
}
