//! More events than can be stored.

use std::time::Duration;

use serde_json::json;
use tokio::time::interval;

use crate::chaos::harness::ledger::{Fate, SentEvents, note};
use crate::chaos::harness::open_loop::{OUTSTANDING, ask, offer, prepare};
use crate::chaos::harness::traffic::{SimulatedDelivery, TrafficSource};
use crate::chaos::{SETTINGS, assert_nothing_lost, is_long, rounds, seed};
use crate::support::clients::raw_http::{Connection, request};
use crate::support::database::blocker::Blocker;
use crate::support::database::world::{Backend, World, on_both};
use crate::support::events::{SECRET, sign};
use crate::support::eventually;
use crate::support::program::open_files::allow_open_files;
use crate::support::program::process::Buzon;

/// The offered load, as multiples of what can be stored.
const STEPS: [f64; 4] = [0.5, 1.0, 2.0, 3.0];
/// Memory for the program and its database, and for each connection on which an event waits: the HTTP library keeps two
/// buffers of 8 KiB for it, and 7 KB for the headers while a request is under way.
const MAX_MEMORY: u64 = 80_000_000 + 32_000 * OUTSTANDING as u64;

/// The load of a run: its steps, and the seconds that each of them lasts.
struct Scale {
    steps: &'static [f64],
    seconds: f64,
    /// The number of events with which the capacity is measured.
    events: usize,
}

#[test(flavor = "multi_thread")]
async fn offered_more_than_it_can_store_it_refuses_the_rest_and_goes_on() {
    // Both ends of each connection are open files of this machine, and one end is in this process.
    allow_open_files(2 * OUTSTANDING as u64);
    let scale = match is_long() {
        true => Scale { steps: &STEPS, seconds: 6.0, events: 5_000 },
        false => Scale { steps: &STEPS[2..], seconds: 0.7, events: 500 },
    };
    on_both(async |world| {
        let (rounds, mut source, mut sent) = (rounds(1), TrafficSource::new(seed()), SentEvents::new());
        for _ in 0..rounds {
            let buzon = Buzon::serve(&world, SETTINGS).await;
            climb(&buzon, &scale, &mut source, &mut sent).await;
            let peak = buzon.peak_memory();
            println!("at most {} MB of memory", peak / 1_000_000);
            assert!(peak < MAX_MEMORY, "{peak}");
            buzon.kill().await;
        }
        assert_nothing_lost(&world, &sent, rounds).await;
    })
    .await;
}

/// Offers each step's load. The capacity is measured before and after each step, because the machine has other work
/// too.
async fn climb(buzon: &Buzon, scale: &Scale, source: &mut TrafficSource, sent: &mut SentEvents) {
    let mut before = ask(buzon.address, prepare(source, scale.events), sent).await.goodput;
    for &step in scale.steps {
        let rate = step * before;
        let tally = offer(buzon.address, prepare(source, (rate * scale.seconds) as usize), rate, sent).await;
        let afterwards = ask(buzon.address, prepare(source, scale.events), sent).await;
        assert_eq!(afterwards.refused, 0, "there is room again at once");
        let share = 2.0 * tally.goodput / (before + afterwards.goodput);
        println!(
            "offered {step} of {before:.0}/s: goodput {share:.2}, {:.0} % refused, {} held back, p50 {:.0?}, p99 {:.0?}",
            tally.share_refused() * 100.0,
            tally.held_back,
            tally.percentile(50),
            tally.percentile(99),
        );
        assert!(!is_long() || step != 2.0 || share > 0.8, "under twice its load it stores {share:.2} of what it can");
        before = afterwards.goodput;
    }
}

/// The queue holds as many bytes as it may, and the database accepts none of them.
#[test(flavor = "multi_thread")]
async fn a_refused_client_gets_its_answer_whatever_it_was_sending_and_keeps_its_connection_where_possible() {
    let world = World::new(Backend::Sqlite).await;
    let (rounds, mut sent) = (rounds(1), SentEvents::new());
    let buzon = Buzon::serve(&world, SETTINGS).await;
    for round in 0..rounds {
        let blocker = Blocker::new(&world, "ledger_clock").await;
        let mut waiting = Vec::new();
        for n in 0..15 {
            let large = SimulatedDelivery::message(&format!("L{round}-{n}"), json!({"body": "x".repeat(4_000_000)}));
            let mut connection = Connection::open(buzon.address).await.expect("it listens");
            connection.send(&request(&large.body)).await.expect("it reads");
            note(&mut sent, &large, Fate::Unknown);
            waiting.push(connection);
        }
        let event = SimulatedDelivery::message(&format!("A{round}"), json!({"body": "x".repeat(1_000)}));
        let mut kept = Connection::open(buzon.address).await.expect("it listens");
        let whole = String::from_utf8(request(&event.body)).expect("it is text");
        let forged = whole.replace(&sign(SECRET, &event.body), &"0".repeat(64));
        eventually("the queue is full", async || status(&mut kept, forged.as_bytes()).await == 503).await;
        for _ in 0..3 {
            assert_eq!(status(&mut kept, &request(&event.body)).await, 503);
        }
        large_and_refused(&buzon).await;
        blocker.release().await;
        eventually("it is taken", async || status(&mut kept, &request(&event.body)).await == 200).await;
        note(&mut sent, &event, Fate::Acked);
    }
    assert_nothing_lost(&world, &sent, rounds).await;
    buzon.kill().await;
}

/// Returns the status of the answer. The connection must stay open for the next request.
async fn status(connection: &mut Connection, request: &[u8]) -> u16 {
    connection.send(request).await.expect("it reads");
    let reply = connection.reply().await.expect("it answers");
    assert!(!reply.closes(), "{}", reply.head);
    reply.status
}

/// Sends two megabytes in two seconds, and only then reads the answer that was sent long before.
async fn large_and_refused(buzon: &Buzon) {
    let mut connection = Connection::open(buzon.address).await.expect("it listens");
    let mut tick = interval(Duration::from_millis(500));
    for part in request(&[b' '; 2_000_000]).chunks(500_000) {
        tick.tick().await;
        connection.send(part).await.expect("it reads");
    }
    let reply = connection.reply().await.expect("it answers");
    assert_eq!((reply.status, reply.closes()), (503, true));
    connection.closed().await.expect("it closes in order");
}
