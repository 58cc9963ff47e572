//! SQLite's log is copied into the file beside the writer, and stays bounded.

use std::path::Path;

use serde_json::json;
use sqlx::{Connection, SqliteConnection};

use crate::support::clock::later;
use crate::support::database::world::{Backend, World, record};
use crate::support::events::{event, received};
use crate::support::eventually;

/// The page size of SQLite.
const PAGE: u64 = 4_096;

fn log_of(world: &World) -> u64 {
    let path = format!("{}-wal", world.url.trim_start_matches("sqlite://"));
    Path::new(&path).metadata().expect("there is a log").len()
}

#[test(flavor = "multi_thread")]
async fn the_log_is_copied_into_the_file_while_events_come_and_begins_anew() {
    let world = World::new(Backend::Sqlite).await;
    let store = world.open().await;
    let mut other = SqliteConnection::connect(&world.url).await.expect("SQLite opens");
    // The text goes into no column but the event's body.
    let long = ".".repeat(50_000);
    let mut batches = (0..).map(|batch| {
        let message = |n| received(&format!("{batch}-{n}"), json!({ "more": long }));
        (0..100).map(|n| event("7", message(n), later(batch * 100 + n))).collect::<Vec<_>>()
    });

    // The writer itself would checkpoint only much later.
    while log_of(&world) < 5_000 * PAGE {
        record(&store, &batches.next().expect("there is no last one")).await;
    }
    assert!(log_of(&world) < 12_000 * PAGE);
    eventually("a part of the log is in the file", async || {
        let look = sqlx::query_as::<_, (i64, i64, i64)>("PRAGMA wal_checkpoint(NOOP)").fetch_one(&mut other);
        look.await.expect("SQLite says it").2 >= 2_000
    })
    .await;

    for batch in batches.take(30) {
        record(&store, &batch).await;
    }
    assert!(log_of(&world) < 30_000 * PAGE, "{}", log_of(&world));
    store.close().await;
}
