//! The words of messages' bodies, and finding messages by them.

use async_trait::async_trait;

use super::StoreError;
use super::listing::Condition;
use crate::domain::instance::InstanceId;
use crate::domain::message::MessageKey;
use crate::domain::page::Key;
use crate::domain::search::{Narrowing, SearchEntry, SearchQuery};
use crate::domain::timestamp::Timestamp;

/// A page of what is found.
pub(super) struct SearchAsk<'a> {
    pub(super) query: &'a SearchQuery,
    pub(super) narrowing: Narrowing,
    /// The instances that are searched, for the times of their messages.
    pub(super) instances: &'a [InstanceId],
    /// What holds of the messages besides.
    pub(super) conditions: &'a [Condition],
    /// What is found lies strictly between these keys.
    pub(super) after: Key,
    pub(super) before: Key,
    pub(super) ascending: bool,
    pub(super) limit: u32,
}

/// What was found.
pub(super) struct Found {
    pub(super) rows: Vec<(MessageKey, Timestamp)>,
    /// Where the search was broken off, because it had taken its time; all that lies before was searched.
    pub(super) unfinished: Option<Timestamp>,
}

/// The statements that search.
#[async_trait]
pub(super) trait SearchQueries {
    async fn find(&mut self, ask: &SearchAsk<'_>) -> Result<Found, StoreError>;
}

/// The statements on `message_search` within a transaction.
#[async_trait]
pub(super) trait SearchRows {
    /// Writes the words of messages that have none yet.
    async fn insert_words(&mut self, entries: &[SearchEntry]) -> Result<(), StoreError>;

    /// Removes the words of these messages, where they have some.
    async fn delete_words(&mut self, keys: &[MessageKey]) -> Result<(), StoreError>;
}
