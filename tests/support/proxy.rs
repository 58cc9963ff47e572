//! A way to the database that can be cut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// Passes every connection on, as long as it is open.
pub struct Proxy {
    state: Arc<State>,
}

struct State {
    open: AtomicBool,
    cut: Notify,
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
        let state = Arc::new(State { open: AtomicBool::new(true), cut: Notify::new() });
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
        _ = copy_bidirectional(&mut client, &mut server) => {}
        () = state.cut.notified() => {}
    }
}
