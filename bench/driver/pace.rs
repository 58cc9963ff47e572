//! An open loop: an event is sent when its time has come, whether or not those before it were answered, and its time is
//! counted from when it should have been sent.

use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::times;
use super::traffic::{self, Request};

#[derive(clap::Args)]
pub struct Arguments {
    /// Such as http://127.0.0.1:8080.
    url: String,
    /// The place of the first event.
    first: u64,
    /// Events in a second.
    rate: u32,
    seconds: u32,
}

pub async fn run(arguments: &Arguments) -> Value {
    buzon::tls::install_provider();
    let client = Client::builder().no_proxy().build().expect("a client can be made");
    let count = arguments.rate * arguments.seconds;
    let requests: Vec<Request> =
        (0..count).map(|place| traffic::request(arguments.first + u64::from(place), "http://127.0.0.1:9")).collect();
    let (began, mut answers) = (Instant::now(), JoinSet::new());
    for (place, request) in (0..count).zip(requests) {
        let due = began + Duration::from_secs(1) * place / arguments.rate;
        sleep_until(due).await;
        answers.spawn(send(client.clone(), arguments.url.clone(), request, due));
    }
    let answers = answers.join_all().await;
    let failed = answers.iter().filter(|(_, accepted)| !accepted).count();
    json!({"events": count, "failed": failed, "latency": times(answers.into_iter().map(|(time, _)| time).collect())})
}

/// How long the answer took, and whether it was a 200.
async fn send(client: Client, url: String, request: Request, due: Instant) -> (Duration, bool) {
    let post = client.post(format!("{url}{}", request.path())).header("X-Whapi-Signature", request.signature());
    let answer = post.header("Content-Type", "application/json").body(request.body).send().await;
    let accepted = match answer {
        Ok(answer) => answer.status().is_success() && answer.bytes().await.is_ok(),
        Err(_) => false,
    };
    (due.elapsed(), accepted)
}
