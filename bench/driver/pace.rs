//! An open loop: an event is sent when it is due, whether or not the ones before were answered, and its latency counts
//! from when it was due.

use std::future::pending;
use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::servers::end_of_input;
use super::times;
use super::traffic::{self, Request};

#[derive(clap::Args)]
pub struct Arguments {
    /// Such as http://127.0.0.1:8080.
    url: String,
    /// The position of the first event.
    first: u64,
    /// Events per second.
    rate: u32,
    /// Ends after this many seconds; by default, when standard input is closed.
    #[arg(long)]
    seconds: Option<u32>,
}

pub async fn run(arguments: &Arguments) -> Value {
    buzon::platform::tls::install_provider();
    let client = Client::builder().no_proxy().build().expect("a client can be made");
    let count = arguments.seconds.map_or(u32::MAX, |seconds| arguments.rate * seconds);
    let end = async {
        match arguments.seconds {
            Some(_) => pending().await,
            None => end_of_input().await,
        }
    };
    tokio::pin!(end);
    let (began, mut answers) = (Instant::now(), JoinSet::new());
    for place in 0..count {
        // The request is prepared before it is due.
        let request = traffic::request(arguments.first + u64::from(place), "http://127.0.0.1:9");
        let due = began + Duration::from_secs(1) * place / arguments.rate;
        tokio::select! {
            biased;
            () = &mut end => break,
            () = sleep_until(due) => {}
        }
        answers.spawn(send(client.clone(), arguments.url.clone(), request, due));
    }
    let took = began.elapsed();
    let answers = answers.join_all().await;
    let failed = answers.iter().filter(|(_, accepted)| !accepted).count();
    json!({
        "events": answers.len(),
        "failed": failed,
        "per_second": answers.len() as f64 / took.as_secs_f64(),
        "latency": times(answers.into_iter().map(|(time, _)| time).collect()),
    })
}

/// Sends an event, and returns its latency and whether it was accepted.
async fn send(client: Client, url: String, request: Request, due: Instant) -> (Duration, bool) {
    let post = client.post(format!("{url}{}", request.path())).header("X-Whapi-Signature", request.signature());
    let answer = post.header("Content-Type", "application/json").body(request.body).send().await;
    let accepted = match answer {
        Ok(answer) => answer.status().is_success() && answer.bytes().await.is_ok(),
        Err(_) => false,
    };
    (due.elapsed(), accepted)
}
