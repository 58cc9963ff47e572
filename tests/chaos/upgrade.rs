//! R20: a database of the first schema is brought to this one by processes that are killed again and again.

use std::process::Stdio;
use std::time::Duration;

use buzon::store::{self, Aim, Options, Pending};

use tokio::time::timeout;

use super::source::Source;
use super::{SETTINGS, rounds, seed};
use crate::store::open::first_schema;
use crate::support::clock::later;
use crate::support::events::{event, received};
use crate::support::postgres;
use crate::support::process::{Buzon, command};
use crate::support::world::{Backend, World, record};
use buzon::simulate::SeededRng;

const EVENTS: i64 = 1_500;

/// The tables of the first schema.
const TABLES: [&str; 7] = ["ledger_clock", "events", "messages", "message_acks", "message_reactions", "chats", "media"];

/// Records events as this program does, and keeps of its tables what a program of the first schema had.
async fn old_database(backend: Backend, seed: u64) -> World {
    let made = World::new(backend).await;
    let store = made.open().await;
    let mut source = Source::new(seed);
    let events: Vec<_> = (0..EVENTS)
        .map(|n| {
            let delivery = source.next();
            event(delivery.instance.unwrap_or("-"), delivery.body, later(n))
        })
        .collect();
    for batch in events.chunks(200) {
        record(&store, batch).await;
    }
    store.close().await;
    match backend {
        Backend::Sqlite => {
            let old = World::new(backend).await;
            first_schema(&old).await;
            let path = made.url.trim_start_matches("sqlite://");
            let copies = copies(&old, "made").await;
            old.execute(&format!("ATTACH '{path}' AS made; {copies} DETACH made; PRAGMA journal_mode = wal")).await;
            old
        }
        Backend::Postgres => {
            made.execute("ALTER SCHEMA public RENAME TO made; CREATE SCHEMA public").await;
            first_schema(&made).await;
            let copies = copies(&made, "made").await;
            made.execute(&format!("{copies} DROP SCHEMA made CASCADE")).await;
            made
        }
    }
}

/// Statements that take over the columns that the first schema has.
async fn copies(old: &World, from: &str) -> String {
    let mut statements = "DELETE FROM ledger_clock;".to_owned();
    for table in TABLES {
        let columns = old
            .rows(&match old.backend {
                Backend::Sqlite => format!("SELECT name FROM pragma_table_info('{table}')"),
                Backend::Postgres => format!(
                    "SELECT column_name::text FROM information_schema.columns \
                     WHERE table_schema = 'public' AND table_name = '{table}'"
                ),
            })
            .await
            .join(", ");
        statements += &format!("INSERT INTO {table} ({columns}) SELECT {columns} FROM {from}.{table};");
    }
    statements
}

/// The same database once more.
async fn copy(old: &World) -> World {
    match old.backend {
        Backend::Sqlite => {
            let copy = World::new(Backend::Sqlite).await;
            old.execute(&format!("VACUUM INTO '{}'", copy.url.trim_start_matches("sqlite://"))).await;
            copy
        }
        Backend::Postgres => {
            let template = format!("TEMPLATE {}", postgres::name(&old.url));
            World::on_server(postgres::server(), &template).await
        }
    }
}

/// Lets a command run for a moment and kills it, unless it has ended. Says whether it was killed.
async fn kill_within(world: &World, arguments: &[&str], moment: Duration) -> bool {
    let settings = [&[("BUZON_DATABASE_URL", world.url.as_str()), ("BUZON_LISTEN", "127.0.0.1:0")], SETTINGS].concat();
    let mut command = command(world.folder.path(), arguments, &settings);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program can be started");
    match timeout(moment, child.wait()).await {
        Ok(ended) => {
            assert!(ended.expect("it can be waited for").success(), "{arguments:?} gave up");
            false
        }
        Err(_) => {
            child.kill().await.expect("it can be killed");
            true
        }
    }
}

/// How far the schema has come, and what is worked out.
async fn progress(world: &World) -> String {
    let migrations = world.value("SELECT count(*) FROM _buzon_migrations").await;
    let filled = "SELECT derived, derived_up_to FROM installation";
    // With the third migration it is written down how far this has come.
    let filled = if migrations.parse::<u32>().expect("it is a number") >= 3 {
        world.value(filled).await
    } else {
        "-".to_owned()
    };
    format!("{migrations} {filled}")
}

async fn ledger(world: &World) -> Vec<String> {
    world
        .rows("SELECT seq, instance_id, received_at, deliveries, signed, state, reason, body FROM events ORDER BY seq")
        .await
}

async fn is_what_the_ledger_says(world: &World) {
    let options = Options { pending: Pending::Refuse, ..world.options() };
    for difference in store::rebuild(&options, Aim::Check, &|_| ()).await.expect("the ledger can be read") {
        assert!(difference.is_none(), "the tables are not what the ledger says: {difference:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_again_and_again_an_upgrade_gets_through_and_is_as_if_nothing_had_been() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        println!("on {backend:?}");
        let (seed, rounds) = (seed(), rounds(5));
        let mut dice = SeededRng::new(seed);
        let old = old_database(backend, seed).await;
        let events = ledger(&old).await;
        let calm = copy(&old).await;
        let whole = std::time::Instant::now();
        store::migrate(&calm.options().database).await.expect("it migrates");
        let whole = whole.elapsed().as_millis() as u64;
        let (mut kills, mut points) = (0, std::collections::BTreeSet::new());
        while kills < rounds {
            let world = copy(&old).await;
            // Each time a little longer, so that it gets through.
            for attempt in 1.. {
                let longest = 20 + attempt * whole / 4;
                let arguments: &[&str] = if dice.in_thousand(500) { &["migrate"] } else { &["serve"] };
                if !kill_within(&world, arguments, Duration::from_millis(dice.below(longest))).await {
                    break;
                }
                kills += 1;
                let point = progress(&world).await;
                if point == "5 1|NULL" {
                    break;
                }
                points.insert(point);
            }
            Buzon::serve(&world, SETTINGS).await.kill().await;
            assert_eq!(ledger(&world).await, events, "the ledger is what it was");
            assert_eq!(world.dump().await, calm.dump().await);
            is_what_the_ledger_says(&world).await;
            let buzon = Buzon::serve(&world, SETTINGS).await;
            buzon.deliver(received("after the upgrade", serde_json::json!({}))).await.accepted();
            buzon.kill().await;
        }

        println!("{kills} kills at {} points: {points:?}", points.len());
    }
}
