//! Responses: each is a message that waited for an answer, and the message that answered it.

use async_trait::async_trait;
use serde::Serialize;

use super::chats::mark;
use crate::StoreError;
use domain::chat::chat_kind::ChatKind;
use domain::chat::response_tracker::{AnswerSecond, AnswersAround, Questions, Response, WaitSpan};
use domain::chat::{ChatKey, MessagePosition};
use domain::instance::InstanceId;
use domain::time::timestamp::Timestamp;

/// The statements on `responses`, and the look-ups for them, within a transaction.
#[async_trait]
pub(crate) trait ResponseRows {
    /// Returns what stands in `messages` around these seconds, each given by its beginning.
    async fn around(&mut self, touched: &[(ChatKey, Timestamp)]) -> Result<Vec<AnswersAround>, StoreError>;

    /// Returns the incoming messages of each chat from a time on; chats without one are left out. Quick where no
    /// outgoing ones follow that time.
    async fn questions_since(
        &mut self,
        since: &[(ChatKey, Timestamp)],
    ) -> Result<Vec<(ChatKey, Questions)>, StoreError>;

    async fn delete_responses(&mut self, spans: &[WaitSpan]) -> Result<(), StoreError>;

    /// Writes whole rows, and returns how many were written.
    async fn save_responses(&mut self, responses: &[Response]) -> Result<u64, StoreError>;
}

/// The columns of a row of `responses`.
#[derive(Serialize)]
pub(crate) struct ResponseColumns<'r> {
    pub(crate) instance_id: &'r InstanceId,
    pub(crate) chat_id: &'r str,
    pub(crate) kind: ChatKind,
    pub(crate) waiting_since: Timestamp,
    pub(crate) incoming_id: &'r str,
    pub(crate) last_asked_at: Timestamp,
    pub(crate) answered_at: Timestamp,
    pub(crate) outgoing_id: &'r str,
    pub(crate) seconds: i64,
    pub(crate) seconds_from_last: i64,
}

impl<'r> From<&'r Response> for ResponseColumns<'r> {
    fn from(response: &'r Response) -> Self {
        Self {
            instance_id: &response.instance_id,
            chat_id: &response.chat_id,
            kind: ChatKind::of(&response.chat_id),
            waiting_since: response.questions.first.occurred_at,
            incoming_id: &response.questions.first.message_id,
            last_asked_at: response.questions.last_at,
            answered_at: response.outgoing.occurred_at,
            outgoing_id: &response.outgoing.message_id,
            seconds: response.seconds(),
            seconds_from_last: response.seconds_from_last(),
        }
    }
}

/// The columns of the messages that stand around a second of a chat.
pub(crate) struct AroundColumns {
    pub(crate) instance_id: InstanceId,
    pub(crate) chat_id: String,
    pub(crate) before: Option<Timestamp>,
    pub(crate) next_at: Option<Timestamp>,
    pub(crate) next_id: Option<String>,
    pub(crate) next_seq: Option<i64>,
    pub(crate) asked_at: Option<Timestamp>,
    pub(crate) asked_id: Option<String>,
    pub(crate) asked_seq: Option<i64>,
    pub(crate) last_asked_at: Option<Timestamp>,
    pub(crate) after_at: Option<Timestamp>,
    pub(crate) after_id: Option<String>,
    pub(crate) after_seq: Option<i64>,
    pub(crate) asked_after_at: Option<Timestamp>,
    pub(crate) asked_after_id: Option<String>,
    pub(crate) asked_after_seq: Option<i64>,
    pub(crate) last_asked_after_at: Option<Timestamp>,
}

impl From<AroundColumns> for AnswersAround {
    fn from(row: AroundColumns) -> Self {
        Self {
            chat: ChatKey { instance_id: row.instance_id, chat_id: row.chat_id },
            before: row.before,
            next: answer(
                mark(row.next_at, row.next_id, row.next_seq),
                questions(mark(row.asked_at, row.asked_id, row.asked_seq), row.last_asked_at),
            ),
            after: answer(
                mark(row.after_at, row.after_id, row.after_seq),
                questions(mark(row.asked_after_at, row.asked_after_id, row.asked_after_seq), row.last_asked_after_at),
            ),
        }
    }
}

fn answer(outgoing: Option<MessagePosition>, questions: Option<Questions>) -> Option<AnswerSecond> {
    Some(AnswerSecond { outgoing: outgoing?, questions })
}

pub(crate) fn questions(first: Option<MessagePosition>, last_at: Option<Timestamp>) -> Option<Questions> {
    Some(Questions { first: first?, last_at: last_at? })
}
