//! Dashboards that ask the most expensive questions that there are.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::chaos::harness::ledger::SentEvents;
use crate::chaos::harness::open_loop::{ask, prepare};
use crate::chaos::harness::traffic::TrafficSource;
use crate::chaos::{Loader, SETTINGS, assert_nothing_lost, is_long, rounds, seed};
use crate::support::client;
use crate::support::clients::sse::Stream;
use crate::support::database::world::on_both;
use crate::support::program::process::Buzon;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const READERS: usize = 32;
/// The share of the pace without readers that must remain.
const LEAST_SHARE: f64 = 0.2;

/// The most expensive questions.
const QUESTIONS: [&str; 10] = [
    "messages?limit=200",
    "messages?q=hola&limit=200",
    "chats?limit=200",
    "events?limit=200",
    "acks?limit=200",
    "stats/messages?since=2024-08-01&until=2024-10-01&by=day",
    "stats/delivery?since=2024-08-01&until=2024-10-01&by=day",
    "stats/responses?since=2024-08-01&until=2024-10-01",
    "stats/hours?since=2024-08-01&until=2024-10-01",
    "events?after=beginning&limit=200",
];

/// Clients that ask again as soon as they are answered.
struct Dashboards {
    clients: JoinSet<()>,
    answers: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

impl Dashboards {
    fn gather(buzon: &Buzon) -> Self {
        let (answers, over) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let mut clients = JoinSet::new();
        for reader in 0..READERS {
            let (answers, over, api) = (answers.clone(), over.clone(), format!("http://{}/api/v1", buzon.address));
            clients.spawn(async move {
                let http = client();
                for question in QUESTIONS.iter().cycle().skip(reader % QUESTIONS.len()) {
                    let answer = http.get(format!("{api}/{question}")).bearer_auth(TOKEN).send().await;
                    let answer = answer.expect("it answers");
                    // The service may ask a client to come again later.
                    assert!([200, 503, 504].contains(&answer.status().as_u16()), "{question}: {}", answer.status());
                    answers.fetch_add(u64::from(answer.status() == 200), Ordering::Relaxed);
                    answer.bytes().await.expect("the answer is whole");
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
        }
        Self { clients, answers, over }
    }

    async fn leave(self) -> u64 {
        self.over.store(true, Ordering::Relaxed);
        self.clients.join_all().await;
        self.answers.load(Ordering::Relaxed)
    }
}

#[test(flavor = "multi_thread")]
async fn readers_do_not_keep_events_out() {
    on_both(async |world| {
        let (seed, rounds) = (seed(), rounds(1));
        let (before, events) = if is_long() { (20_000, 3_000) } else { (1_000, 200) };
        let settings = [SETTINGS, &[("BUZON_API_TOKEN", TOKEN)]].concat();
        let buzon = Buzon::serve(&world, &settings).await;
        let mut sent = SentEvents::new();
        ask(buzon.address, prepare(&mut TrafficSource::new(!seed), before), &mut sent).await;
        let loader = Loader::start(seed, buzon.address);
        for _ in 0..rounds {
            let alone = pace(&loader, events).await;
            let crowd = Dashboards::gather(&buzon);
            let stream =
                client().get(format!("http://{}/api/v1/stream?after=beginning", buzon.address)).bearer_auth(TOKEN);
            let stream = Stream::open(stream).await;
            let share = pace(&loader, events).await / alone;
            drop(stream);
            println!(
                "beside {} answers to {READERS} readers: {share:.2} of {alone:.0} events a second",
                crowd.leave().await
            );
            assert!(!is_long() || share > LEAST_SHARE, "{share}");
        }
        assert_eq!(loader.failed(), 0, "no event was refused");
        sent.extend(loader.end().await);
        assert_nothing_lost(&world, &sent, rounds).await;
        buzon.kill().await;
    })
    .await;
}

/// Returns how many events are acknowledged in a second, measured over this many.
async fn pace(loader: &Loader, events: u64) -> f64 {
    let since = Instant::now();
    loader.wait_for_acks(events).await;
    events as f64 / since.elapsed().max(Duration::from_millis(1)).as_secs_f64()
}
