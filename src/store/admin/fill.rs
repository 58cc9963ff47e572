//! Working out what reading needs for the messages of a database that was there before it: in pieces, each a
//! transaction of its own that holds the ledger's clock. So it may be killed at any time and goes on where it was, and
//! other processes record their batches between the pieces.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tracing::info;

use crate::StoreError;
use crate::write::record::Rows;
use crate::write::written::{insert_words, save_chats, save_responses, take_over_acks};
use domain::chat::chat_id;
use domain::chat::response_tracker::{ChatMessage, ResponseChanges, ResponseTracker, WaitSpan};
use domain::chat::{Chat, ChatKey};
use domain::event::batch::fold_media;
use domain::message::MessageKey;
use domain::search::{MAX_UNFOLDED_BYTES, SearchEntry, first_words};
use domain::time::timestamp::Timestamp;

/// Messages in a piece. Their bodies are read, each as far as its words are.
const MESSAGES: u32 = 200;

/// In characters, each of which has at least a byte: one more, so that a longer body is seen to be cut.
pub(crate) const ENOUGH_OF_A_BODY: i32 = MAX_UNFOLDED_BYTES as i32 + 1;

/// Chats in a piece, and about how many messages these may have: of them, little more than the time is read.
const CHATS: u32 = 1_000;
const MESSAGES_OF_CHATS: i64 = 20_000;

/// What is filled next: the rows after a key, which is of the instance and the row.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Progress {
    Messages(String, String),
    Chats(String, String),
}

/// A message as far as something is worked out of it.
pub(crate) struct Unfilled {
    pub key: MessageKey,
    pub chat_id: Option<String>,
    pub occurred_at: Timestamp,
    pub body: Option<String>,
    pub has_media: bool,
}

/// The statements for it.
#[async_trait]
pub(crate) trait FillRows {
    /// Begins a piece, which may take its time.
    async fn begin_piece(&mut self) -> Result<(), StoreError>;

    async fn commit_piece(&mut self) -> Result<(), StoreError>;

    /// Whether everything is filled, and if not, how far that has come.
    async fn filled(&mut self) -> Result<(bool, Option<String>), StoreError>;

    async fn save_filled(&mut self, filled: bool, up_to: Option<&str>) -> Result<(), StoreError>;

    /// The messages after a key, in the order of their keys.
    async fn messages_after(&mut self, after: (&str, &str), limit: u32) -> Result<Vec<Unfilled>, StoreError>;

    /// The chats after a key and how many messages each has, in the order of their keys.
    async fn chats_after(&mut self, after: (&str, &str), limit: u32) -> Result<Vec<(ChatKey, i64)>, StoreError>;

    /// All messages of these chats.
    async fn turns(&mut self, chats: &[ChatKey]) -> Result<Vec<(ChatKey, ChatMessage)>, StoreError>;
}

/// Fills what is not filled. After an error, the connection is of no use any more.
pub(crate) async fn fill(rows: &mut (impl Rows + FillRows)) -> Result<(), StoreError> {
    if rows.filled().await?.0 {
        return Ok(());
    }
    info!("working out who waits, delivery times and the words of all messages; this is done once");
    while !piece(rows).await? {}
    info!("everything is worked out");
    Ok(())
}

/// Fills one piece, and says whether it was the last.
async fn piece(rows: &mut (impl Rows + FillRows)) -> Result<bool, StoreError> {
    rows.begin_piece().await?;
    rows.take_numbers(0).await?;
    let (mut filled, up_to) = rows.filled().await?;
    if !filled {
        let next = match Progress::read(up_to.as_deref())? {
            Progress::Messages(instance_id, id) => Some(fill_messages(rows, (&instance_id, &id)).await?),
            Progress::Chats(instance_id, chat_id) => fill_chats(rows, (&instance_id, &chat_id)).await?,
        };
        filled = next.is_none();
        rows.save_filled(filled, next.map(|next| next.write()).as_deref()).await?;
    }
    rows.commit_piece().await?;
    Ok(filled)
}

impl Progress {
    fn read(up_to: Option<&str>) -> Result<Self, StoreError> {
        let Some(up_to) = up_to else { return Ok(Self::Messages(String::new(), String::new())) };
        serde_json::from_str(up_to)
            .map_err(|_| StoreError::Unavailable(format!("installation.derived_up_to holds {up_to:?}")))
    }

