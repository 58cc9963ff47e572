//! However it ends, nothing that was answered 200 is lost.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use sqlx::{Connection, Executor, PgConnection};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::events::{SECRET, received, sign};
use crate::support::process::{Buzon, command};
use crate::support::raw::request;
use crate::support::sse::Stream;
use crate::support::world::{Backend, World, on_both};
use crate::support::{PATIENCE, eventually};

const SIGNED: &[(&str, &str)] = &[("BUZON_WEBHOOK_SECRET", SECRET)];
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Clients that send events of one round until the server is gone.
struct Load {
    clients: JoinSet<(BTreeSet<String>, BTreeSet<String>)>,
    accepted: Arc<std::sync::atomic::AtomicUsize>,
    ended: Arc<AtomicBool>,
}

impl Load {
    fn start(buzon: &Buzon, round: &str) -> Self {
        let accepted = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let ended = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for client in 0..8 {
            let url = format!("http://{}/webhook/7", buzon.address);
            let (count, ended, round) = (accepted.clone(), ended.clone(), round.to_owned());
            clients.spawn(async move {
                let http = crate::support::client();
                let (mut acknowledged, mut sent) = (BTreeSet::new(), BTreeSet::new());
                for n in 0.. {
                    let id = format!("{round}-{client}-{n}");
                    let body = received(&id, json!({}));
                    let request = http.post(&url).header("X-Whapi-Signature", sign(SECRET, &body)).body(body);
                    sent.insert(id.clone());
                    let whole = match request.send().await {
                        Ok(response) if response.status() == 200 => response.bytes().await.is_ok(),
                        _ => false,
                    };
                    if whole {
                        acknowledged.insert(id);
                        count.fetch_add(1, Ordering::Relaxed);
                    } else if ended.load(Ordering::Relaxed) {
                        break;
                    }
                }
                (acknowledged, sent)
            });
        }
        Self { clients, accepted, ended }
    }

    async fn reaches(&self, events: usize) {
        eventually("the load is under way", async || self.accepted.load(Ordering::Relaxed) >= events).await;
    }

    /// What was acknowledged, and what was sent at all.
    async fn end(self) -> (BTreeSet<String>, BTreeSet<String>) {
        self.ended.store(true, Ordering::Relaxed);
        let clients = self.clients.join_all().await;
        clients.into_iter().fold(
            Default::default(),
            |(mut acknowledged, mut sent): (BTreeSet<_>, BTreeSet<_>), client| {
                acknowledged.extend(client.0);
                sent.extend(client.1);
                (acknowledged, sent)
            },
        )
    }
}

async fn stored(world: &World) -> BTreeSet<String> {
    world.rows("SELECT id FROM messages").await.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_under_load_it_has_everything_that_it_acknowledged() {
    on_both(async |world| {
        let (mut acknowledged, mut sent) = (BTreeSet::new(), BTreeSet::new());
        for round in 0..4 {
            let buzon = Buzon::serve(&world, SIGNED).await;
            let load = Load::start(&buzon, &round.to_string());
            load.reaches(100 + 37 * round).await;
            buzon.kill().await;
            let (round_acknowledged, round_sent) = load.end().await;
            acknowledged.extend(round_acknowledged);
            sent.extend(round_sent);
        }
        let stored = stored(&world).await;
        assert!(acknowledged.len() >= 400);
        assert!(acknowledged.is_subset(&stored), "lost: {:?}", acknowledged.difference(&stored));
        assert!(stored.is_subset(&sent), "invented: {:?}", stored.difference(&sent));
        let differences = world.value("SELECT count(*) FROM messages WHERE instance_id <> '7'").await;
        assert_eq!(differences, "0");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_end_under_load_it_does_within_8_seconds_even_with_a_stalled_client() {
    on_both(async |world| {
        for signal in [Signal::TERM, Signal::INT] {
            let mut buzon = Buzon::serve(&world, SIGNED).await;
            let load = Load::start(&buzon, &format!("{signal:?}"));
            let mut stalled = TcpStream::connect(buzon.address).await.expect("it listens");
            let whole = request(&received("stalled", json!({})));
            stalled.write_all(&whole[..whole.len() - 1]).await.expect("it reads");
            load.reaches(50).await;
            buzon.signal(signal);
            let ended = timeout(Duration::from_secs(8), buzon.wait()).await;
            assert!(ended.expect("it ends within 8 seconds").success());
            let (acknowledged, _) = load.end().await;
            let stored = stored(&world).await;
            assert!(acknowledged.is_subset(&stored), "lost: {:?}", acknowledged.difference(&stored));
            drop(stalled);
        }
    })
    .await;
}

#[tokio::test]
async fn a_second_server_on_one_sqlite_file_is_refused_and_the_first_goes_on() {
    let world = World::new(Backend::Sqlite).await;
    let first = Buzon::serve(&world, SIGNED).await;
    let settings = [("BUZON_LISTEN", "127.0.0.1:0"), ("BUZON_DATABASE_URL", world.url.as_str())];
    let second = crate::support::process::run(world.folder.path(), &["serve"], &settings).await;
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

/// Another process may hold the schema for long; a person must still be able to end this one.
#[tokio::test]
async fn told_to_end_while_it_waits_for_the_database_it_does() {
    let world = World::new(Backend::Postgres).await;
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
#[tokio::test]
async fn told_to_end_it_ends_the_streams_too() {
    on_both(async |world| {
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
