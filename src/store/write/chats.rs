//! Chats and their latest messages.

use async_trait::async_trait;

use crate::StoreError;
use domain::chat::{Chat, ChatKey, StaleChatFields};

/// The statements on `chats` within a transaction.
#[async_trait]
pub(crate) trait ChatRows {
    /// The chats among these that exist.
    async fn chats(&mut self, keys: &[ChatKey]) -> Result<Vec<Chat>, StoreError>;

    /// What `messages` holds for the vacant places of these chats; other places stay empty, and nothing is counted.
    async fn latest_in_chats(&mut self, vacant: &[(ChatKey, StaleChatFields)]) -> Result<Vec<Chat>, StoreError>;

    /// Writes whole rows, and returns how many were written.
    async fn save_chats(&mut self, chats: &[Chat]) -> Result<u64, StoreError>;

    async fn delete_chats(&mut self, keys: &[ChatKey]) -> Result<(), StoreError>;
}
