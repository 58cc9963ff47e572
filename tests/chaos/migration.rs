//! R20: an empty database is brought to the schema by processes that are killed again and again.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::{Duration, Instant};

use buzon::store::{self, Aim, Options, Pending};
use serde_json::json;
use tokio::time::timeout;

use super::{SETTINGS, rounds, seed};
use crate::support::database::world::{Backend, World};
use crate::support::events::received;
use crate::support::program::process::{Buzon, command};
use buzon::simulate::SeededRng;

/// Lets a command run for a moment and kills it, unless it has ended. Returns whether the command was killed.
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

/// Returns the tables, views, columns and indexes.
async fn schema(world: &World) -> Vec<String> {
    world
        .rows(match world.backend {
            Backend::Sqlite => "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name",
            Backend::Postgres => {
                "SELECT table_name::text, column_name::text, data_type::text, is_nullable::text
                 FROM information_schema.columns WHERE table_schema = 'public'
                 UNION ALL
                 SELECT tablename::text, indexname::text, indexdef, '' FROM pg_indexes WHERE schemaname = 'public'
                 ORDER BY 1, 2"
            }
        })
        .await
}

/// Returns how far the schema has come: how many lines [`schema`] has of it. A migration that was cut off leaves nothing
/// but the table of migrations.
async fn progress(world: &World) -> usize {
    if world.backend == Backend::Sqlite {
        // The command may have been killed before it made the file.
        world.execute("SELECT 1").await;
    }
    schema(world).await.iter().filter(|row| !row.contains("_buzon_migrations")).count()
}

async fn is_what_the_ledger_says(world: &World) {
    let options = Options { pending: Pending::Refuse, ..world.options() };
    for difference in store::rebuild(&options, Aim::Check, &|_| ()).await.expect("the ledger can be read") {
        assert!(difference.is_none(), "the tables are not what the ledger says: {difference:?}");
    }
}

#[test(flavor = "multi_thread")]
async fn killed_again_and_again_a_migration_gets_through_and_is_as_if_nothing_had_been() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        println!("on {backend:?}");
        let rounds = rounds(5);
        let mut dice = SeededRng::new(seed());
        let calm = World::empty(backend).await;
        let start = Instant::now();
        assert!(!kill_within(&calm, &["migrate"], Duration::from_secs(60)).await, "it migrates");
        let whole = start.elapsed().as_millis() as u64;
        let (calm_schema, calm_progress) = (schema(&calm).await, progress(&calm).await);
        let (mut kills, mut points) = (0, BTreeSet::new());
        while kills < rounds {
            let world = World::empty(backend).await;
            // Each attempt may take a little longer than the one before, so that one gets through.
            for attempt in 1.. {
                let longest = whole + attempt * whole / 4;
                let arguments: &[&str] = if dice.in_thousand(500) { &["migrate"] } else { &["serve"] };
                if !kill_within(&world, arguments, Duration::from_millis(dice.below(longest))).await {
                    break;
                }
                kills += 1;
                let point = progress(&world).await;
                points.insert(point);
                if point == calm_progress {
                    break;
                }
                assert_eq!(point, 0, "half a migration is there");
            }
            Buzon::serve(&world, SETTINGS).await.kill().await;
            assert_eq!(schema(&world).await, calm_schema);
            assert_eq!(world.value("SELECT count(*) FROM _buzon_migrations").await, "1");
            assert_eq!(world.value("SELECT id, time_zone FROM installation").await, "1|UTC");
            let buzon = Buzon::serve(&world, SETTINGS).await;
            buzon.deliver(received("after the migration", json!({}))).await.accepted();
            buzon.kill().await;
            is_what_the_ledger_says(&world).await;
        }
        println!("{kills} kills, with so much of the schema there: {points:?}");
    }
}
