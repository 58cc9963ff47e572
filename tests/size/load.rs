//! Fills a database with the whole history.

use buzon::domain::event::event_id::EventId;
use buzon::domain::time::timestamp::Timestamp;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::history::{Happening, History, Key, Message};
use super::rows::Batch;
use super::{Scale, postgres, sqlite};
use crate::support::database::world::{Backend, World};

/// The number of events that are written together.
const TOGETHER: i64 = 20_000;
/// The number of messages that are remembered for questions.
const SAMPLED: u64 = 2_000;

/// A sample of the messages, for questions about them.
pub struct MessageSample {
    /// The messages in the order of their arrival.
    pub messages: Vec<SampledMessage>,
    /// One message in this many is remembered.
    pub step: u64,
    pub greatest_chat: String,
}

pub struct SampledMessage {
    pub seq: i64,
    pub event: EventId,
    pub key: Key,
    pub chat_id: String,
    pub from: String,
    pub quoted: Option<String>,
    pub at: Timestamp,
}

enum Loader {
    Sqlite(sqlite::Loader),
    Postgres(postgres::Loader),
}

/// Fills a migrated database, unless it was filled before.
pub async fn load(world: &World, scale: Scale) -> MessageSample {
    let (sender, mut batches) = mpsc::channel::<Batch>(2);
    let mut loader = Loader::open(world).await;
    // Rows are made on one thread while others are written.
    let told = tokio::task::spawn_blocking(move || generate(scale, &sender));
    while let Some(batch) = batches.recv().await {
        match &mut loader {
            Some(Loader::Sqlite(loader)) => loader.write(&batch).await,
            Some(Loader::Postgres(loader)) => loader.write(&batch).await,
            None => {}
        }
    }
    let (sample, last_seq) = told.await.expect("the history ends");
    match loader {
        Some(Loader::Sqlite(loader)) => loader.finish(last_seq).await,
        Some(Loader::Postgres(loader)) => loader.finish(last_seq).await,
        None => {}
    }
    sample
}

impl Loader {
    async fn open(world: &World) -> Option<Self> {
        if world.value("SELECT seq FROM ledger_clock").await != "0" {
            return None;
        }
        Some(match world.backend {
            Backend::Sqlite => Self::Sqlite(sqlite::Loader::open(&world.url).await),
            Backend::Postgres => Self::Postgres(postgres::Loader::open(&world.url).await),
        })
    }
}

fn generate(scale: Scale, batches: &mpsc::Sender<Batch>) -> (MessageSample, i64) {
    let (mut history, mut batch, mut seq, mut messages) = (History::new(scale), Batch::default(), 0, 0);
    let step = (scale.messages / SAMPLED).max(1);
    let greatest_chat = history.chats()[0].id.to_string();
    let mut sample = MessageSample { messages: vec![], step, greatest_chat };
    let send = |batch| batches.blocking_send(batch).expect("rows are written");
    for arrival in history.by_ref() {
        seq += 1;
        batch.add(&arrival, seq, scale.bodies());
        if let Happening::Message(message) = &arrival.what {
            messages += 1;
            if messages % step == 0 {
                sample.messages.push(SampledMessage::of(message, seq, &arrival.body()));
            }
        }
        if seq % TOGETHER == 0 {
            send(std::mem::take(&mut batch));
        }
    }
    batch.add_chats(history.chats());
    send(batch);
    (sample, seq)
}

impl SampledMessage {
    fn of(message: &Message, seq: i64, body: &[u8]) -> Self {
        Self {
            seq,
            event: EventId::new(message.key.0.clone(), &Sha256::digest(body)),
            key: message.key.clone(),
            chat_id: message.chat_id.to_string(),
            from: message.from.to_string(),
            quoted: message.quoted.as_deref().map(str::to_owned),
            at: message.sent_at,
        }
    }
}
