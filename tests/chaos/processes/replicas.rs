//! Several processes on one PostgreSQL server, killed one after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use sqlx::{Connection, PgConnection};

use crate::chaos::{Loader, SETTINGS, assert_nothing_lost, events_until_fault, rounds, seed};
use crate::support::database::world::{Backend, World};
use crate::support::program::process::Buzon;
use buzon::simulate::SeededRng;

const PROCESSES: usize = 3;

#[test(flavor = "multi_thread")]
async fn processes_that_take_the_same_events_and_die_agree_on_everything() {
    let world = World::new(Backend::Postgres).await;
    let (seed, rounds) = (seed(), rounds(4));
    let mut rng = SeededRng::new(seed);
    let mut processes = join_all((0..PROCESSES).map(|_| Buzon::serve(&world, SETTINGS))).await;
    let addresses = |processes: &[Buzon]| processes.iter().map(|buzon| buzon.address).collect::<Vec<_>>();
    let loader = Loader::start_on(seed, addresses(&processes));
    let over = Arc::new(AtomicBool::new(false));
    let watched = tokio::spawn(watch(world.url.clone(), over.clone()));
    for _ in 0..rounds {
        loader.wait_for_acks(events_until_fault(&mut rng, 20, 300)).await;
        let dying = rng.below(PROCESSES as u64) as usize;
        processes.swap_remove(dying).kill().await;
        processes.push(Buzon::serve(&world, SETTINGS).await);
        loader.send_to(addresses(&processes));
    }
    loader.wait_for_acks(100).await;
    over.store(true, Ordering::Relaxed);
    assert!(watched.await.expect("the ledger can be read") > 100);
    assert_nothing_lost(&world, &loader.end().await, rounds).await;
    join_all(processes.into_iter().map(Buzon::kill)).await;
}

/// Reads the ledger while it grows, and asserts that no event appears below a visible one. Returns how many were seen.
pub async fn watch(url: String, over: Arc<AtomicBool>) -> usize {
    let mut connection = PgConnection::connect(&url).await.expect("PostgreSQL answers");
    let (mut last, mut seen) = (0_i64, 0);
    while !over.load(Ordering::Relaxed) {
        let query = "SELECT count(*) FILTER (WHERE seq <= $1), count(*), coalesce(max(seq), 0) FROM events";
        let (below, count, highest): (i64, i64, i64) =
            sqlx::query_as(query).bind(last).fetch_one(&mut connection).await.expect("the query is right");
        assert_eq!(below, seen, "an event appeared below {last}");
        (last, seen) = (highest, count);
    }
    seen as usize
}
