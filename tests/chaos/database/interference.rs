//! Faults that happen around a database on any day: stopped processes, ended sessions, tables locked by another client,
//! a database made read-only, a machine out of file descriptors.

use rustix::process::Signal;
use sqlx::{Connection, Executor, PgConnection};
use tokio::net::TcpStream;

use crate::chaos::{Loader, SETTINGS, assert_nothing_lost, events_until_fault, rounds, seed};
use crate::support::database::blocker::Blocker;
use crate::support::database::postgres::{name, signal_backend};
use crate::support::database::world::{Backend, World, on_both};
use crate::support::program::process::Buzon;
use crate::support::{PATIENCE, eventually};
use buzon::simulate::SeededRng;

/// The sessions of the program on its database.
const SESSIONS: &str = "SELECT pid::text FROM pg_stat_activity \
     WHERE datname = current_database() AND pid <> pg_backend_pid()";

#[test(flavor = "multi_thread")]
async fn a_process_that_was_stopped_for_a_while_goes_on_where_it_was() {
    on_both(async |world| {
        let (seed, rounds) = (seed(), rounds(2));
        let mut rng = SeededRng::new(seed);
        let buzon = Buzon::serve(&world, SETTINGS).await;
        let loader = Loader::start(seed, buzon.address);
        for _ in 0..rounds {
            loader.wait_for_acks(events_until_fault(&mut rng, 20, 200)).await;
            buzon.signal(Signal::STOP);
            eventually("nothing is answered any more", async || {
                let acked = loader.acked();
                let health = crate::support::client().get(format!("http://{}/health/live", buzon.address));
                let silent = health.timeout(std::time::Duration::from_millis(300)).send().await.is_err();
                silent && loader.acked() == acked
            })
            .await;
            buzon.signal(Signal::CONT);
            loader.wait_for_acks(20).await;
        }
        assert_nothing_lost(&world, &loader.end().await, rounds).await;
        buzon.kill().await;
    })
    .await;
}

/// Waits until events are refused because of the fault that was just caused.
async fn refused(loader: &Loader) {
    let failed = loader.failed();
    eventually("events are refused", async || loader.failed() > failed + 10).await;
}

#[test(flavor = "multi_thread")]
async fn whatever_is_done_to_postgresql_sessions_and_tables_only_delays_events() {
    let world = World::new(Backend::Postgres).await;
    let (seed, rounds) = (seed(), rounds(4));
    let mut rng = SeededRng::new(seed);
    let buzon = Buzon::serve(&world, SETTINGS).await;
    let loader = Loader::start(seed, buzon.address);
    for round in 0..rounds {
        loader.wait_for_acks(events_until_fault(&mut rng, 20, 200)).await;
        match round % 4 {
            0 => end_all_sessions(&world).await,
            1 => {
                let mut owner = PgConnection::connect(&world.url).await.expect("PostgreSQL answers");
                owner.execute("BEGIN; LOCK TABLE messages IN ACCESS EXCLUSIVE MODE").await.expect("it locks");
                refused(&loader).await;
                owner.close().await.expect("it closes");
            }
            2 => {
                let database = name(&world.url);
                let read_only = format!("ALTER DATABASE {database} SET default_transaction_read_only");
                world.execute(&format!("{read_only} = on")).await;
                end_all_sessions(&world).await;
                refused(&loader).await;
                world.execute(&format!("BEGIN READ WRITE; {read_only} = off; COMMIT")).await;
                end_all_sessions(&world).await;
            }
            _ => {
                let sessions = world.rows(SESSIONS).await;
                let sessions: Vec<_> = sessions.iter().map(|pid| pid.parse().expect("it is a number")).collect();
                let (failed, acked) = (loader.failed(), loader.acked());
                sessions.iter().for_each(|session| signal_backend(*session, Signal::STOP));
                // A session that was stopped within a transaction holds the lock on the ledger's clock. Without one, a new
                // session takes over.
                let decided = async || loader.failed() > failed + 10 || loader.acked() > acked + 100;
                eventually("events are refused, or stored by another session", decided).await;
                sessions.iter().for_each(|session| signal_backend(*session, Signal::CONT));
            }
        }
        loader.wait_for_acks(20).await;
    }
    assert_nothing_lost(&world, &loader.end().await, rounds).await;
    buzon.kill().await;
}

async fn end_all_sessions(world: &World) {
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    world.value(end).await;
}

#[test(flavor = "multi_thread")]
async fn while_another_program_has_sqlites_file_for_itself_events_wait_or_are_refused() {
    let world = World::new(Backend::Sqlite).await;
    let (seed, rounds) = (seed(), rounds(2));
    let mut rng = SeededRng::new(seed);
    let buzon = Buzon::serve(&world, SETTINGS).await;
    let loader = Loader::start(seed, buzon.address);
    for _ in 0..rounds {
        loader.wait_for_acks(events_until_fault(&mut rng, 20, 200)).await;
        let owner = Blocker::new(&world, "ledger_clock").await;
        refused(&loader).await;
        owner.release().await;
        loader.wait_for_acks(20).await;
    }
    assert_nothing_lost(&world, &loader.end().await, rounds).await;
    buzon.kill().await;
}

/// Silent connections take all file descriptors. When they go, the service continues.
#[test(flavor = "multi_thread")]
async fn without_file_descriptors_it_waits_for_some() {
    let world = World::new(Backend::Sqlite).await;
    let (seed, rounds) = (seed(), rounds(2));
    let buzon = Buzon::serve_under("prlimit", &["--nofile=96", "--"], &world, SETTINGS).await;
    let loader = Loader::start(seed, buzon.address);
    for _ in 0..rounds {
        loader.wait_for_acks(50).await;
        let mut strangers = Vec::new();
        for _ in 0..200 {
            let connecting = tokio::time::timeout(PATIENCE, TcpStream::connect(buzon.address));
            strangers.push(connecting.await.expect("the system answers").expect("it listens"));
        }
        eventually("no descriptor is left", async || buzon.open_files() >= 96).await;
        drop(strangers);
        loader.wait_for_acks(50).await;
    }
    assert_nothing_lost(&world, &loader.end().await, rounds).await;
    buzon.kill().await;
}
