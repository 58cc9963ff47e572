//! The end of the process, and the reasons why it does not start. `tests/chaos/` tests that it loses nothing then.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sqlx::{Connection, Executor, PgConnection};
use tokio::time::timeout;

use crate::support::clients::sse::Stream;
use crate::support::database::world::{Backend, World, on_both_empty};
use crate::support::events::SECRET;
use crate::support::program::process::{Buzon, command};
use crate::support::{PATIENCE, eventually};

const SIGNED: &[(&str, &str)] = &[("BUZON_WEBHOOK_SECRET", SECRET)];
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

#[test]
async fn a_second_server_on_one_sqlite_file_is_refused_and_the_first_goes_on() {
    let world = World::empty(Backend::Sqlite).await;
    let first = Buzon::serve(&world, SIGNED).await;
    let settings = [("BUZON_LISTEN", "127.0.0.1:0"), ("BUZON_DATABASE_URL", world.url.as_str())];
    let second = crate::support::program::process::run(world.folder.path(), &["serve"], &settings).await;
    assert_eq!(second.status.code(), Some(2));
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains("another buzon (process "), "{said}");
    let answer = crate::support::client()
        .get(format!("http://{}/health/ready", first.address))
        .send()
        .await
        .expect("it answers");
    assert_eq!(answer.status(), 200);
    timeout(PATIENCE, first.kill()).await.expect("it can be killed");
}

/// Another process may hold the schema's lock for long. A person must still be able to stop this one.
#[test]
async fn told_to_stop_while_it_waits_for_the_database_it_does() {
    let world = World::empty(Backend::Postgres).await;
    world.open().await.close().await;
    let mut blocker = PgConnection::connect(&world.url).await.expect("PostgreSQL answers");
    blocker.execute("BEGIN; LOCK TABLE _buzon_migrations").await.expect("it locks");
    let settings = [("BUZON_LISTEN", "127.0.0.1:0"), ("BUZON_DATABASE_URL", world.url.as_str())];
    let mut child = command(world.folder.path(), &["serve"], &settings).spawn().expect("the program can be started");
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    eventually("the start waits", async || world.value(waits).await == "1").await;
    let pid = child.id().and_then(|pid| Pid::from_raw(pid.try_into().ok()?)).expect("it runs");
    kill_process(pid, Signal::TERM).expect("it can be signalled");
    let ended = timeout(Duration::from_secs(8), child.wait()).await.expect("it ends within 8 seconds");
    assert!(ended.expect("it can be waited for").success());
    blocker.close().await.expect("it closes");
}

/// Streams do not end by themselves.
#[test]
async fn told_to_stop_it_ends_the_streams_too() {
    on_both_empty(async |world| {
        let mut buzon = Buzon::serve(&world, &[("BUZON_API_TOKEN", TOKEN)]).await;
        let request = crate::support::client().get(format!("http://{}/api/v1/stream", buzon.address));
        let mut stream = Stream::open(request.bearer_auth(TOKEN)).await;
        stream.frame().await.expect("it begins");
        buzon.signal(Signal::TERM);
        stream.end().await;
        let ended = timeout(Duration::from_secs(8), buzon.wait()).await;
        assert!(ended.expect("it ends within 8 seconds").success());
    })
    .await;
}
