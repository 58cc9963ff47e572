//! R16: the machine's clock is set while the program runs.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::chaos::{Loader, SETTINGS, assert_nothing_lost, compile_preload, events_until_fault, rounds, seed};
use crate::media::{JPEG, all_end, key};
use crate::support::database::world::{World, on_both};
use crate::support::events::{SECRET, received};
use crate::support::gate::Gate;
use crate::support::gateway::file_server::{FileServer, Reply};
use crate::support::program::process::Buzon;
use crate::support::{borrowed, eventually};
use buzon::simulate::SeededRng;

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// A fake clock for the programs that are started with it.
struct Clock {
    folder: TempDir,
    offset: File,
}

impl Clock {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("there is a temporary folder");
        let offset = File::create(folder.path().join("offset")).expect("it can be made");
        let clock = Self { folder, offset };
        clock.set(0);
        clock
    }

    /// Sets the clock this many seconds ahead of the machine's.
    fn set(&self, ahead: i64) {
        self.offset.write_all_at(&ahead.to_ne_bytes(), 0).expect("it can be written");
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        let file = |name| self.folder.path().join(name).display().to_string();
        let library = compile_preload("clock.c", self.folder.path()).display().to_string();
        vec![("LD_PRELOAD", library), ("CLOCK_OFFSET", file("offset"))]
    }
}

async fn get(world: &World, buzon: &Buzon, path: &str) -> (u16, Value) {
    let token = std::fs::read_to_string(world.data_dir().join("api-token")).expect("there is a token");
    let request = crate::support::client().get(format!("http://{}{path}", buzon.address)).bearer_auth(token.trim());
    let response = request.send().await.expect("it answers");
    (response.status().as_u16(), response.json().await.expect("answers are JSON"))
}

/// Returns the share of a processor that an idle program takes; 1 stands for one processor.
async fn idle_share(buzon: &Buzon) -> f64 {
    const LOOK: Duration = Duration::from_secs(1);
    let (before, since) = (buzon.processor_time(), Instant::now());
    eventually("a second passes", async || since.elapsed() >= LOOK).await;
    (buzon.processor_time() - before).as_secs_f64() / since.elapsed().as_secs_f64()
}

#[test(flavor = "multi_thread")]
async fn a_clock_that_is_set_under_load_stops_nothing_and_loses_nothing() {
    on_both(async |world| {
        let (seed, rounds) = (seed(), rounds(6));
        let mut rng = SeededRng::new(seed);
        let clock = Clock::new();
        let buzon = Buzon::serve(&world, &[SETTINGS, &borrowed(&clock.environment())].concat()).await;
        let loader = Loader::start(seed, buzon.address);
        loader.wait_for_acks(50).await;
        for round in 0..rounds {
            let ahead = [HOUR, -DAY, 0, 30 * DAY, -HOUR, rng.below(2 * DAY as u64) as i64 - DAY];
            clock.set(ahead[round as usize % ahead.len()]);
            loader.wait_for_acks(events_until_fault(&mut rng, 50, 100)).await;
            assert_eq!(get(&world, &buzon, "/health/ready").await.0, 200);
            let (status, listed) = get(&world, &buzon, "/api/v1/messages?time=received&limit=50").await;
            assert_eq!((status, listed["data"].as_array().map(Vec::len)), (200, Some(50)));
        }
        let sent = loader.end().await;
        assert!(idle_share(&buzon).await < 0.5, "an idle program is busy");
        let days = "SELECT count(DISTINCT substr(CAST(received_at AS TEXT), 1, 10)) FROM events";
        assert!(world.value(days).await.parse::<u64>().expect("it is a number") > 1, "the clock was never set");
        assert_nothing_lost(&world, &sent, rounds).await;
        buzon.kill().await;
    })
    .await;
}

/// The clock jumps while a file is under way. Forwards, its lease expires, and so does the wait for a retry; backwards,
/// its lease lasts for another day.
#[test(flavor = "multi_thread")]
async fn files_are_saved_once_although_the_clock_is_set_meanwhile() {
    on_both(async |world| {
        for ahead in [HOUR, -DAY] {
            let (gateway, gate, clock) = (FileServer::start().await, Gate::closed(), Clock::new());
            let environment = clock.environment();
            let origin = gateway.url("");
            let settings = [("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_GATEWAY_URL", origin.as_str())];
            let buzon = Buzon::serve(&world, &[&settings, borrowed(&environment).as_slice()].concat()).await;
            let (slow, next) = (format!("/slow{ahead}.jpg"), format!("/next{ahead}.jpg"));
            gateway.reply(&slow, Reply::halved(JPEG, &gate));
            gateway.reply(&next, Reply::file(JPEG));
            let deliver = async |path: &str| {
                let body = received(path, json!({"type": "image", "media_url": path}));
                assert!(!buzon.deliver(body).await.accepted());
            };
            deliver(&slow).await;
            eventually("it is asked", async || gateway.asked(&slow) == 1).await;
            clock.set(ahead);
            deliver(&next).await;
            let state = format!("SELECT state FROM media WHERE message_id = '{next}'");
            eventually("what comes later is saved", async || world.value(&state).await == "stored").await;
            gate.open();
            all_end(&world).await;
            assert_eq!((gateway.asked(&slow), gateway.asked(&next)), (1, 1));
            buzon.kill().await;
        }
        let stored = format!("stored|{}", key(JPEG));
        assert_eq!(world.rows("SELECT DISTINCT state, object_key FROM media").await, [stored]);
    })
    .await;
}
