//! Moves of messages to another conversation, after more has become known about a person. A move goes through the messages
//! of an id from the newest to the oldest, in pieces.

use async_trait::async_trait;

use super::ChatAlias;
use crate::StoreError;
use crate::error::{all_written, in_table};
use crate::write::folding::{FoldLimit, Written, index_anew};
use crate::write::record::{Rows, update_chats};
use domain::chat::{ChatPlacement, UpdatedMessage};
use domain::instance::InstanceId;
use domain::message::MessageKey;
use domain::message::fold::RecordedMessage;
use domain::time::timestamp::Timestamp;

/// A row of `chat_moves`: messages whose chat has become an alias, or is none any more, and the place that the move has
/// reached.
#[derive(Clone, Debug)]
pub(crate) struct ChatMove {
    pub(crate) instance_id: InstanceId,
    pub(crate) alias: String,
    pub(crate) chat_id: String,
    pub(crate) reached_at: Option<Timestamp>,
    pub(crate) reached_seq: Option<i64>,
}

/// A message that a move comes by.
pub(crate) struct MovingMessage {
    pub(crate) id: String,
    pub(crate) occurred_at: Timestamp,
    pub(crate) seq: i64,
}

/// The statements on moves within a transaction.
#[async_trait]
pub(crate) trait MoveRows {
    /// Begins the moves of the messages of these ids, or begins them anew. Ids without messages need none.
    async fn begin_moves(&mut self, aliases: &[ChatAlias]) -> Result<(), StoreError>;

    /// Returns a move that has not ended.
    async fn unfinished_move(&mut self) -> Result<Option<ChatMove>, StoreError>;

    /// Returns the next messages of a move, newest first. Some of them may state another id.
    async fn messages_to_move(&mut self, it: &ChatMove, limit: u32) -> Result<Vec<MovingMessage>, StoreError>;

    /// Gives messages that state the id of a move its chat, and returns how many.
    async fn place_messages(&mut self, it: &ChatMove, messages: &[MessageKey]) -> Result<u64, StoreError>;

    async fn save_progress(&mut self, it: &ChatMove) -> Result<(), StoreError>;

    async fn end_move(&mut self, it: &ChatMove) -> Result<(), StoreError>;
}

/// A piece of the moves, which was done at once.
#[derive(Default)]
pub(crate) struct MovedPiece {
    /// True if more messages may have to move.
    pub(crate) more: bool,
    /// The number of words and facets that were indexed anew.
    pub(crate) terms: usize,
}

/// Moves at most `limit` messages.
pub(crate) async fn move_messages(rows: &mut dyn Rows, limit: u32) -> Result<MovedPiece, StoreError> {
    let mut piece = MovedPiece::default();
    let Some(mut it) = rows.unfinished_move().await.map_err(in_table("chat_moves"))? else { return Ok(piece) };
    piece.more = true;
    let found = rows.messages_to_move(&it, limit).await.map_err(in_table("messages"))?;
    let last = found.last().map(|message| (message.occurred_at, message.seq));
    let is_last_piece = found.len() < limit as usize;
    let keys = found.into_iter().map(|message| MessageKey { instance_id: it.instance_id.clone(), id: message.id });
    let recorded = rows.recorded(&Vec::from_iter(keys)).await.map_err(in_table("messages"))?;
    let moved = recorded.into_iter().filter(|message| message.stated_chat() == Some(&it.alias));
    let moved: Vec<UpdatedMessage> = moved.filter_map(|message| updated(&it, message)).collect();
    if !moved.is_empty() {
        let keys: Vec<MessageKey> = moved.iter().map(|it| it.message.key()).collect();
        all_written("messages", keys.len(), rows.place_messages(&it, &keys).await?)?;
        rows.move_media(&keys).await?;
        piece.terms = index_anew(rows, &moved, FoldLimit::None).await?;
        update_chats(rows, &Written { rewritten: moved, ..Written::default() }).await?;
    }
    if is_last_piece {
        rows.end_move(&it).await?;
    } else if let Some((at, seq)) = last {
        (it.reached_at, it.reached_seq) = (Some(at), Some(seq));
        rows.save_progress(&it).await?;
    }
    Ok(piece)
}

/// Returns the message in the chat of the move, if it is in another one.
fn updated(it: &ChatMove, recorded: RecordedMessage) -> Option<UpdatedMessage> {
    let before = ChatPlacement::from(&recorded);
    let message = recorded.into_message().in_chat(&it.chat_id);
    let updated = UpdatedMessage { message, before };
    updated.has_moved().then_some(updated)
}
