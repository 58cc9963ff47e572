//! Clients that send what a source makes, without end, wherever the server is at the moment.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::ledger::{Fate, Ledger, Sent};
use super::source::Source;
use crate::support::events::{SECRET, sign};
use crate::support::eventually_within;

const CLIENTS: usize = 24;

/// For a server that is coming back.
const PATIENCE: Duration = Duration::from_secs(90);

/// A client that hears nothing for so long goes on with the next event.
const ANSWER_WAIT: Duration = Duration::from_secs(20);

pub struct Loader {
    shared: Arc<Shared>,
    clients: JoinSet<()>,
    addresses: watch::Sender<Vec<SocketAddr>>,
    _folder: TempDir,
}

struct Shared {
    source: Mutex<Source>,
    ledger: Ledger,
    acked: AtomicU64,
    over: AtomicBool,
}

impl Loader {
    pub fn start(seed: u64, server: SocketAddr) -> Self {
        Self::start_on(seed, vec![server])
    }

    /// Sends to several servers; what is sent again may come to another.
    pub fn start_on(seed: u64, servers: Vec<SocketAddr>) -> Self {
        let folder = tempfile::tempdir().expect("there is a temporary folder");
        let ledger = Ledger::create(&folder.path().join("ledger"));
        let source = Mutex::new(Source::new(seed));
        let shared = Arc::new(Shared { source, ledger, acked: AtomicU64::new(0), over: AtomicBool::new(false) });
        let (addresses, _) = watch::channel(servers);
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            clients.spawn(send(shared.clone(), addresses.subscribe(), client));
        }
        Self { shared, clients, addresses, _folder: folder }
    }

    /// The server is elsewhere now.
    pub fn turn_to(&self, server: SocketAddr) {
        self.addresses.send_replace(vec![server]);
    }

    pub fn acked(&self) -> u64 {
        self.shared.acked.load(Ordering::Relaxed)
    }

    /// Waits until so many more events are acknowledged.
    pub async fn gets_on(&self, events: u64) {
        let goal = self.acked() + events;
        eventually_within(PATIENCE, "events are acknowledged", async || self.acked() >= goal).await;
    }

    /// Lets every client end what it is at, and returns what was sent.
    pub async fn end(self) -> Sent {
        self.shared.over.store(true, Ordering::Relaxed);
        self.clients.join_all().await;
        let shared = Arc::into_inner(self.shared).expect("the clients have ended");
        shared.ledger.close().await
    }
}

async fn send(shared: Arc<Shared>, addresses: watch::Receiver<Vec<SocketAddr>>, client: usize) {
    let http = crate::support::client();
    for n in client.. {
        if shared.over.load(Ordering::Relaxed) {
            return;
        }
        let delivery = shared.source.lock().expect("nobody panics with it").next();
        let body: [u8; 32] = Sha256::digest(&delivery.body).into();
        let address = {
            let addresses = addresses.borrow();
            addresses[n % addresses.len()]
        };
        shared.ledger.sending(body).await;
        let signature = sign(SECRET, &delivery.body);
        let request = http.post(format!("http://{address}{}", delivery.path)).header("X-Whapi-Signature", signature);
        let fate = match request.body(delivery.body).timeout(ANSWER_WAIT).send().await {
            Ok(response) if response.status() == 200 => match response.bytes().await {
                Ok(_) => Fate::Acked,
                Err(_) => Fate::Unknown,
            },
            Ok(_) => Fate::Failed,
            Err(_) => Fate::Unknown,
        };
        shared.ledger.answered(body, fate).await;
        match fate {
            Fate::Acked => drop(shared.acked.fetch_add(1, Ordering::Relaxed)),
            // A server that is away is not asked a thousand times a second.
            Fate::Unknown | Fate::Failed => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}
