//! A half export has no name.

use rustix::process::Signal;

use super::fill;
use crate::support::clock::ARRIVAL;
use crate::support::database::world::{Backend, World, record};
use crate::support::events::{event, received};
use crate::support::program::process::command;
use serde_json::json;
use tokio::io::AsyncReadExt;

/// The names of the files that an export in this folder left, without those of the database.
fn left(world: &World) -> Vec<String> {
    let names = std::fs::read_dir(world.folder.path())
        .expect("the folder is there")
        .map(|entry| entry.expect("it can be read").file_name().into_string().expect("it is text"));
    names.filter(|name| !name.starts_with("buzon.db") && name != "data" && name != "log").collect()
}

#[test]
async fn a_killed_export_leaves_no_file_under_its_name() {
    let world = World::new(Backend::Sqlite).await;
    fill(&world).await;
    let store = world.open().await;
    let long = "x".repeat(30_000);
    for part in 0..20 {
        let events =
            (0..50).map(|number| event("7", received(&format!("L{part}-{number}"), json!({"body": long})), ARRIVAL));
        record(&store, &events.collect::<Vec<_>>()).await;
    }
    store.close().await;
    for (arguments, signal) in [
        (&["export", "messages", "out.csv"][..], Signal::KILL),
        (&["export", "messages", "out.xlsx"], Signal::KILL),
        (&["export", "messages", "out.ndjson"], Signal::TERM),
        (&["export", "person", "573001112233", "out.zip"], Signal::KILL),
    ] {
        let mut child = command(world.folder.path(), arguments, &[("BUZON_DATABASE_URL", &world.url)])
            .spawn()
            .expect("it can be started");
        // It has begun once there is an unfinished file, and is not given the time to end.
        loop {
            let begun = left(&world).iter().any(|name| name.starts_with(".buzon-export-"));
            if begun || child.try_wait().expect("it can be asked").is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let pid = child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
        if let Some(pid) = pid {
            rustix::process::kill_process(pid, signal).expect("it can be killed");
        }
        let ended = child.wait().await.expect("it ends");
        assert!(!ended.success(), "{arguments:?} was too fast to be killed");
        assert!(left(&world).iter().all(|name| name.starts_with(".buzon-export-")), "{:?}", left(&world));
    }
}

/// Standard output ends early where nobody reads on.
#[test]
async fn a_reader_that_goes_away_ends_the_export() {
    let world = World::new(Backend::Sqlite).await;
    fill(&world).await;
    let mut command = command(world.folder.path(), &["export", "messages"], &[("BUZON_DATABASE_URL", &world.url)]);
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().expect("it can be started");
    let mut out = child.stdout.take().expect("it is piped");
    let mut first = [0; 1];
    out.read_exact(&mut first).await.expect("it writes");
    drop(out);
    child.wait().await.expect("it ends");
    assert_eq!(first, *b"{");
}
