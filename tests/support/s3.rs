//! An S3 server in this process that can be made to fail and to wait.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use buzon::blob::{BlobLocation, S3Keys, S3Options};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, HttpError, HttpResponse};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::net::TcpListener;
use url::Url;

use super::gate::Gate;

const BUCKET: &str = "media";
const ACCESS_KEY_ID: &str = "an-access-key";
pub const SECRET_ACCESS_KEY: &str = "a secret access key";

/// A server of one bucket, which runs until the test ends.
pub struct S3Server {
    pub endpoint: Url,
    root: TempDir,
    script: Arc<Mutex<Script>>,
}

/// The operation of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    Put,
    CreateUpload,
    UploadPart,
    CompleteUpload,
    AbortUpload,
    Get,
    Head,
    List,
    Delete,
}

/// A status, and the operations that are answered with it.
type Failing = (u16, fn(Operation) -> bool);

/// The requests that have arrived, and what is to be done with further ones.
#[derive(Default)]
struct Script {
    arrived: HashMap<Operation, usize>,
    answered: HashMap<Operation, usize>,
    failing: Option<Failing>,
    gate: Option<(Operation, usize, Gate)>,
}

impl S3Server {
    pub async fn start() -> Self {
        let root = tempfile::tempdir().expect("there is a temporary folder");
        std::fs::create_dir(root.path().join(BUCKET)).expect("the bucket can be made");
        let mut service = S3ServiceBuilder::new(FileSystem::new(root.path()).expect("the folder is there"));
        service.set_auth(SimpleAuth::from_single(ACCESS_KEY_ID, SECRET_ACCESS_KEY));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let script = Arc::default();
        tokio::spawn(accept(listener, service.build(), Arc::clone(&script)));
        Self { endpoint: format!("http://{address}").parse().expect("it is a URL"), root, script }
    }

    pub fn options(&self) -> S3Options {
        let keys = S3Keys { access_key_id: ACCESS_KEY_ID.to_owned(), secret_access_key: SECRET_ACCESS_KEY.into() };
        S3Options { endpoint: Some(self.endpoint.clone()), keys: Some(keys), ..S3Options::default() }
    }

    /// Returns the same options as settings of a process.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("BUZON_MEDIA_STORE", self.location("saved").to_string()),
            ("BUZON_S3_ENDPOINT", self.endpoint.to_string()),
            ("BUZON_S3_ACCESS_KEY_ID", ACCESS_KEY_ID.to_owned()),
            ("BUZON_S3_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY.to_owned()),
        ]
    }

    /// Returns a location in the bucket.
    pub fn location(&self, prefix: &str) -> BlobLocation {
        BlobLocation::Bucket { bucket: BUCKET.to_owned(), prefix: prefix.to_owned() }
    }

    /// Returns the folder that holds the bucket's objects as files.
    pub fn bucket(&self) -> PathBuf {
        self.root.path().join(BUCKET)
    }

    /// Returns the parts and records of uploads that were neither completed nor aborted.
    pub fn unfinished(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.root.path()).expect("the folder is there");
        let names = entries.map(|entry| entry.expect("it can be read").file_name().into_string().expect("it is text"));
        names.filter(|name| name.starts_with(".upload") || name.contains(".upload-")).collect()
    }

    /// Answers the chosen operations with 503.
    pub fn fail(&self, chosen: fn(Operation) -> bool) {
        self.fail_with(503, chosen);
    }

    /// Answers the chosen operations with this status.
    pub fn fail_with(&self, status: u16, chosen: fn(Operation) -> bool) {
        self.script().failing = Some((status, chosen));
    }

    pub fn recover(&self) {
        self.script().failing = None;
    }

    /// Holds the `nth` request of this kind (from 1), and all after it.
    pub fn hold(&self, operation: Operation, nth: usize) -> Gate {
        let gate = Gate::closed();
        self.script().gate = Some((operation, nth, gate.clone()));
        gate
    }

    /// Returns how many requests of this kind have arrived, including held ones.
    pub fn arrived(&self, operation: Operation) -> usize {
        self.script().arrived.get(&operation).copied().unwrap_or_default()
    }

    pub fn answered(&self, operation: Operation) -> usize {
        self.script().answered.get(&operation).copied().unwrap_or_default()
    }

    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.script.lock().expect("the lock is not poisoned")
    }
}

async fn accept(listener: TcpListener, service: S3Service, script: Arc<Mutex<Script>>) {
    while let Ok((client, _)) = listener.accept().await {
        let (service, script) = (service.clone(), Arc::clone(&script));
        let answer = service_fn(move |request| answer(request, service.clone(), Arc::clone(&script)));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(client), answer));
    }
}

async fn answer(
    request: Request<Incoming>,
    service: S3Service,
    script: Arc<Mutex<Script>>,
) -> Result<HttpResponse, HttpError> {
    let operation = operation(&request);
    let (gate, failing) = {
        let mut script = script.lock().expect("the lock is not poisoned");
        let arrived = script.arrived.entry(operation).or_default();
        *arrived += 1;
        let arrived = *arrived;
        let gate = script.gate.as_ref().filter(|(held, nth, _)| *held == operation && arrived >= *nth);
        (gate.map(|(.., gate)| gate.clone()), script.failing.filter(|(_, fails)| fails(operation)))
    };
    if let Some(gate) = gate {
        gate.pass().await;
    }
    let response = match failing {
        Some((status, _)) => failed(status),
        None => service.call(request.map(Body::from)).await?,
    };
    *script.lock().expect("the lock is not poisoned").answered.entry(operation).or_default() += 1;
    Ok(response)
}

fn failed(status: u16) -> HttpResponse {
    let body = "<Error><Code>ServiceUnavailable</Code><Message>a secret of the server</Message></Error>".to_owned();
    hyper::Response::builder().status(status).body(Body::from(body)).expect("it is a response")
}

fn operation(request: &Request<Incoming>) -> Operation {
    let query = request.uri().query().unwrap_or_default();
    let has = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
    match *request.method() {
        Method::PUT if has("partNumber") => Operation::UploadPart,
        Method::PUT => Operation::Put,
        Method::POST if has("uploads") => Operation::CreateUpload,
        Method::POST if has("uploadId") => Operation::CompleteUpload,
        Method::DELETE if has("uploadId") => Operation::AbortUpload,
        Method::DELETE => Operation::Delete,
        Method::HEAD => Operation::Head,
        Method::GET if has("list-type") => Operation::List,
        Method::GET => Operation::Get,
        _ => panic!("unexpected request {} {query}", request.method()),
    }
}
