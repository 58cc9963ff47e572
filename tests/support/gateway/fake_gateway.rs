//! The gateway's own API: a real server that delivers events, keeps those that failed, and replays one when asked. It
//! can also be scripted to answer with anything else.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::support::events::{SECRET, sign};

/// The token of instance 7, the only one that the gateway knows.
pub const TOKEN: &str = "canary-token-of-the-gateway";

#[derive(Clone)]
pub struct FakeGateway {
    pub address: SocketAddr,
    /// The address of buzon, while it is reachable.
    buzon: Arc<watch::Sender<Option<SocketAddr>>>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    kept: Vec<Kept>,
    /// The ids that were replayed, in the order of the requests.
    replayed: Vec<u64>,
    /// Method and path of every request, without the query.
    requests: Vec<String>,
    /// The bodies of the registrations.
    webhooks: Vec<Value>,
    /// Ids whose delivery always fails.
    stuck: Vec<u64>,
    /// Answers that replace the gateway's own for the next requests; the last one stays in force.
    scripted: Vec<String>,
    made: u64,
}

#[derive(Clone)]
struct Kept {
    id: u64,
    body: Vec<u8>,
    attempts: u64,
    error: String,
}

impl FakeGateway {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let gateway = Self { address, buzon: Arc::new(watch::Sender::new(None)), state: Arc::default() };
        let serving = gateway.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let gateway = serving.clone();
                // A client may disconnect in the middle of a request.
                tokio::spawn(async move { gateway.serve(stream).await.ok() });
            }
        });
        gateway
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns a settings file for a buzon that may ask this gateway for failed deliveries.
    pub fn settings(&self) -> String {
        format!("gateway_url = \"{}\"\n[[instances]]\nid = \"7\"\ntoken = \"{TOKEN}\"\n", self.url())
    }

    /// Sets the address of buzon; `None` makes it unreachable.
    pub fn set_buzon(&self, buzon: Option<SocketAddr>) {
        self.buzon.send_replace(buzon);
    }

    /// Delivers an event to instance 7, and keeps it if the delivery fails. Returns whether it succeeded.
    pub async fn deliver(&self, body: Vec<u8>) -> bool {
        let buzon = *self.buzon.borrow();
        let outcome = self.post(buzon, &body).await;
        if let Err(error) = &outcome {
            let mut state = self.state();
            state.made += 1;
            let id = state.made;
            // Lists are sorted by age, the newest first.
            state.kept.insert(0, Kept { id, body, attempts: 1, error: error.clone() });
        }
        outcome.is_ok()
    }

    /// Adds the oldest event of all, whose delivery always fails, and returns its id.
    pub fn keep_stuck(&self) -> u64 {
        let mut state = self.state();
        state.made += 1;
        let id = state.made;
        state.kept.push(Kept { id, body: b"{}".to_vec(), attempts: 1, error: "stuck".to_owned() });
        state.stuck.push(id);
        id
    }

    /// Answers the next requests with these complete answers, and all later ones with the last of them. An empty list
    /// ends the script.
    pub fn script(&self, answers: &[String]) {
        self.state().scripted = answers.to_vec();
    }

    pub fn kept(&self) -> usize {
        self.state().kept.len()
    }

    pub fn replayed(&self) -> Vec<u64> {
        self.state().replayed.clone()
    }

    pub fn webhooks(&self) -> Vec<Value> {
        self.state().webhooks.clone()
    }

    /// Returns how many requests began like this, such as `GET /api/webhook-dlq`.
    pub fn asked(&self, beginning: &str) -> usize {
        self.state().requests.iter().filter(|request| request.starts_with(beginning)).count()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("the lock is not poisoned")
    }

    async fn post(&self, buzon: Option<SocketAddr>, body: &[u8]) -> Result<(), String> {
        let buzon = buzon.ok_or("connect ECONNREFUSED")?;
        let request = crate::support::client().post(format!("http://{buzon}/webhook/7")).body(body.to_vec());
        match request.header("X-Whapi-Signature", sign(SECRET, body)).send().await {
            Ok(response) if response.status() == 200 => Ok(()),
            Ok(response) => Err(format!("HTTP {}", response.status().as_u16())),
            Err(_) => Err("connect ECONNREFUSED".to_owned()),
        }
    }

    async fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).await? == 0 {
                return Ok(());
            }
        }
        let length =
            head.to_lowercase().split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut body).await?;
        let mut words = head.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let answer = match self.scripted(method, target) {
            Some(answer) => answer,
            None => self.answer(method, target, &body).await,
        };
        stream.get_mut().write_all(answer.as_bytes()).await?;
        stream.get_mut().shutdown().await
    }

    /// Notes the request, and returns its scripted answer, if there is one.
    fn scripted(&self, method: &str, target: &str) -> Option<String> {
        let mut state = self.state();
        state.requests.push(format!("{method} {}", target.split('?').next().unwrap_or_default()));
        match state.scripted.len() {
            0 | 1 => state.scripted.first().cloned(),
            _ => Some(state.scripted.remove(0)),
        }
    }

    async fn answer(&self, method: &str, target: &str, body: &[u8]) -> String {
        let url = url::Url::parse("http://gateway").and_then(|base| base.join(target)).expect("it is a path");
        let path: Vec<&str> = url.path_segments().expect("it has a path").collect();
        let query = |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let token = query("token").or_else(|| body["token"].as_str().map(str::to_owned));
        if token.as_deref() != Some(TOKEN) {
            return reply(401, &json!({"error": "invalid token"}));
        }
        match (method, path.as_slice()) {
            ("POST", ["api", "instance", _, "webhook"]) => {
                self.state().webhooks.push(body);
                reply(200, &json!({"success": true}))
            }
            ("GET", ["api", "webhook-dlq"]) if query("instanceId").as_deref() == Some("7") => {
                reply(200, &json!({"success": true, "items": self.list(query("limit"))}))
            }
            ("POST", ["api", "webhook-dlq", id, "replay"]) if body["instanceId"] == 7 => self.replay(id).await,
            _ => reply(404, &json!({"error": "not found"})),
        }
    }

    fn list(&self, limit: Option<String>) -> Vec<Value> {
        let limit = limit.and_then(|limit| limit.parse().ok()).expect("a limit is stated");
        let entry = |kept: &Kept| {
            json!({
                "id": kept.id, "endpoint": "https://buzon.example.com/webhook/7", "last_error": kept.error,
                "next_retry_at": "2024-08-27T01:00:00Z", "attempts": kept.attempts, "status": "pending",
                "created_at": format!("2024-08-27 00:00:{:02}", kept.id % 60),
            })
        };
        self.state().kept.iter().take(limit).map(entry).collect()
    }

    async fn replay(&self, id: &str) -> String {
        let kept = self.state().kept.iter().find(|kept| kept.id.to_string() == id).cloned();
        let Some(kept) = kept else { return reply(404, &json!({"error": "not found"})) };
        self.state().replayed.push(kept.id);
        let is_stuck = self.state().stuck.contains(&kept.id);
        // A test knows the address only after it has started buzon.
        let buzon = *self.buzon.subscribe().wait_for(Option::is_some).await.expect("the gateway lives");
        match self.post(buzon, &kept.body).await {
            Ok(()) if !is_stuck => {
                self.state().kept.retain(|other| other.id != kept.id);
                reply(200, &json!({"success": true}))
            }
            _ => reply(502, &json!({"error": "the delivery failed"})),
        }
    }
}

fn reply(status: u16, body: &Value) -> String {
    answer(status, "Content-Type: application/json\r\n", &body.to_string())
}

/// Returns a complete answer, with header lines that each end in a line break.
pub fn answer(status: u16, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}
