//! The loader's own ledger, outside the system under test. An event is on disk here before its first byte is sent.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, spawn_blocking};

use super::expected_rows::ExpectedRows;
use super::traffic::SimulatedDelivery;

/// The outcome of an event that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The outcome is not known, at least not yet.
    Unknown,
    /// The server answered 200, and its answer was read completely.
    Acked,
    /// The server said that it did not accept the event.
    Failed,
}

/// An event that was sent.
pub struct Event {
    pub fate: Fate,
    /// The instance that the URL names, or `-` if it names none.
    pub instance: &'static str,
    pub meaning: ExpectedRows,
}

/// Every event that was sent, by the SHA-256 of its body.
pub type SentEvents = HashMap<[u8; 32], Event>;

/// A line to be written, and the sender that reports when it is on disk.
type Line = (String, oneshot::Sender<()>);

pub struct Ledger {
    lines: mpsc::UnboundedSender<Line>,
    writer: JoinHandle<()>,
    sent: Mutex<SentEvents>,
}

impl Ledger {
    pub fn create(path: &Path) -> Self {
        let file = File::create_new(path).expect("the ledger can be made");
        let (lines, written) = mpsc::unbounded_channel();
        Self { lines, writer: spawn_blocking(move || write(file, written)), sent: Mutex::default() }
    }

    /// Notes that an event is about to be sent, and returns when the note is on disk.
    pub async fn sending(&self, delivery: &SimulatedDelivery) {
        note(&mut self.sent.lock().expect("the lock is not poisoned"), delivery, Fate::Unknown);
        self.write(format!("SENT {}\n", hex::encode(delivery.hash()))).await;
    }

    /// Notes the answer.
    pub async fn answered(&self, delivery: &SimulatedDelivery, fate: Fate) {
        let word = match fate {
            Fate::Unknown => "UNKNOWN",
            Fate::Acked => "ACKED",
            Fate::Failed => "FAILED",
        };
        self.write(format!("{word} {}\n", hex::encode(delivery.hash()))).await;
        note(&mut self.sent.lock().expect("the lock is not poisoned"), delivery, fate);
    }

    async fn write(&self, line: String) {
        let (done, on_disk) = oneshot::channel();
        self.lines.send((line, done)).expect("the ledger is open");
        on_disk.await.expect("the ledger is written");
    }

    pub async fn close(self) -> SentEvents {
        drop(self.lines);
        self.writer.await.expect("the ledger is written");
        self.sent.into_inner().expect("the lock is not poisoned")
    }
}

/// Notes the outcome of an event. An event that was acknowledged once stays acknowledged.
pub fn note(sent: &mut SentEvents, delivery: &SimulatedDelivery, fate: Fate) {
    let new = || Event { fate, instance: delivery.instance.unwrap_or("-"), meaning: delivery.meaning.clone() };
    let known = sent.entry(delivery.hash()).or_insert_with(new);
    if known.fate != Fate::Acked {
        known.fate = fate;
    }
}

/// Writes all waiting lines to disk together.
fn write(mut file: File, mut lines: mpsc::UnboundedReceiver<Line>) {
    let mut together = Vec::new();
    while lines.blocking_recv_many(&mut together, 1_000) > 0 {
        let text: String = together.iter().map(|(line, _)| line.as_str()).collect();
        file.write_all(text.as_bytes()).and_then(|()| file.sync_data()).expect("there is room for the ledger");
        for (_, done) in together.drain(..) {
            // The caller may no longer be waiting.
            let _ = done.send(());
        }
    }
}
