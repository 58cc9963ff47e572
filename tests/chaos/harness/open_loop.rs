//! An open loop: requests are sent on schedule, whether or not the ones before are answered.
//!
//! The requests are prepared and signed before the clock starts, because the sender shares the machine with the
//! program.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::ledger::{Fate, SentEvents, note};
use super::traffic::{SimulatedDelivery, TrafficSource};
use crate::support::PATIENCE;
use crate::support::clients::raw_http::{Connection, request_to};

/// The maximum number of requests under way at the same time.
pub const OUTSTANDING: usize = 5_000;
/// The number of connections in the closed loop, where each waits for an answer before it sends the next event.
const WAITING: usize = 256;

/// An event with the bytes of its request.
pub struct PreparedRequest {
    delivery: SimulatedDelivery,
    bytes: Vec<u8>,
}

/// The outcome of a request.
struct Outcome {
    delivery: SimulatedDelivery,
    fate: Fate,
    due: Instant,
    answered: Instant,
}

/// The outcomes of many requests.
pub struct Tally {
    pub refused: usize,
    /// Requests that were never sent because the maximum was under way when they were due.
    pub held_back: usize,
    /// Events acknowledged per second while requests were being sent.
    pub goodput: f64,
    took: Vec<Duration>,
}

pub fn prepare(source: &mut TrafficSource, count: usize) -> Vec<PreparedRequest> {
    let ready = |_| {
        let delivery = source.next();
        let bytes = request_to(&delivery.path(), &delivery.body);
        PreparedRequest { delivery, bytes }
    };
    (0..count).map(ready).collect()
}

/// Sends all requests, each connection as fast as it is answered.
pub async fn ask(address: SocketAddr, ready: Vec<PreparedRequest>, sent: &mut SentEvents) -> Tally {
    let (ready, next) = (Arc::new(ready), Arc::new(AtomicUsize::new(0)));
    let started = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..WAITING {
        let (ready, next) = (ready.clone(), next.clone());
        clients.spawn(async move {
            let (mut kept, mut outcomes) = (None, Vec::new());
            while let Some(ready) = ready.get(next.fetch_add(1, Ordering::Relaxed)) {
                outcomes.push(deliver(address, &mut kept, ready, Instant::now()).await);
            }
            outcomes
        });
    }
    let outcomes: Vec<_> = clients.join_all().await.into_iter().flatten().collect();
    Tally::of(&outcomes, started, Instant::now(), sent)
}

/// Sends all requests at this rate per second, then waits for those that are still under way.
pub async fn offer(address: SocketAddr, ready: Vec<PreparedRequest>, rate: f64, sent: &mut SentEvents) -> Tally {
    let (count, idle) = (ready.len(), Arc::new(Mutex::new(Vec::new())));
    let mut requests = JoinSet::new();
    let (mut outcomes, mut held_back) = (Vec::with_capacity(count), 0);
    let mut tick = interval(Duration::from_millis(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let started = Instant::now();
    for (n, ready) in ready.into_iter().enumerate() {
        let due = started + Duration::from_secs_f64(n as f64 / rate);
        while Instant::now() < due {
            tick.tick().await;
        }
        while let Some(outcome) = requests.try_join_next() {
            outcomes.push(outcome.expect("the request does not panic"));
        }
        if requests.len() == OUTSTANDING {
            held_back += 1;
            continue;
        }
        let idle = idle.clone();
        requests.spawn(async move {
            let mut kept = idle.lock().expect("the lock is not poisoned").pop();
            let outcome = deliver(address, &mut kept, &ready, due).await;
            idle.lock().expect("the lock is not poisoned").extend(kept);
            outcome
        });
    }
    let over = Instant::now();
    outcomes.extend(requests.join_all().await);
    Tally { held_back, ..Tally::of(&outcomes, started, over, sent) }
}

/// Sends a request over the kept connection or a new one, and keeps the connection if it accepts another request.
///
/// # Panics
/// If the answer is neither 200 nor a 503 with a Retry-After header.
async fn deliver(address: SocketAddr, kept: &mut Option<Connection>, ready: &PreparedRequest, due: Instant) -> Outcome {
    let answered = timeout(PATIENCE, async {
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => Connection::open(address).await?,
        };
        connection.send(&ready.bytes).await?;
        let reply = connection.reply().await?;
        *kept = Some(connection).filter(|_| !reply.closes());
        Ok::<_, std::io::Error>(reply)
    });
    let reply = answered.await.expect("an answer comes").expect("the connection holds until the answer");
    let fate = match reply.status {
        200 => Fate::Acked,
        503 if reply.head.contains("\r\nretry-after: ") => Fate::Failed,
        _ => panic!("{}{}", reply.head, String::from_utf8_lossy(&reply.body)),
    };
    Outcome { delivery: ready.delivery.clone(), fate, due, answered: Instant::now() }
}

impl Tally {
    fn of(outcomes: &[Outcome], started: Instant, over: Instant, sent: &mut SentEvents) -> Self {
        outcomes.iter().for_each(|outcome| note(sent, &outcome.delivery, outcome.fate));
        let acked = || outcomes.iter().filter(|outcome| outcome.fate == Fate::Acked);
        let in_time = acked().filter(|outcome| outcome.answered <= over).count();
        let mut took: Vec<_> = outcomes.iter().map(|outcome| outcome.answered - outcome.due).collect();
        took.sort_unstable();
        Self {
            refused: outcomes.len() - acked().count(),
            held_back: 0,
            goodput: in_time as f64 / (over - started).as_secs_f64(),
            took,
        }
    }

    /// Returns the refused share of the requests that were sent.
    pub fn share_refused(&self) -> f64 {
        self.refused as f64 / self.took.len() as f64
    }

    /// Returns the given percentile of the latency, counted from when each request was due.
    pub fn percentile(&self, percent: usize) -> Duration {
        self.took[(self.took.len() - 1) * percent / 100]
    }
}
