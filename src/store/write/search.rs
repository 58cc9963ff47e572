//! The index of words.

use async_trait::async_trait;

use crate::StoreError;
use domain::search::{SearchEntry, SearchPlace};

/// The statements on `message_search` within a transaction.
#[async_trait]
pub(crate) trait SearchRows {
    /// Writes the words of messages that have none yet, and returns how many rows were written.
    async fn insert_words(&mut self, entries: &[SearchEntry]) -> Result<u64, StoreError>;

    /// Removes the words at these places, if any.
    async fn delete_words(&mut self, places: &[SearchPlace]) -> Result<(), StoreError>;
}
