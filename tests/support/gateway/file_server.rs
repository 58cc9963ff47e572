//! The gateway's file server: a real one on loopback that can be slow, break off, lie, redirect and refuse.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::support::gate::Gate;

/// A file server that answers every path as configured, 404 by default, with one request for each connection.
#[derive(Clone)]
pub struct FileServer {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    replies: HashMap<String, Reply>,
    /// The reply for all other paths.
    otherwise: Option<fn(&str) -> Reply>,
    /// The heads of all requests.
    requests: Vec<String>,
    at_once: usize,
    most_at_once: usize,
}

/// A file server that is down: connections to its port, which no other program has, are refused.
pub struct StoppedFileServer(TcpSocket);

impl StoppedFileServer {
    pub fn new() -> Self {
        Self::at(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0))
    }

    fn at(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("there is a socket");
        socket.bind(address).expect("the address is free");
        Self(socket)
    }

    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("it is bound")
    }

    pub fn come_back(self) -> FileServer {
        FileServer::listening(self.0.listen(1024).expect("it can listen"))
    }
}

/// The steps of an answer. After the last one, the connection is closed.
#[derive(Clone)]
pub struct Reply(Vec<Step>);

#[derive(Clone)]
enum Step {
    Send(Vec<u8>),
    /// Continues when the gate is opened.
    Wait(Gate),
    /// Repeats until the client closes the connection.
    SendForEver(Vec<u8>),
    Reset,
}

impl Reply {
    pub fn file(content: &[u8]) -> Self {
        Self::with_headers("", content)
    }

    /// Returns a file with further header lines, each with its line break.
    pub fn with_headers(headers: &str, content: &[u8]) -> Self {
        let length = content.len();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n{headers}Connection: close\r\n\r\n");
        Self(vec![Step::Send([head.as_bytes(), content].concat())])
    }

    pub fn status(status: u16) -> Self {
        Self::status_with(status, "")
    }

    /// Returns a status with further header lines, each with its line break.
    pub fn status_with(status: u16, headers: &str) -> Self {
        let head = format!("HTTP/1.1 {status} X\r\nContent-Length: 2\r\n{headers}Connection: close\r\n\r\nno");
        Self(vec![Step::Send(head.into_bytes())])
    }

    pub fn redirect(location: &str) -> Self {
        Self::status_with(302, &format!("Location: {location}\r\n"))
    }

    /// States another length than it sends.
    pub fn lying(length: usize, content: &[u8]) -> Self {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        Self(vec![Step::Send([head.as_bytes(), content].concat())])
    }

    /// Sends a complete file whose length is not stated.
    pub fn chunked(content: &[u8]) -> Self {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
        let head = format!("{head}{:x}\r\n", content.len());
        Self(vec![Step::Send([head.as_bytes(), content, b"\r\n0\r\n\r\n"].concat())])
    }

    /// Sends chunks without an end.
    pub fn endless() -> Self {
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
        let chunk = format!("2000\r\n{}\r\n", "x".repeat(0x2000));
        Self(vec![Step::Send(head.to_vec()), Step::SendForEver(chunk.into_bytes())])
    }

