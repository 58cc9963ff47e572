//! A PostgreSQL server that crashes, is unreachable, or loses the answer to a COMMIT.

use std::time::{Duration, Instant};

use crate::chaos::{Loader, SETTINGS, assert_nothing_lost, events_until_fault, rounds, seed, setting};
use crate::support::database::postgres::{Crash, Server, ServerControl};
use crate::support::database::proxy::Proxy;
use crate::support::database::world::{Backend, World};
use crate::support::program::process::Buzon;
use crate::support::{eventually, eventually_within};
use buzon::simulate::SeededRng;

#[test(flavor = "multi_thread")]
async fn a_server_that_crashes_loses_nothing_and_the_service_is_back_by_itself() {
    let server = Server::start("");
    let world = World::on_server(&server.url, "").await;
    let control = ServerControl::of(&server.url).await;
    let (seed, rounds) = (seed(), rounds(3));
    let mut rng = SeededRng::new(seed);
    let buzon = Buzon::serve(&world, SETTINGS).await;
    let loader = Loader::start(seed, buzon.address);
    let mut longest = Duration::ZERO;
    for round in 0..rounds {
        loader.wait_for_acks(events_until_fault(&mut rng, 20, 400)).await;
        match round % 3 {
            0 => control.crash(Crash::Immediate).await,
            1 => control.crash(Crash::Postmaster).await,
            _ => {
                let writer = "SELECT pid::text FROM pg_stat_activity \
                              WHERE datname = current_database() AND pid <> pg_backend_pid() ORDER BY backend_start LIMIT 1";
                let writer = world.value(writer).await.parse().expect("it is a number");
                control.crash(Crash::Backend(writer)).await;
            }
        }
        if round % 3 < 2 {
            control.start().await;
        }
        let back = Instant::now();
        loader.wait_for_acks(1).await;
        longest = longest.max(back.elapsed());
    }
    loader.wait_for_acks(100).await;
    assert_nothing_lost(&world, &loader.end().await, rounds).await;
    println!("events are taken again {longest:.2?} after the server's return, at the latest");
    buzon.kill().await;
}

#[test(flavor = "multi_thread")]
async fn a_commit_without_an_answer_is_never_taken_for_one() {
    let mut world = World::new(Backend::Postgres).await;
    let direct = world.url.clone();
    let proxy = Proxy::start(&mut world.url).await;
    let (seed, rounds) = (seed(), rounds(10));
    let mut rng = SeededRng::new(seed);
    let buzon = Buzon::serve(&world, SETTINGS).await;
    let loader = Loader::start(seed, buzon.address);
    for round in 1..=rounds {
        loader.wait_for_acks(events_until_fault(&mut rng, 10, 100)).await;
        proxy.cut_in_commit();
        eventually("a commit is cut", async || proxy.commits_cut() == round).await;
    }
    loader.wait_for_acks(100).await;
    world.url = direct;
    assert_nothing_lost(&world, &loader.end().await, rounds).await;
    buzon.kill().await;
}

/// The server is unreachable for `CHAOS_AWAY` seconds.
#[test(flavor = "multi_thread")]
async fn while_the_server_is_away_nothing_is_acknowledged_and_afterwards_all_is_taken() {
    let mut world = World::new(Backend::Postgres).await;
    let direct = world.url.clone();
    let proxy = Proxy::start(&mut world.url).await;
    let away = setting("CHAOS_AWAY").unwrap_or(3);
    let buzon = Buzon::serve(&world, SETTINGS).await;
    let loader = Loader::start(seed(), buzon.address);
    loader.wait_for_acks(50).await;
    proxy.stop();
    let ready = async || {
        let health = crate::support::client().get(format!("http://{}/health/ready", buzon.address));
        health.send().await.expect("it answers").status().as_u16()
    };
    eventually("it says that it cannot store", async || ready().await == 503).await;
    let live = crate::support::client().get(format!("http://{}/health/live", buzon.address));
    assert_eq!(live.send().await.expect("it answers").status(), 200);
    eventually("the answers that were on their way have come", async || {
        let acked = loader.acked();
        ready().await;
        loader.acked() == acked
    })
    .await;
    let acked = loader.acked();
    let since = Instant::now();
    let over = async || since.elapsed() > Duration::from_secs(away);
    eventually_within(Duration::from_secs(away + 30), "the server was away", over).await;
    assert_eq!(loader.acked(), acked, "nothing can be safe meanwhile");
    proxy.resume();
    loader.wait_for_acks(100).await;
    eventually("it says that it can store", async || ready().await == 200).await;
    world.url = direct;
    assert_nothing_lost(&world, &loader.end().await, 1).await;
    buzon.kill().await;
}
