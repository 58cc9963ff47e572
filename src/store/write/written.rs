//! Statements that must write all of their rows. A trigger can drop a row without an error, and the commit would then
//! acknowledge what is not stored.

use super::acks::AckRows;
use super::chats::ChatRows;
use super::events::EventRows;
use super::responses::ResponseRows;
use crate::StoreError;
use crate::read::search::SearchRows;
use domain::chat::Chat;
use domain::chat::response_tracker::Response;
use domain::message::MessageKey;
use domain::message::ack::{AckRaise, MessageAck};
use domain::search::SearchEntry;

pub(crate) const MESSAGES: &str = "messages";

/// Checks the number of rows that a statement has written.
///
/// # Errors
/// [`StoreError::Swallowed`] if not all of the rows were written.
pub(crate) fn all_written(table: &'static str, rows: usize, written: u64) -> Result<(), StoreError> {
    if written == rows as u64 { Ok(()) } else { Err(StoreError::Swallowed { table }) }
}

/// Takes `count` numbers off the ledger's clock, and returns the last.
pub(crate) async fn take_numbers(rows: &mut impl EventRows, count: i64) -> Result<i64, StoreError> {
    rows.take_numbers(count).await?.ok_or(StoreError::Swallowed { table: "ledger_clock" })
}

pub(crate) async fn upsert_acks(rows: &mut impl AckRows, acks: &[MessageAck]) -> Result<(), StoreError> {
    all_written("message_acks", acks.len(), rows.upsert_acks(acks).await?)
}

pub(crate) async fn raise_acks(rows: &mut impl AckRows, raises: &[AckRaise]) -> Result<(), StoreError> {
    all_written(MESSAGES, 0, rows.raise_acks(raises).await?)
}

pub(crate) async fn take_over_acks(rows: &mut impl AckRows, keys: &[MessageKey]) -> Result<(), StoreError> {
    all_written(MESSAGES, 0, rows.take_over_acks(keys).await?)
}

pub(crate) async fn save_chats(rows: &mut impl ChatRows, chats: &[Chat]) -> Result<(), StoreError> {
    all_written("chats", chats.len(), rows.save_chats(chats).await?)
}

pub(crate) async fn save_responses(rows: &mut impl ResponseRows, responses: &[Response]) -> Result<(), StoreError> {
    all_written("responses", responses.len(), rows.save_responses(responses).await?)
}

pub(crate) async fn insert_words(rows: &mut impl SearchRows, entries: &[SearchEntry]) -> Result<(), StoreError> {
    all_written("message_search", entries.len(), rows.insert_words(entries).await?)
}
