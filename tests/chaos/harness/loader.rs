//! Clients that keep sending what a traffic source makes, wherever the server is at the moment.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Client;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::ledger::{Fate, Ledger, SentEvents};
use super::traffic::{SimulatedDelivery, TrafficSource};
use crate::support::events::{SECRET, sign};
use crate::support::eventually_within;

const CLIENTS: usize = 24;

/// The time that a server may take to come back.
const PATIENCE: Duration = Duration::from_secs(90);

const REST: Duration = Duration::from_millis(20);

/// A client that gets no answer within this time goes on with the next event.
const ANSWER_WAIT: Duration = Duration::from_secs(20);

pub struct Loader {
    shared: Arc<Shared>,
    clients: JoinSet<()>,
    addresses: watch::Sender<Vec<SocketAddr>>,
    _folder: TempDir,
}

struct Shared {
    source: Mutex<TrafficSource>,
    ledger: Ledger,
    acked: AtomicU64,
    failed: AtomicU64,
    over: AtomicBool,
}

impl Loader {
    pub fn start(seed: u64, server: SocketAddr) -> Self {
        Self::start_on(seed, vec![server])
    }

    /// Sends every event to all of the servers at once.
    pub fn start_on(seed: u64, servers: Vec<SocketAddr>) -> Self {
        let folder = tempfile::tempdir().expect("there is a temporary folder");
        let ledger = Ledger::create(&folder.path().join("ledger"));
        let source = Mutex::new(TrafficSource::new(seed));
        let shared = Arc::new(Shared {
            source,
            ledger,
            acked: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            over: AtomicBool::new(false),
        });
        let (addresses, _) = watch::channel(servers);
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            clients.spawn(send(shared.clone(), addresses.subscribe()));
        }
        Self { shared, clients, addresses, _folder: folder }
    }

    /// Notes an event that the caller sends itself and whose answer may never be known.
    pub async fn note(&self, delivery: &SimulatedDelivery) {
        self.shared.ledger.sending(delivery).await;
    }

    /// Sends all further events to these servers.
    pub fn send_to(&self, servers: Vec<SocketAddr>) {
        self.addresses.send_replace(servers);
    }

    pub fn acked(&self) -> u64 {
        self.shared.acked.load(Ordering::Relaxed)
    }

    /// Returns how often a server said that it did not accept an event.
    pub fn failed(&self) -> u64 {
        self.shared.failed.load(Ordering::Relaxed)
    }

    /// Waits until this many more events are acknowledged.
    pub async fn wait_for_acks(&self, events: u64) {
        let goal = self.acked() + events;
        eventually_within(PATIENCE, "events are acknowledged", async || self.acked() >= goal).await;
    }

    /// Lets every client finish its request, and returns what was sent.
    pub async fn end(self) -> SentEvents {
        self.shared.over.store(true, Ordering::Relaxed);
        self.clients.join_all().await;
        let shared = Arc::into_inner(self.shared).expect("the clients have ended");
        shared.ledger.close().await
    }
}

async fn send(shared: Arc<Shared>, addresses: watch::Receiver<Vec<SocketAddr>>) {
    let http = crate::support::client();
    while !shared.over.load(Ordering::Relaxed) {
        let (delivery, impatience) = {
            let mut source = shared.source.lock().expect("the lock is not poisoned");
            (source.next(), source.impatience())
        };
        let patience = impatience.map_or(ANSWER_WAIT, Duration::from_millis);
        let addresses = addresses.borrow().clone();
        shared.ledger.sending(&delivery).await;
        let fates = join_all(addresses.into_iter().map(|address| post(&http, address, &delivery, patience))).await;
        // The event is safe if any of the servers accepted it.
        let fate = [Fate::Acked, Fate::Unknown, Fate::Failed].into_iter().find(|fate| fates.contains(fate));
        let fate = fate.expect("there is a server");
        shared.ledger.answered(&delivery, fate).await;
        shared.failed.fetch_add(u64::from(fate == Fate::Failed), Ordering::Relaxed);
        if fate == Fate::Acked {
            shared.acked.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        shared.source.lock().expect("the lock is not poisoned").send_again_later(delivery);
        if impatience.is_none() {
            // The pause keeps the clients from asking an unreachable server a thousand times a second.
            tokio::time::sleep(REST).await;
        }
    }
}

/// Posts an event. A client that loses its patience closes its connection, wherever the server is with the request.
async fn post(http: &Client, address: SocketAddr, delivery: &SimulatedDelivery, patience: Duration) -> Fate {
    let request = http.post(format!("http://{address}{}", delivery.path()));
    let request = request.header("X-Whapi-Signature", sign(SECRET, &delivery.body)).timeout(patience);
    match request.body(delivery.body.clone()).send().await {
        Ok(response) if response.status() == 200 => match response.bytes().await {
            Ok(_) => Fate::Acked,
            Err(_) => Fate::Unknown,
        },
        Ok(_) => Fate::Failed,
        Err(_) => Fate::Unknown,
    }
}
