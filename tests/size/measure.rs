//! The latency of answers, as a client of the service sees it.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::questions::Question;
use crate::support::program::service::Service;
use buzon::simulate::SeededRng;

/// The latencies of one question, asked with other parameters each time.
pub struct Times {
    pub name: &'static str,
    limit: Option<Duration>,
    taken: Vec<Duration>,
    /// The path that took the longest.
    pub slowest: String,
    /// The maximum number of rows in an answer.
    pub rows: usize,
}

/// Asks each question this many times, after one time that does not count.
pub async fn measure<'q, 'm: 'q>(
    service: &Service,
    questions: impl IntoIterator<Item = &'q Question<'m>>,
    times: usize,
) -> Vec<Times> {
    let mut measured = Vec::new();
    for question in questions {
        let times = ask_often(service, question, times).await;
        println!("{}", times.line());
        measured.push(times);
    }
    measured
}

async fn ask_often(service: &Service, question: &Question<'_>, times: usize) -> Times {
    let mut rng = SeededRng::new(7);
    let mut measured =
        Times { name: question.name, limit: question.limit, taken: vec![], slowest: String::new(), rows: 0 };
    for _ in 0..=times {
        let path = (question.path)(&mut rng);
        let (taken, rows) = ask(service, &path).await;
        if measured.taken.iter().all(|known| *known < taken) {
            measured.slowest = path;
        }
        measured.taken.push(taken);
        measured.rows = measured.rows.max(rows);
    }
    // The first answer includes opening connections and reading pages.
    measured.taken.remove(0);
    measured.taken.sort();
    measured
}

/// Returns the latency of the whole answer, and its number of rows; 1 if it is not a list.
pub async fn ask(service: &Service, path: &str) -> (Duration, usize) {
    let request = service.get(path).bearer_auth(service.token());
    let began = Instant::now();
    let response = request.send().await.expect("the service answers");
    let status = response.status();
    let body = response.bytes().await.expect("the answer is complete");
    let taken = began.elapsed();
    assert_eq!(status.as_u16(), 200, "{path}: {}", String::from_utf8_lossy(&body));
    let body: Value = serde_json::from_slice(&body).expect("answers are JSON");
    (taken, body["data"].as_array().map_or(1, Vec::len))
}

impl Times {
    pub fn is_over(&self) -> bool {
        self.limit.is_some_and(|limit| self.at(0.99) >= limit)
    }

    /// Returns a percentile by nearest rank.
    fn at(&self, part: f64) -> Duration {
        let rank = (self.taken.len() as f64 * part).ceil() as usize;
        self.taken[rank.max(1) - 1]
    }

    /// Returns a row of a table, in milliseconds.
    fn line(&self) -> String {
        let millis = |taken: Duration| format!("{:.1}", taken.as_secs_f64() * 1e3);
        let limit = self.limit.map_or(String::new(), |limit| limit.as_millis().to_string());
        let [p50, p99, most] = [0.5, 0.99, 1.0].map(|part| millis(self.at(part)));
        let mark = if self.is_over() { " **over**" } else { "" };
        format!("| {} | {p50} | {p99} | {most} | {limit}{mark} |", self.name)
    }
}

pub const HEAD: &str = "| question | p50 ms | p99 ms | max ms | limit ms |\n|---|---|---|---|---|";
