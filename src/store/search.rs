//! The words of messages' bodies, and finding messages by them.

use async_trait::async_trait;

use super::StoreError;
use crate::domain::message::MessageKey;
use crate::domain::search::{Narrowing, SearchEntry, SearchQuery};

/// The contract of searching.
#[async_trait]
pub trait SearchStore: Send + Sync {
    /// The messages in whose bodies everything is found that is asked for, at most `limit`, the latest first.
    async fn search(
        &self,
        query: &SearchQuery,
        narrowing: &Narrowing,
        limit: u32,
    ) -> Result<Vec<MessageKey>, StoreError>;
}

/// The statements on `message_search` within a transaction.
#[async_trait]
pub(super) trait SearchRows {
    /// Writes the words of messages that have none yet.
    async fn insert_words(&mut self, entries: &[SearchEntry]) -> Result<(), StoreError>;

    /// Removes the words of these messages, where they have some.
    async fn delete_words(&mut self, keys: &[MessageKey]) -> Result<(), StoreError>;
}
