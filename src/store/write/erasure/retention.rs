//! Letting go of what is older than what is kept, in pieces.

use async_trait::async_trait;

use super::forget;
use crate::StoreError;
use crate::error::{all_written, in_table};
use crate::write::events::take_numbers;
use crate::write::record::Rows;
use domain::event::EventState;
use domain::instance::InstanceId;
use domain::message::MessageKey;
use domain::time::timestamp::Timestamp;

/// The contract of retention.
#[async_trait]
pub trait RetentionStore: Send + Sync {
    /// Counts what is older than a time, in one instance.
    async fn overdue(&self, old: &OverdueQuery) -> Result<Overdue, StoreError>;

    /// Lets go of the events of at most `limit` messages, and then of those of no message, that are older than a time. Returns
    /// how many events; 0 if there are no more.
    async fn expire_events(&self, instance_id: &InstanceId, before: Timestamp, limit: u32) -> Result<u64, StoreError>;

    /// Removes at most `limit` files of messages that are older than a time, and returns how many.
    async fn expire_files(&self, instance_id: &InstanceId, before: Timestamp, limit: u32) -> Result<u64, StoreError>;

    /// Forgets the arrival of at most `limit` expired events that arrived last before a time, and returns how many.
    async fn forget_expired(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError>;

    async fn begin_retention(&self, at: Timestamp) -> Result<i64, StoreError>;

    async fn end_retention(&self, run: i64, at: Timestamp, events: u64, files: u64) -> Result<(), StoreError>;

    /// Returns the time at which the last run that ended began.
    async fn last_retention(&self) -> Result<Option<Timestamp>, StoreError>;
}

/// A question for what is older than these times.
#[derive(Clone, Debug)]
pub struct OverdueQuery {
    pub instance_id: InstanceId,
    pub messages_before: Option<Timestamp>,
    pub files_before: Option<Timestamp>,
}

/// The things of an instance that are older than what is kept, among all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overdue {
    pub messages: i64,
    pub all_messages: i64,
    pub files: i64,
    pub all_files: i64,
    pub file_bytes: i64,
    /// The time of the oldest message.
    pub oldest: Option<Timestamp>,
}

/// The statements on what is old, within a transaction.
#[async_trait]
pub(crate) trait RetentionRows {
    /// Returns the oldest messages before a time.
    async fn old_messages(
        &mut self,
        instance_id: &InstanceId,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<MessageKey>, StoreError>;

    /// Returns the first events that arrived before a time, of which no message follows.
    async fn old_events(
        &mut self,
        instance_id: &InstanceId,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<i64>, StoreError>;
}

/// Lets go of a piece, within the caller's transaction.
pub(crate) async fn expire_piece(
    rows: &mut dyn Rows,
    instance_id: &InstanceId,
    before: Timestamp,
    limit: u32,
) -> Result<u64, StoreError> {
    take_numbers(rows, 0).await?;
    let messages = rows.old_messages(instance_id, before, limit).await.map_err(in_table("messages"))?;
    let seqs = match messages.is_empty() {
        true => rows.old_events(instance_id, before, limit).await.map_err(in_table("events"))?,
        false => vec![],
    };
    if messages.is_empty() && seqs.is_empty() {
        return Ok(0);
    }
    let going = rows.going_events(&seqs, &messages).await.map_err(in_table("events"))?;
    let seqs: Vec<i64> = going.iter().map(|event| event.seq).collect();
    let places: Vec<Vec<u8>> = going.into_iter().map(|event| event.body_sha256).collect();
    if !seqs.is_empty() {
        all_written("events", seqs.len(), rows.blank_events(&seqs, &places, EventState::Expired).await?)?;
    }
    forget::messages(rows, &messages).await?;
    // A message without events counts, so that the caller goes on.
    Ok(seqs.len().max(messages.len()) as u64)
}
