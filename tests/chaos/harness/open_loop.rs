//! Requests that come by the clock, whether the ones before are answered or not.
//!
//! The requests are made and signed before the clock starts, for whoever offers them shares the machine with the program.

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

/// More requests than this are not under way at the same time.
pub const OUTSTANDING: usize = 5_000;
/// Connections of those who wait for an answer before they send the next event.
const WAITING: usize = 256;

/// An event, and the request with it.
pub struct PreparedRequest {
    delivery: SimulatedDelivery,
    bytes: Vec<u8>,
}

/// What became of a request.
struct Outcome {
    delivery: SimulatedDelivery,
    fate: Fate,
    due: Instant,
    answered: Instant,
}

/// What became of many.
pub struct Tally {
    pub refused: usize,
    /// Due when as many as may were under way, and never sent.
    pub held_back: usize,
    /// Acknowledged in each second, while requests came.
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

/// Sends all of them as fast as they are answered.
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

/// Sends all of them at so many in a second, and waits for what is still under way then.
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
            let mut kept = idle.lock().expect("nobody panics with it").pop();
            let outcome = deliver(address, &mut kept, &ready, due).await;
            idle.lock().expect("nobody panics with it").extend(kept);
            outcome
        });
    }
    let over = Instant::now();
    outcomes.extend(requests.join_all().await);
    Tally { held_back, ..Tally::of(&outcomes, started, over, sent) }
}

/// Sends a request over the connection that is kept, or over a new one, and keeps it if it takes another.
///
/// # Panics
/// If the answer is neither 200 nor a 503 that says when to come again.
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

    /// Of those that were sent.
    pub fn share_refused(&self) -> f64 {
        self.refused as f64 / self.took.len() as f64
    }

    /// How long so many of a hundred took at most, from when they were due.
    pub fn percentile(&self, percent: usize) -> Duration {
        self.took[(self.took.len() - 1) * percent / 100]
    }
}
