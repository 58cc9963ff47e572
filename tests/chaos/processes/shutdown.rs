//! The program is told to stop while it is busy.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::chaos::harness::ledger::{Fate, SentEvents, note};
use crate::chaos::harness::traffic::SimulatedDelivery;
use crate::chaos::{Loader, SETTINGS, assert_nothing_lost, events_until_fault, rounds, seed};
use crate::support::client;
use crate::support::clients::raw_http::{Connection, request};
use crate::support::clients::sse::Stream;
use crate::support::database::blocker::Blocker;
use crate::support::database::world::on_both_at_once;
use crate::support::program::process::Buzon;
use buzon::simulate::SeededRng;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// The documented limit.
const ENDS_WITHIN: Duration = Duration::from_secs(8);

/// Clients that stall, each at another point of a request.
struct Stalled {
    _connections: Vec<Connection>,
    _stream: Stream,
}

impl Stalled {
    async fn start(buzon: &Buzon, round: u64, sent: &mut SentEvents) -> Self {
        let message = |id: &str| SimulatedDelivery::message(&format!("{id}-{round}"), json!({}));
        let (read, unread) = (message("read"), message("unread"));
        let half = request(&message("half").body);
        let mut connections = Vec::new();
        for bytes in [&half[..20], &half[..half.len() - 1], &request(&unread.body), &request(&read.body)] {
            let mut connection = Connection::open(buzon.address).await.expect("it listens");
            connection.send(bytes).await.expect("it reads");
            connections.push(connection);
        }
        let idle = connections.last_mut().expect("there is one");
        assert_eq!(idle.reply().await.expect("it answers").status, 200);
        note(sent, &read, Fate::Acked);
        note(sent, &unread, Fate::Unknown);
        let stream = client().get(format!("http://{}/api/v1/stream?after=beginning", buzon.address));
        let mut stream = Stream::open(stream.bearer_auth(TOKEN)).await;
        stream.frame().await.expect("it begins");
        Self { _connections: connections, _stream: stream }
    }
}

/// In every second pair of rounds, another client holds the database's lock at that moment.
#[test(flavor = "multi_thread")]
async fn told_to_stop_it_does_within_8_seconds_and_keeps_all_that_it_acknowledged() {
    on_both_at_once(async |world| {
        let (seed, rounds) = (seed(), rounds(4));
        let settings = [SETTINGS, &[("BUZON_API_TOKEN", TOKEN)]].concat();
        let (mut rng, mut sent, mut longest) = (SeededRng::new(seed), SentEvents::new(), Duration::ZERO);
        let mut buzon = Buzon::serve(&world, &settings).await;
        let loader = Loader::start(seed, buzon.address);
        for round in 0..rounds {
            let stalled = Stalled::start(&buzon, round, &mut sent).await;
            loader.wait_for_acks(events_until_fault(&mut rng, 20, 200)).await;
            let blocker = if round / 2 % 2 == 1 { Some(Blocker::new(&world, "ledger_clock").await) } else { None };
            buzon.signal(if round % 2 == 0 { Signal::TERM } else { Signal::INT });
            let told = Instant::now();
            let ended = timeout(ENDS_WITHIN, buzon.wait()).await;
            assert!(ended.expect("it ends in time").success(), "{}", Buzon::log(&world).await);
            longest = longest.max(told.elapsed());
            if let Some(blocker) = blocker {
                println!("with the database locked it ended after {:.1?}", told.elapsed());
                blocker.release().await;
            } else {
                println!("it ended after {:.1?}", told.elapsed());
            }
            drop(stalled);
            buzon = Buzon::serve(&world, &settings).await;
            loader.send_to(vec![buzon.address]);
        }
        loader.wait_for_acks(50).await;
        sent.extend(loader.end().await);
        assert_nothing_lost(&world, &sent, rounds).await;
        println!("it ended after {longest:.1?} at the latest");
        buzon.kill().await;
    })
    .await;
}
