//! A proxy in front of a database that can cut and delay connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, broadcast};

/// A proxy that forwards connections while it is open.
pub struct Proxy {
    state: Arc<State>,
}

struct State {
    open: AtomicBool,
    cut: Notify,
    /// The number of COMMITs that are still to be forwarded without their answers.
    commits_to_cut: AtomicU64,
    commits_cut: AtomicU64,
    /// The delay of all data in each direction, in milliseconds.
    delay: AtomicU64,
    /// Sends one value for each piece of data from the service: whether a transaction begins with it.
    said: broadcast::Sender<bool>,
}

impl Proxy {
    /// Starts a proxy in front of the server in `url`, and changes `url` to the proxy's address.
    pub async fn start(url: &mut String) -> Self {
        let mut through = url::Url::parse(url).expect("the server has a URL");
        let server = format!("127.0.0.1:{}", through.port().expect("the URL has a port"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address: SocketAddr = listener.local_addr().expect("it is bound");
        through.set_port(Some(address.port())).expect("the URL takes a port");
        *url = through.into();
        let state = Arc::new(State {
            open: AtomicBool::new(true),
            cut: Notify::new(),
            commits_to_cut: AtomicU64::new(0),
            commits_cut: AtomicU64::new(0),
            delay: AtomicU64::new(0),
            said: broadcast::channel(1024).0,
        });
        tokio::spawn(accept(listener, server, state.clone()));
        Self { state }
    }

    /// Cuts every connection; new ones are forwarded.
    pub fn cut(&self) {
        self.state.cut.notify_waiters();
    }

    /// Cuts every connection, and every new one.
    pub fn stop(&self) {
        self.state.open.store(false, Ordering::SeqCst);
        self.cut();
    }

    /// Forwards the next COMMIT, and cuts its connection before the answer.
    pub fn cut_in_commit(&self) {
        self.state.commits_to_cut.fetch_add(1, Ordering::SeqCst);
    }

    pub fn commits_cut(&self) -> u64 {
        self.state.commits_cut.load(Ordering::SeqCst)
    }

    /// Delays all data by this much from now on, in each direction.
    pub fn delay(&self, by: Duration) {
        self.state.delay.store(by.as_millis() as u64, Ordering::SeqCst);
    }

    /// Returns a future that is ready when the next transaction has begun and this many more statements are on their
    /// way.
    pub fn statements_after_begin(&self, statements: u64) -> impl Future<Output = ()> {
        let mut said = self.state.said.subscribe();
        async move {
            while !said.recv().await.expect("the proxy is there") {}
            for _ in 0..statements {
                said.recv().await.expect("the proxy is there");
            }
        }
    }

    pub fn resume(&self) {
        self.state.open.store(true, Ordering::SeqCst);
    }
}

async fn accept(listener: TcpListener, server: String, state: Arc<State>) {
    while let Ok((client, _)) = listener.accept().await {
        if state.open.load(Ordering::SeqCst) {
            tokio::spawn(pass(client, server.clone(), state.clone()));
        }
    }
}

async fn pass(mut client: TcpStream, server: String, state: Arc<State>) {
    let mut server = TcpStream::connect(server).await.expect("the server listens");
    tokio::select! {
        // A connection that ends by itself needs no handling.
        _ = both_ways(&mut client, &mut server, &state) => {}
        () = state.cut.notified() => {}
    }
}

/// Forwards data in both directions until one side closes or a commit is cut.
async fn both_ways(client: &mut TcpStream, server: &mut TcpStream, state: &State) -> std::io::Result<()> {
    let (mut said, mut answered) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        tokio::select! {
            count = client.read(&mut said) => {
                let words = &said[..count?];
                state.hear(words);
                state.wait().await;
                server.write_all(words).await?;
                if words.is_empty() {
                    return Ok(());
                }
                if words.windows(COMMIT.len()).any(|word| word == COMMIT) && state.cuts_this_commit() {
                    return Ok(());
                }
            }
            count = server.read(&mut answered) => {
                let words = &answered[..count?];
                state.wait().await;
                client.write_all(words).await?;
                if words.is_empty() {
                    return Ok(());
                }
            }
        }
    }
}

/// A simple query of this text.
const COMMIT: &[u8] = b"COMMIT\0";
/// The beginning of a simple query.
const BEGIN: &[u8] = b"BEGIN ";

impl State {
    fn hear(&self, words: &[u8]) {
        let begins = words.windows(BEGIN.len()).any(|word| word == BEGIN);
        // There may be no subscriber.
        let _ = self.said.send(begins);
    }

    async fn wait(&self) {
        let delay = Duration::from_millis(self.delay.load(Ordering::SeqCst));
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }

    fn cuts_this_commit(&self) -> bool {
        let one_less = |left: u64| left.checked_sub(1);
        let cuts = self.commits_to_cut.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok();
        self.commits_cut.fetch_add(u64::from(cuts), Ordering::SeqCst);
        cuts
    }
}
