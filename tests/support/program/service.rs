//! A real server in this process, on a free port.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use buzon::app::Application;
use buzon::config::{Config, SettingSources};
use buzon::http::limits::response_memory::ResponseLimits;
use buzon::http::stream::streams::StreamPace;
use buzon::platform::clock::{Clock, SystemClock};
use buzon::store::{EventStore, Store};
use reqwest::{RequestBuilder, StatusCode};
use secrecy::ExposeSecret;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::support::database::world::World;
use crate::support::events::{SECRET, sign};

pub struct Service {
    pub address: SocketAddr,
    pub api_address: SocketAddr,
    data_dir: PathBuf,
    stop: oneshot::Sender<()>,
    task: JoinHandle<anyhow::Result<()>>,
    client: reqwest::Client,
}

/// An answer of the server.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("it is text"))
    }

    /// Returns the stable code of a problem.
    pub fn code(&self) -> &str {
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.body["status"], self.status.as_u16());
        self.body["code"].as_str().expect("a problem has a code")
    }

    /// Asserts that the event was accepted, and returns whether it was a duplicate.
    #[track_caller]
    pub fn accepted(&self) -> bool {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        assert_eq!(self.body["ok"], true);
        self.body["duplicate"].as_bool().expect("duplicate is a flag")
    }
}

/// Returns a configuration from variables, as a process would have them.
pub fn config(variables: &[(&str, &str)]) -> Config {
    let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Config::new(&SettingSources::gather(None, vec![], variables).expect("the settings are known"))
        .expect("they are right")
}

impl Service {
    /// Serves the world's database; every event must be signed with [`SECRET`].
    pub async fn start(world: &World) -> Self {
        Self::start_with(world, &[("BUZON_WEBHOOK_SECRET", SECRET)]).await
    }

    /// Serves the world's database with these settings, and no secret unless they contain one.
    pub async fn start_with(world: &World, settings: &[(&str, &str)]) -> Self {
        let store = world.open().await;
        Self::start_paced(world, store, settings, StreamPace::default())
    }

    /// Serves this store, with streams of this pace.
    pub fn start_paced(world: &World, store: Arc<dyn Store>, settings: &[(&str, &str)], pace: StreamPace) -> Self {
        Self::start_all(world, store.clone(), store, settings, pace, ResponseLimits::default(), Arc::new(SystemClock))
    }

    /// Serves this store, with these limits of answers.
    pub fn start_limited(
        world: &World,
        store: Arc<dyn Store>,
        settings: &[(&str, &str)],
        answers: ResponseLimits,
    ) -> Self {
        Self::start_all(world, store.clone(), store, settings, StreamPace::default(), answers, Arc::new(SystemClock))
    }

    /// Serves the world's database with this clock.
    pub async fn start_clocked(world: &World, clock: Arc<dyn Clock>, settings: &[(&str, &str)]) -> Self {
        let store = world.open().await;
        Self::start_all(world, store.clone(), store, settings, StreamPace::default(), ResponseLimits::default(), clock)
    }

    /// Serves this store, and records events in this ledger.
    pub fn start_on(
        world: &World,
        ledger: Arc<dyn EventStore>,
        store: Arc<dyn Store>,
        settings: &[(&str, &str)],
    ) -> Self {
        let (pace, answers, clock) = (StreamPace::default(), ResponseLimits::default(), Arc::new(SystemClock));
        Self::start_all(world, ledger, store, settings, pace, answers, clock)
    }

    fn start_all(
        world: &World,
        ledger: Arc<dyn EventStore>,
        store: Arc<dyn Store>,
        settings: &[(&str, &str)],
        pace: StreamPace,
        answers: ResponseLimits,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let data_dir = world.data_dir();
        buzon::platform::private_folder::make(&data_dir).expect("the data folder can be made");
        let base = [("BUZON_LISTEN", "127.0.0.1:0"), ("BUZON_DATA_DIR", data_dir.to_str().expect("it is text"))];
        let settings = [&base, settings].concat();
        let application = Application::build_on(&config(&settings), ledger, store, clock, pace, answers);
        let application = application.expect("the service starts");
        let (address, api_address) = (application.webhook_address(), application.api_address());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(application.run(async {
            // Dropping the sender stops the service too.
            let _ = stopped.await;
        }));
        Self { address, api_address, data_dir, stop, task, client: crate::support::client() }
    }

    /// Returns the API token that the first start wrote.
    pub fn token(&self) -> String {
        buzon::config::data_dir::token(&self.data_dir).expect("it was written").expose_secret().to_owned()
    }

    /// Posts a body as it is.
    pub fn post(&self, path: &str, body: impl AsRef<[u8]>) -> RequestBuilder {
        self.client.post(format!("http://{}{path}", self.address)).body(body.as_ref().to_vec())
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("http://{}{path}", self.api_address))
    }

    /// Posts a body signed with [`SECRET`].
    pub async fn deliver(&self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        let signature = sign(SECRET, body.as_ref());
        answer(self.post(path, body).header("X-Whapi-Signature", signature)).await
    }

    /// Waits until the service ends by itself, and returns its result.
    pub async fn ended(self) -> anyhow::Result<()> {
        self.task.await.expect("the service does not panic")
    }

    /// Stops the service in order.
    pub async fn stop(self) {
        self.stop.send(()).expect("the service runs");
        self.task.await.expect("the service does not panic").expect("the service ends in order");
    }
}

/// Sends a request and reads the answer.
pub async fn answer(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("the server answers");
    let (status, headers) = (response.status(), response.headers().clone());
    let body = response.json().await.expect("answers are JSON");
    Answer { status, headers, body }
}
