//! A single stream: reads new items and hands them to its client, chunk by chunk.

use std::sync::Arc;

use actix_web::web::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout_at};

use super::feed::{FeedItem, FeedResponse};
use super::streams::{StreamSlot, Streams};
use crate::http::auth::access::Caller;
use crate::http::problem::Problem;
use domain::page::position::{History, Position};
use store::FeedFilter;

/// The number of milliseconds after which a client reconnects.
const RETRY_MILLIS: u32 = 2_000;

/// A client that follows the ledger, and its position.
pub struct Follower {
    streams: Arc<Streams>,
    caller: Caller,
    filter: FeedFilter,
    position: Position,
    latest: watch::Receiver<i64>,
    /// Holds one chunk. Beside it only the sockets hold data of a client that does not read.
    chunks: mpsc::Sender<Bytes>,
    sent_at: Instant,
    _slot: StreamSlot,
}

/// The reason why a stream ends by itself.
enum StreamEnd {
    /// The client does not read what is sent.
    SlowClient,
    /// The database was restored. The client hears of it when it reconnects.
    OtherHistory,
}

impl Follower {
    /// Follows the ledger after `position`. The receiver has the chunks, and ends with the stream.
    pub fn new(
        streams: Arc<Streams>,
        caller: Caller,
        filter: FeedFilter,
        position: Position,
        slot: StreamSlot,
    ) -> (Self, mpsc::Receiver<Bytes>) {
        let (chunks, taken) = mpsc::channel(1);
        let (latest, sent_at) = (streams.latest(), Instant::now());
        (Self { streams, caller, filter, position, latest, chunks, sent_at, _slot: slot }, taken)
    }

    /// Runs until the client disconnects or does not read, its token is no longer valid, or the service stops. The
    /// connection of a client that does not read is closed when the client reads again or disconnects: until then it holds
    /// the data in its sockets, but no slot of a stream.
    pub async fn run(mut self) {
        let (streams, caller, chunks) = (self.streams.clone(), self.caller.clone(), self.chunks.clone());
        tokio::select! {
            Err(_) = self.follow() => {}
            () = chunks.closed() => {}
            () = streams.expelled(&caller) => {}
            () = streams.stop.cancelled() => {}
        }
    }

    async fn follow(&mut self) -> Result<(), StreamEnd> {
        self.send(format!("retry: {RETRY_MILLIS}\n{}", position_frame(self.position))).await?;
        loop {
            match self.streams.read(&self.caller.scope, &self.filter, self.position).await {
                Ok(page) => {
                    let more = page.more;
                    self.position = page.end();
                    self.send_page(page).await?;
                    if !more {
                        self.wait().await?;
                    }
                }
                Err(Problem::PositionOfAnotherHistory) => return Err(StreamEnd::OtherHistory),
                // The position stays, so nothing is lost.
                Err(_) => {
                    sleep(self.streams.pace.retry).await;
                    self.send_heartbeat_if_due().await?;
                }
            }
        }
    }

    /// Sends a page. If it has no items and more follow, sends its end, so that the client makes progress.
    async fn send_page(&mut self, FeedResponse { data, more, .. }: FeedResponse) -> Result<(), StreamEnd> {
        let history = self.position.history;
        let items: String = data.iter().map(|item| frame(history, item)).collect();
        // The items are not needed while the client reads slowly.
        drop(data);
        match (items.is_empty(), more) {
            (false, _) => self.send(items).await,
            (true, true) => self.send(position_frame(self.position)).await,
            (true, false) => self.send_heartbeat_if_due().await,
        }
    }

    /// Waits until there is a new event.
    async fn wait(&mut self) -> Result<(), StreamEnd> {
        loop {
            let (position, heartbeat) = (self.position.seq, self.sent_at + self.streams.pace.heartbeat);
            let news = self.latest.wait_for(|latest| *latest > position);
            if timeout_at(heartbeat, news).await.is_ok() {
                return Ok(());
            }
            self.send_heartbeat_if_due().await?;
        }
    }

    /// Sends a heartbeat with the position if nothing was sent for a while.
    async fn send_heartbeat_if_due(&mut self) -> Result<(), StreamEnd> {
        if Instant::now() < self.sent_at + self.streams.pace.heartbeat {
            return Ok(());
        }
        self.send(format!(": still here\n{}", position_frame(self.position))).await
    }

    async fn send(&mut self, text: String) -> Result<(), StreamEnd> {
        self.chunks
            .send_timeout(Bytes::from(text), self.streams.pace.patience)
            .await
            .map_err(|_| StreamEnd::SlowClient)?;
        self.sent_at = Instant::now();
        Ok(())
    }
}

/// Sets the position from which a reconnecting client continues. Without data this is no event for the client.
fn position_frame(position: Position) -> String {
    format!("id: {}\n\n", position.encode())
}

/// Formats an item. Its name is never the type of the event, which outsiders choose: a browser has handlers of its own for
/// `error` and `open`.
fn frame(history: History, item: &FeedItem) -> String {
    let name = match item {
        FeedItem::Event(_) => "event",
        FeedItem::Media(_) => "media",
        FeedItem::Chat(_) => "chat",
    };
    let data = serde_json::to_string(item).expect("what the API answers is JSON");
    let position = Position { history, seq: item.seq() }.encode();
    format!("id: {position}\nevent: {name}\ndata: {data}\n\n")
}
