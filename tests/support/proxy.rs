//! A way to the database that can be cut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// Passes every connection on, as long as it is open.
pub struct Proxy {
    state: Arc<State>,
}

struct State {
    open: AtomicBool,
    cut: Notify,
    /// How many commits are to be passed on without their answers.
    commits_to_cut: AtomicU64,
    commits_cut: AtomicU64,
}

impl Proxy {
    /// Puts itself before the server that `url` names.
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
        });
        tokio::spawn(accept(listener, server, state.clone()));
        Self { state }
    }

    /// Cuts every connection; new ones are passed on.
    pub fn cut(&self) {
        self.state.cut.notify_waiters();
    }

    /// Cuts every connection, and every new one.
    pub fn stop(&self) {
        self.state.open.store(false, Ordering::SeqCst);
        self.cut();
    }

    /// Passes on the next COMMIT, and cuts its connection before the answer.
    pub fn cut_in_commit(&self) {
        self.state.commits_to_cut.fetch_add(1, Ordering::SeqCst);
    }

    pub fn commits_cut(&self) -> u64 {
        self.state.commits_cut.load(Ordering::SeqCst)
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
        // A connection that ends by itself is no business of the proxy's.
        _ = both_ways(&mut client, &mut server, &state) => {}
        () = state.cut.notified() => {}
    }
}

/// Passes on what either side says, until one of them has no more to say or a commit is cut.
async fn both_ways(client: &mut TcpStream, server: &mut TcpStream, state: &State) -> std::io::Result<()> {
    let (mut said, mut answered) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        tokio::select! {
            count = client.read(&mut said) => {
                let words = &said[..count?];
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

impl State {
    fn cuts_this_commit(&self) -> bool {
        let one_less = |left: u64| left.checked_sub(1);
        let cuts = self.commits_to_cut.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok();
        self.commits_cut.fetch_add(u64::from(cuts), Ordering::SeqCst);
        cuts
    }
}
