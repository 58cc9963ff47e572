//! The writer's own statements in a tight loop.

use std::time::{Duration, Instant};

use buzon::domain::access::signature::{Keyring, Signer};
use buzon::domain::event::Event;
use buzon::domain::instance::InstanceId;
use buzon::platform::clock::{Clock, SystemClock};
use buzon::store::{Database, OpenMode, Options, Pending};
use serde_json::{Value, json};

use super::{times, traffic};

#[derive(clap::Args)]
pub struct Arguments {
    database: String,
    /// The position of the first event.
    first: u64,
    /// Events in one transaction.
    #[arg(long, default_value_t = 256)]
    batch: u64,
    /// Ends after this many seconds in the database.
    #[arg(long, default_value_t = f64::INFINITY)]
    seconds: f64,
    /// Ends after this many events.
    #[arg(long, default_value_t = u64::MAX)]
    count: u64,
    /// Records messages of one person only.
    #[arg(long)]
    one_person: bool,
}

/// Records events. Only the time in the database counts, because the events are made between the transactions.
pub async fn run(arguments: Arguments) -> Value {
    let options = Options {
        database: Database::parse(&arguments.database).expect("it is a database URL"),
        pending: Pending::Run,
        access: OpenMode::Serve,
        allow_managed_pg: false,
    };
    let store = buzon::store::open(&options).await.expect("the database can be used");
    let limit = Duration::try_from_secs_f64(arguments.seconds).unwrap_or(Duration::MAX);
    let (mut recorded, mut busy, mut each) = (0, Duration::ZERO, Vec::new());
    while busy < limit && recorded < arguments.count {
        let first = arguments.first + recorded;
        let events: Vec<Event> =
            (first..first + arguments.batch).map(|index| event(index, arguments.one_person)).collect();
        let began = Instant::now();
        store.record_batch(&events).await.expect("the batch is recorded");
        each.push(began.elapsed());
        busy += began.elapsed();
        recorded += arguments.batch;
    }
    store.close().await;
    json!({"events": recorded, "seconds": busy.as_secs_f64(), "transactions": each.len(), "latency": times(each)})
}

fn event(index: u64, one_person: bool) -> Event {
    let request = match one_person {
        true => traffic::of_one_person(index),
        false => traffic::request(index, "http://127.0.0.1:9"),
    };
    let instance = InstanceId::new(&request.instance.to_string()).expect("it is an instance id");
    Event::read(&Keyring::default(), Some(&instance), &Signer::Shared, request.body.into_bytes(), SystemClock.now())
}