    fn write(&self) -> String {
        serde_json::to_string(self).expect("text is JSON")
    }
}

async fn fill_messages(rows: &mut (impl Rows + FillRows), after: (&str, &str)) -> Result<Progress, StoreError> {
    let messages = rows.messages_after(after, MESSAGES).await?;
    let keys: Vec<MessageKey> = messages.iter().map(|message| message.key.clone()).collect();
    let Some(MessageKey { instance_id, id }) = keys.last() else {
        return Ok(Progress::Chats(String::new(), String::new()));
    };
    take_over_acks(rows, &keys).await?;
    let with_media: Vec<MessageKey> =
        messages.iter().filter(|message| message.has_media).map(|message| message.key.clone()).collect();
    if !with_media.is_empty() {
        let (mut jobs, mut reached) = (vec![], Some(0));
        while let Some(after) = reached {
            let page = rows.copies(&with_media, after, i64::MAX).await?;
            jobs.extend(page.copies.iter().filter_map(|it| it.copy.media_job(&it.instance_id, it.received_at)));
            reached = page.reached;
        }
        rows.describe_media(&fold_media(jobs)).await?;
    }
    let times = messages.iter().map(|message| message.occurred_at);
    rows.delete_words(&Vec::from_iter(keys.iter().cloned().zip(times))).await?;
    let entries: Vec<SearchEntry> = messages.into_iter().filter_map(Unfilled::entry).collect();
    if !entries.is_empty() {
        insert_words(rows, &entries).await?;
    }
    Ok(Progress::Messages(instance_id.as_str().to_owned(), id.clone()))
}

impl Unfilled {
    fn entry(self) -> Option<SearchEntry> {
        SearchEntry::new(self.key, self.chat_id.as_deref(), self.occurred_at, first_words(&self.body?))
    }
}

async fn fill_chats(rows: &mut (impl Rows + FillRows), after: (&str, &str)) -> Result<Option<Progress>, StoreError> {
    let keys = first_chats(rows.chats_after(after, CHATS).await?);
    let Some(ChatKey { instance_id, chat_id }) = keys.last() else { return Ok(None) };
    let mut chats = rows.chats(&keys).await?;
    let waiting: Vec<ChatKey> = keys.iter().filter(|key| chat_id::can_wait(&key.chat_id)).cloned().collect();
    if !waiting.is_empty() {
        take_all_turns(rows, &mut chats, waiting).await?;
    }
    // What follows from the id of a chat is written when its row is made, and these may be older than such columns.
    rows.delete_chats(&keys).await?;
    save_chats(rows, &chats).await?;
    Ok(Some(Progress::Chats(instance_id.as_str().to_owned(), chat_id.clone())))
}

/// As many chats as have no more messages than a piece may have; at least one.
fn first_chats(chats: Vec<(ChatKey, i64)>) -> Vec<ChatKey> {
    let mut messages = 0;
    let fits = |(place, (_, count)): &(usize, (ChatKey, i64))| {
        messages += count;
        *place == 0 || messages <= MESSAGES_OF_CHATS
    };
    chats.into_iter().enumerate().take_while(fits).map(|(_, (key, _))| key).collect()
}

/// Says of whole chats who waits and who was answered.
async fn take_all_turns(
    rows: &mut (impl Rows + FillRows),
    chats: &mut [Chat],
    keys: Vec<ChatKey>,
) -> Result<(), StoreError> {
    let mut of_chats = BTreeMap::<ChatKey, BTreeSet<ChatMessage>>::new();
    for (key, turn) in rows.turns(&keys).await? {
        of_chats.entry(key).or_default().insert(turn);
    }
    let mut turns = ResponseChanges::default();
    for chat in chats.iter_mut().filter(|chat| chat_id::can_wait(&chat.chat_id)) {
        let key = chat.key();
        let followed = ResponseTracker::default().follow(of_chats.remove(&key).unwrap_or_default());
        chat.waiting = turns.add(&key, followed, chat.last_outgoing.as_ref());
    }
    rows.delete_responses(&Vec::from_iter(keys.into_iter().map(WaitSpan::all))).await?;
    let responses = turns.responses(vec![]);
    if !responses.is_empty() {
        save_responses(rows, &responses).await?;
    }
    Ok(())
}
