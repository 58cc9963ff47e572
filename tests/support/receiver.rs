//! A receiver of forwards: a real server that notes what it is sent, and answers as a test tells it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct ReceivedEvent {
    pub path: String,
    /// The header lines, with their names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl ReceivedEvent {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("it is JSON")
    }

    /// Returns the id of the event's message.
    pub fn id(&self) -> String {
        self.json()["id"].as_str().unwrap_or_default().to_owned()
    }
}

/// An answer to a request.
#[derive(Clone, Debug)]
pub enum ReceiverAnswer {
    Status(u16),
    /// A status with header lines, each with its line break.
    With(u16, &'static str),
    /// No answer at all.
    Silence,
    /// A success whose body never ends.
    Endless,
    /// The connection is closed without an answer.
    Closed,
}

type Answering = Box<dyn Fn(&ReceivedEvent) -> ReceiverAnswer + Send + Sync>;

struct ReceiverState {
    received: Vec<ReceivedEvent>,
    answering: Answering,
}

/// The receiver. It ends when it is dropped.
pub struct EventReceiver {
    pub address: SocketAddr,
    state: Arc<Mutex<ReceiverState>>,
    _serving: JoinSet<()>,
}

impl EventReceiver {
    /// Starts a receiver that takes everything.
    pub async fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().expect("it is an address")).await
    }

    pub async fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.expect("the port is free");
        let address = listener.local_addr().expect("it is bound");
        let answering: Answering = Box::new(|_| ReceiverAnswer::Status(200));
        let state = Arc::new(Mutex::new(ReceiverState { received: vec![], answering }));
        let shared = state.clone();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let state = shared.clone();
                // A client may disconnect at any time.
                connections.spawn(async move { drop(serve(stream, &state).await) });
            }
        });
        Self { address, state, _serving: serving }
    }

    /// Returns the settings of a forward named `bot` to this receiver, with further lines.
    pub fn settings(&self, further: &str) -> String {
        forward_settings("bot", self.address, further)
    }

    /// Answers from now on as `answering` says.
    pub fn answer(&self, answering: impl Fn(&ReceivedEvent) -> ReceiverAnswer + Send + Sync + 'static) {
        lock(&self.state).answering = Box::new(answering);
    }

    pub fn received(&self) -> Vec<ReceivedEvent> {
        lock(&self.state).received.clone()
    }

    /// Returns the ids of the messages in the order of their requests.
    pub fn ids(&self) -> Vec<String> {
        self.received().iter().map(ReceivedEvent::id).collect()
    }

    pub fn count(&self) -> usize {
        lock(&self.state).received.len()
    }
}

/// Returns the settings of a forward to an address, with further lines.
pub fn forward_settings(name: &str, address: SocketAddr, further: &str) -> String {
    let age = if further.contains("max_age") { "" } else { "max_age = \"none\"\n" };
    format!("[[forwards]]\nname = \"{name}\"\nurl = \"http://{address}/hook?token=canary-of-a-url\"\n{age}{further}\n")
}

fn lock(state: &Mutex<ReceiverState>) -> MutexGuard<'_, ReceiverState> {
    state.lock().expect("no test panics in it")
}

async fn serve(stream: TcpStream, state: &Mutex<ReceiverState>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(event) = request(&mut stream).await? {
        let answer = {
            let mut state = lock(state);
            let answer = (state.answering)(&event);
            state.received.push(event);
            answer
        };
        let head = |status: u16, headers: &str| format!("HTTP/1.1 {status} X\r\nContent-Length: 2\r\n{headers}\r\nok");
        match answer {
            ReceiverAnswer::Status(status) => stream.write_all(head(status, "").as_bytes()).await?,
            ReceiverAnswer::With(status, headers) => stream.write_all(head(status, headers).as_bytes()).await?,
            ReceiverAnswer::Silence => std::future::pending().await,
            ReceiverAnswer::Closed => return Ok(()),
            ReceiverAnswer::Endless => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
                loop {
                    stream.write_all(b"4\r\nmore\r\n").await?;
                    stream.flush().await?;
                }
            }
        }
    }
    Ok(())
}

async fn request(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<ReceivedEvent>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        if line.trim_end().is_empty() {
            break;
        }
        lines.push(line.trim_end().to_owned());
    }
    let path = lines[0].split(' ').nth(1).unwrap_or_default().to_owned();
    let header = |line: &String| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    let headers: Vec<(String, String)> = lines.iter().filter_map(header).collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse().ok());
    let mut body = vec![0; length.unwrap_or_default()];
    stream.read_exact(&mut body).await?;
    Ok(Some(ReceivedEvent { path, headers, body }))
}
