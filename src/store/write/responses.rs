//! Who waited for an answer, and had it.

use async_trait::async_trait;

use crate::StoreError;
use domain::chat::response_tracker::{AnswersAround, Response, WaitSpan};
use domain::chat::{ChatKey, MessagePosition};
use domain::time::timestamp::Timestamp;

/// The statements on `responses`, and the look-ups for them, within a transaction.
#[async_trait]
pub(crate) trait ResponseRows {
    /// What stands in `messages` around these seconds, each given by its beginning.
    async fn around(&mut self, touched: &[(ChatKey, Timestamp)]) -> Result<Vec<AnswersAround>, StoreError>;

    /// The first incoming message of each chat from a time on; chats without one are left out. Quick where no outgoing
    /// ones follow that time.
    async fn first_incoming(
        &mut self,
        since: &[(ChatKey, Timestamp)],
    ) -> Result<Vec<(ChatKey, MessagePosition)>, StoreError>;

    async fn delete_responses(&mut self, spans: &[WaitSpan]) -> Result<(), StoreError>;

    /// Writes whole rows, and returns how many were written.
    async fn save_responses(&mut self, responses: &[Response]) -> Result<u64, StoreError>;
}
