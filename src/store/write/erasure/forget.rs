//! Removes messages and all that followed from them, so that the tables are as if their events had never come.

use crate::StoreError;
use crate::error::in_table;
use crate::write::folding::Written;
use crate::write::record::{Rows, update_chats};
use domain::chat::{ChatPlacement, UpdatedMessage};
use domain::message::MessageKey;
use domain::message::fold::RecordedMessage;

/// Removes these messages, and notes the objects of their files. Returns the number of messages and of objects.
pub(crate) async fn messages(rows: &mut dyn Rows, keys: &[MessageKey]) -> Result<(usize, usize), StoreError> {
    if keys.is_empty() {
        return Ok((0, 0));
    }
    let recorded = rows.recorded(keys).await.map_err(in_table("messages"))?;
    let removed: Vec<UpdatedMessage> = recorded.into_iter().map(in_no_chat).collect();
    if !removed.is_empty() {
        rows.delete_words(&Vec::from_iter(removed.iter().map(UpdatedMessage::place_before))).await?;
    }
    let objects = rows.delete_messages(keys).await.map_err(in_table("media"))?;
    if !objects.is_empty() {
        rows.add_removals(&objects).await?;
    }
    let count = removed.len();
    update_chats(rows, &Written { rewritten: removed, ..Written::default() }).await?;
    Ok((count, objects.len()))
}

/// Returns a message as one that has left its chat.
fn in_no_chat(recorded: RecordedMessage) -> UpdatedMessage {
    let before = ChatPlacement::from(&recorded);
    let mut message = recorded.into_message();
    message.fields.chat_id = None;
    UpdatedMessage { message, before }
}