    /// Sends informational responses without an end.
    pub fn early_hints_for_ever() -> Self {
        Self(vec![Step::SendForEver(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".repeat(200))])
    }

    /// Sends a complete chunk, and breaks off before the last one.
    pub fn cut_off() -> Self {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n4\r\nhalf\r\n";
        Self(vec![Step::Send(head.as_bytes().to_vec())])
    }

    pub fn reset() -> Self {
        Self(vec![Step::Reset])
    }

    /// Sends the first half, and the rest when the gate is opened.
    pub fn halved(content: &[u8], gate: &Gate) -> Self {
        let Self(mut steps) = Self::file(content);
        let Some(Step::Send(whole)) = steps.pop() else { panic!("a file is one step") };
        let (first, second) = whole.split_at(whole.len() - content.len() / 2);
        Self(vec![Step::Send(first.to_vec()), Step::Wait(gate.clone()), Step::Send(second.to_vec())])
    }

    /// Sends nothing until the gate is opened.
    pub fn held(self, gate: &Gate) -> Self {
        Self([vec![Step::Wait(gate.clone())], self.0].concat())
    }
}

impl FileServer {
    pub async fn start() -> Self {
        Self::start_at(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0)).await
    }

    pub async fn start_at(address: SocketAddr) -> Self {
        StoppedFileServer::at(address).come_back()
    }

    fn listening(listener: TcpListener) -> Self {
        let gateway = Self {
            address: listener.local_addr().expect("it is bound"),
            state: Arc::new(Mutex::new(State::default())),
        };
        tokio::spawn(accept(listener, gateway.clone()));
        gateway
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Answers `path` like this from now on.
    pub fn reply(&self, path: &str, reply: Reply) {
        self.state().replies.insert(path.to_owned(), reply);
    }

    /// Answers all other paths like this from now on.
    pub fn reply_to_all(&self, reply: fn(&str) -> Reply) {
        self.state().otherwise = Some(reply);
    }

    /// Returns how often `path` was requested.
    pub fn asked(&self, path: &str) -> usize {
        self.state().requests.iter().filter(|head| head.split(' ').nth(1) == Some(path)).count()
    }

    /// Returns the heads of all requests.
    pub fn requests(&self) -> Vec<String> {
        self.state().requests.clone()
    }

    /// Forgets all requests.
    pub fn forget(&self) {
        self.state().requests.clear();
    }

    /// Returns the maximum number of requests that were under way at the same time.
    pub fn most_at_once(&self) -> usize {
        self.state().most_at_once
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("the lock is not poisoned")
    }

    /// Notes the request, and returns its reply.
    fn begin(&self, head: String) -> Reply {
        let mut state = self.state();
        let path = head.split(' ').nth(1).unwrap_or_default();
        let otherwise = || state.otherwise.map_or_else(|| Reply::status(404), |reply| reply(path));
        let reply = state.replies.get(path).cloned().unwrap_or_else(otherwise);
        state.requests.push(head);
        state.at_once += 1;
        state.most_at_once = state.most_at_once.max(state.at_once);
        reply
    }

    async fn serve(&self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).await.unwrap_or_default() == 0 {
                return;
            }
        }
        let Reply(steps) = self.begin(head);
        for step in steps {
            if step.run(stream.get_mut()).await.is_err() {
                break;
            }
        }
        self.state().at_once -= 1;
        // Closing only this direction first lets everything that was sent arrive.
        let _ = stream.get_mut().shutdown().await;
    }
}

impl Step {
    async fn run(self, stream: &mut TcpStream) -> std::io::Result<()> {
        match self {
            Self::Send(bytes) => stream.write_all(&bytes).await,
            Self::Wait(gate) => {
                stream.flush().await?;
                gate.pass().await;
                Ok(())
            }
            Self::SendForEver(bytes) => loop {
                stream.write_all(&bytes).await?;
            },
            Self::Reset => stream.set_zero_linger(),
        }
    }
}

async fn accept(listener: TcpListener, gateway: FileServer) {
    while let Ok((stream, _)) = listener.accept().await {
        let gateway = gateway.clone();
        tokio::spawn(async move { gateway.serve(stream).await });
    }
}

/// A port that must not be connected to, and counts the connections.
pub struct Canary {
    pub address: SocketAddr,
    connections: Arc<Mutex<usize>>,
}

impl Canary {
    pub async fn start() -> Self {
        Self::try_start_at((Ipv4Addr::LOCALHOST, 0).into()).await.expect("a port is free")
    }

    /// Returns `None` if the port is taken.
    pub async fn try_start_at(address: SocketAddr) -> Option<Self> {
        let listener = TcpListener::bind(address).await.ok()?;
        let address = listener.local_addr().expect("it is bound");
        let connections = Arc::new(Mutex::new(0));
        let counter = connections.clone();
        tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                *counter.lock().expect("the lock is not poisoned") += 1;
            }
        });
        Some(Self { address, connections })
    }

    pub fn connections(&self) -> usize {
        *self.connections.lock().expect("the lock is not poisoned")
    }
}
