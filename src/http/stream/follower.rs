//! One stream: reads what is new and hands it to its client, chunk by chunk.

use std::sync::Arc;

use actix_web::web::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout_at};

use super::feed::{FeedAnswer, FeedItem};
use super::streams::Streams;
use crate::http::auth::access::Caller;
use crate::http::limits::fair_semaphore::FairPermit;
use store::FeedFilter;

/// After how many milliseconds a client connects again.
const RETRY_MILLIS: u32 = 2_000;
/// Who follows the ledger, and how far they are.
pub struct Follower {
    streams: Arc<Streams>,
    reader: Caller,
    filter: FeedFilter,
    position: i64,
    latest: watch::Receiver<i64>,
    /// Holds one chunk: more than that and what the sockets hold is in memory for nobody.
    chunks: mpsc::Sender<Bytes>,
    spoke_at: Instant,
    _slot: FairPermit,
}

/// The client does not take what it is sent.
struct Slow;

impl Follower {
    /// Follows from `position` on. The chunks come out of what is returned with it; they end when the stream does.
    pub fn new(
        streams: Arc<Streams>,
        reader: Caller,
        filter: FeedFilter,
        position: i64,
        slot: FairPermit,
    ) -> (Self, mpsc::Receiver<Bytes>) {
        let (chunks, taken) = mpsc::channel(1);
        let (latest, spoke_at) = (streams.latest(), Instant::now());
        (Self { streams, reader, filter, position, latest, chunks, spoke_at, _slot: slot }, taken)
    }

    /// Until the client goes or does not read, its token ends, or the service does. The connection of one who does not
    /// read is closed when they read again or go: until then it holds what the sockets hold, and no place of a stream.
    pub async fn run(mut self) {
        let (streams, reader, chunks) = (self.streams.clone(), self.reader.clone(), self.chunks.clone());
        tokio::select! {
            Err(Slow) = self.follow() => {}
            () = chunks.closed() => {}
            () = streams.expelled(&reader) => {}
            () = streams.stop.cancelled() => {}
        }
    }

    async fn follow(&mut self) -> Result<(), Slow> {
        self.say(format!("retry: {RETRY_MILLIS}\n{}", place(self.position))).await?;
        loop {
            match self.streams.read(&self.reader.scope, &self.filter, self.position).await {
                Ok(page) => {
                    let more = page.more;
                    self.position = page.next_since_seq;
                    self.show(page).await?;
                    if !more {
                        self.wait().await?;
                    }
                }
                // The position stays, so nothing is lost.
                Err(_) => {
                    sleep(self.streams.pace.retry).await;
                    self.beat_if_due().await?;
                }
            }
        }
    }

    /// Sends a page; of one without items, where it ended, if the way to the next items is long.
    async fn show(&mut self, FeedAnswer { data, more, .. }: FeedAnswer) -> Result<(), Slow> {
        let items: String = data.iter().map(frame).collect();
        // The client may take its time.
        drop(data);
        match (items.is_empty(), more) {
            (false, _) => self.say(items).await,
            (true, true) => self.say(place(self.position)).await,
            (true, false) => self.beat_if_due().await,
        }
    }

    /// Waits until there is something new.
    async fn wait(&mut self) -> Result<(), Slow> {
        loop {
            let (position, heartbeat) = (self.position, self.spoke_at + self.streams.pace.heartbeat);
            let news = self.latest.wait_for(|latest| *latest > position);
            if timeout_at(heartbeat, news).await.is_ok() {
                return Ok(());
            }
            self.beat_if_due().await?;
        }
    }

    /// Tells a client that was told nothing for a while that the stream is there, and where it is.
    async fn beat_if_due(&mut self) -> Result<(), Slow> {
        if Instant::now() < self.spoke_at + self.streams.pace.heartbeat {
            return Ok(());
        }
        self.say(format!(": still here\n{}", place(self.position))).await
    }

    async fn say(&mut self, text: String) -> Result<(), Slow> {
        self.chunks.send_timeout(Bytes::from(text), self.streams.pace.patience).await.map_err(|_| Slow)?;
        self.spoke_at = Instant::now();
        Ok(())
    }
}

/// Where a client that connects again goes on; without data it is no event.
fn place(position: i64) -> String {
    format!("id: {position}\n\n")
}

/// The name is never one that an event from outside chose: a browser has handlers of its own for `error` and `open`.
fn frame(item: &FeedItem) -> String {
    let name = match item {
        FeedItem::Event(_) => "event",
        FeedItem::Media(_) => "media",
    };
    let data = serde_json::to_string(item).expect("what the API answers is JSON");
    format!("id: {}\nevent: {name}\ndata: {data}\n\n", item.seq())
}
