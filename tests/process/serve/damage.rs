//! A damaged SQLite file is left to a person: a start changes nothing in it, and a running service writes nothing more
//! to it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::json;

use crate::support::database::world::{Backend, World};
use crate::support::events::{SECRET, received};
use crate::support::eventually;
use crate::support::program::process::{Buzon, run};
use buzon::simulate::SeededRng;

const SETTINGS: &[(&str, &str)] = &[("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_MEDIA_DOWNLOADS", "0")];
const PAGE: u64 = 4_096;
/// The number is so low that the log is not restarted.
const EVENTS: usize = 30;

/// The way in which the process ended that wrote the database.
#[derive(Clone, Copy, PartialEq)]
enum End {
    /// The log was written into the file and removed.
    Orderly,
    /// The log remains.
    Killed,
}

/// Returns a database with some events.
async fn written(end: End) -> World {
    let world = World::empty(Backend::Sqlite).await;
    let mut buzon = Buzon::serve(&world, SETTINGS).await;
    for n in 0..EVENTS {
        buzon.deliver(received(&format!("A{n}"), json!({"body": "Menú ".repeat(40)}))).await.accepted();
    }
    match end {
        End::Killed => buzon.kill().await,
        End::Orderly => {
            buzon.signal(Signal::TERM);
            assert!(buzon.wait().await.success());
        }
    }
    assert_eq!(database(&world, "-wal").exists(), end == End::Killed);
    world
}

fn database(world: &World, ending: &str) -> PathBuf {
    world.folder.path().join(format!("buzon.db{ending}"))
}

/// Returns the database's files, except the lock.
fn files(world: &World) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(world.folder.path()).expect("the folder is there");
    let names = entries.map(|entry| entry.expect("it can be read").file_name().into_string().expect("it is text"));
    let ours = names.filter(|name| name.starts_with("buzon.db") && !name.ends_with(".lock"));
    let content = |name: &String| fs::read(world.folder.path().join(name)).unwrap_or_default();
    ours.map(|name| (name.clone(), content(&name))).collect()
}

async fn messages(world: &World) -> usize {
    world.value("SELECT count(*) FROM messages").await.parse().expect("it is a number")
}

fn overwrite(path: &Path, from: u64, bytes: usize) {
    let mut dice = SeededRng::new(from);
    let noise: Vec<u8> = (0..bytes).map(|_| dice.next_u64() as u8).collect();
    let file = fs::File::options().write(true).open(path).expect("it is there");
    file.write_all_at(&noise, from).expect("it can be written");
}

/// Asserts that a start and all writing commands refuse the database and change nothing. Returns the error's only line.
async fn refused(world: &World) -> String {
    let before = files(world);
    let settings = [SETTINGS, &[("BUZON_DATABASE_URL", world.url.as_str()), ("BUZON_LISTEN", "127.0.0.1:0")]].concat();
    let mut told = String::new();
    for command in ["rebuild", "migrate", "serve"] {
        let output = run(world.folder.path(), &[command], &settings).await;
        told = String::from_utf8(output.stderr).expect("it is text");
        assert_eq!(output.status.code(), Some(2), "{command}: {told}");
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(told.contains(&database(world, "").display().to_string()), "{told}");
        let mut after = files(world);
        // The index of a remaining log belongs to SQLite, and every reader creates it again.
        after.retain(|name, _| {
            before.contains_key(name) || !(name.ends_with("-shm") && before.contains_key("buzon.db-wal"))
        });
        for (name, content) in &before {
            assert!(name.ends_with("-shm") || after.get(name) == Some(content), "{command} changed {name}");
        }
        assert_eq!(Vec::from_iter(after.keys()), Vec::from_iter(before.keys()), "{command}");
    }
    told
}

async fn refused_as_damaged(world: &World, why: &str) {
    let told = refused(world).await;
    for words in ["is damaged", why, "Nothing was changed", "Restore a backup", ".recover"] {
        assert!(told.contains(words), "{told}");
    }
}

#[test(flavor = "multi_thread")]
async fn a_file_whose_beginning_is_overwritten_is_refused_and_left_as_it_is() {
    let world = written(End::Orderly).await;
    overwrite(&database(&world, ""), 0, 100);
    refused_as_damaged(&world, "file is not a database").await;
}

/// The log still has the pages that were overwritten.
#[test(flavor = "multi_thread")]
async fn a_file_whose_log_has_what_it_lacks_is_whole() {
    let world = written(End::Killed).await;
    overwrite(&database(&world, ""), 0, 100);
    Buzon::serve(&world, SETTINGS).await.kill().await;
    assert_eq!(messages(&world).await, EVENTS);
    assert_eq!(world.value("PRAGMA integrity_check").await, "ok");
}

#[test(flavor = "multi_thread")]
async fn a_file_that_is_cut_is_refused_and_left_as_it_is() {
    for end in [End::Orderly, End::Killed] {
        let world = written(end).await;
        let file = fs::File::options().write(true).open(database(&world, "")).expect("it is there");
        file.set_len(file.metadata().expect("it is there").len() / PAGE / 2 * PAGE).expect("it can be cut");
        refused_as_damaged(&world, "").await;
    }
}

/// Any page that holds rows or keys is checked; a free page holds nothing.
#[test(flavor = "multi_thread")]
async fn a_file_with_an_overwritten_page_is_refused_and_left_as_it_is() {
    let world = written(End::Orderly).await;
    let whole = fs::read(database(&world, "")).expect("it is there");
    let holds = |page: &u64| [2, 5, 10, 13].contains(&whole[(page * PAGE) as usize]);
    let pages: Vec<u64> = (1..whole.len() as u64 / PAGE).filter(holds).collect();
    assert!(pages.len() > 60, "{}", pages.len());
    for page in [pages[0], pages[pages.len() / 2], pages[pages.len() - 1]] {
        overwrite(&database(&world, ""), page * PAGE, PAGE as usize);
        refused_as_damaged(&world, "").await;
        fs::write(database(&world, ""), &whole).expect("it can be written");
    }
    Buzon::serve(&world, SETTINGS).await.kill().await;
}

/// SQLite takes the file for empty, and would start a new database in its place.
#[test(flavor = "multi_thread")]
async fn a_log_that_is_overwritten_is_refused_and_left_as_it_is() {
    let world = written(End::Killed).await;
    let log = database(&world, "-wal");
    let whole = fs::read(&log).expect("it is there");
    let middle = whole.len() / 4;
    for (from, bytes, why) in [
        (0, whole.len(), "the head of its write-ahead log is overwritten"),
        (0, 32, "the head of its write-ahead log is overwritten"),
        (middle, 1, "its write-ahead log is overwritten in the middle"),
        (middle, middle, "its write-ahead log is overwritten in the middle"),
    ] {
        overwrite(&log, from as u64, bytes);
        refused_as_damaged(&world, why).await;
        fs::write(&log, &whole).expect("it can be written");
    }
    Buzon::serve(&world, SETTINGS).await.kill().await;
    assert_eq!(messages(&world).await, EVENTS);
}

/// The log of a process ends like this after a power cut. Its last commit was never acknowledged.
#[test(flavor = "multi_thread")]
async fn a_log_that_ends_in_the_middle_of_a_commit_is_none_that_is_damaged() {
    let world = written(End::Killed).await;
    let log = database(&world, "-wal");
    let whole = fs::read(&log).expect("it is there");
    fs::write(&log, &whole[..whole.len() - 1_000]).expect("it can be written");
    Buzon::serve(&world, SETTINGS).await.kill().await;
    assert_eq!(messages(&world).await, EVENTS - 1);
}

/// A commit whose last write failed is overwritten by the next one. If that one is shorter, the end of the failed one
/// remains.
#[test(flavor = "multi_thread")]
async fn what_failed_commits_left_in_the_log_is_no_damage() {
    let world = written(End::Killed).await;
    let log = database(&world, "-wal");
    let whole = fs::read(&log).expect("it is there");
    let last = &whole[whole.len() - 24 - PAGE as usize..];
    fs::write(&log, [&whole, last, last, last].concat()).expect("it can be written");
    Buzon::serve(&world, SETTINGS).await.kill().await;
    assert_eq!(messages(&world).await, EVENTS);
}

/// SQLite would delete the log.
#[test(flavor = "multi_thread")]
async fn a_log_without_its_database_is_refused_and_left_as_it_is() {
    let world = written(End::Killed).await;
    fs::write(database(&world, ""), "").expect("it can be written");
    refused_as_damaged(&world, "its write-ahead log is there, and it is not").await;
    fs::remove_file(database(&world, "")).expect("it is there");
    refused_as_damaged(&world, "its write-ahead log is there, and it is not").await;
}

#[test(flavor = "multi_thread")]
async fn an_empty_file_is_a_new_database() {
    let world = World::empty(Backend::Sqlite).await;
    fs::write(database(&world, ""), "").expect("it can be written");
    let buzon = Buzon::serve(&world, SETTINGS).await;
    buzon.deliver(received("A", json!({}))).await.accepted();
    buzon.kill().await;
}

#[test(flavor = "multi_thread")]
async fn a_folder_and_what_another_program_wrote_are_refused_and_left_as_they_are() {
    let world = World::empty(Backend::Sqlite).await;
    fs::create_dir(database(&world, "")).expect("it can be made");
    assert!(refused(&world).await.contains("is a directory"));
    fs::remove_dir(database(&world, "")).expect("it is there");
    fs::write(database(&world, ""), "The letters of a novel.\n".repeat(1_000)).expect("it can be written");
    refused_as_damaged(&world, "file is not a database").await;
}

#[test(flavor = "multi_thread")]
async fn damage_that_is_met_later_is_said_once_and_nothing_is_acknowledged_any_more() {
    let world = written(End::Orderly).await;
    let buzon = Buzon::serve(&world, SETTINGS).await;
    let size = fs::metadata(database(&world, "")).expect("it is there").len();
    overwrite(&database(&world, ""), PAGE, (size - PAGE) as usize);
    for n in 0..5 {
        let answer = buzon.deliver(received(&format!("B{n}"), json!({}))).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (503, "store_unavailable"));
    }
    let health = async |name: &str| {
        let health = crate::support::client().get(format!("http://{}/health/{name}", buzon.address));
        health.send().await.expect("it answers").status().as_u16()
    };
    eventually("it says that it cannot store", async || health("ready").await == 503).await;
    assert_eq!(health("live").await, 200);
    eventually("it is said", async || Buzon::log(&world).await.contains("damaged")).await;
    let log = Buzon::log(&world).await;
    let said: Vec<&str> = log.lines().filter(|line| line.contains("damaged") || line.contains("ERROR")).collect();
    assert_eq!(said.len(), 1, "{log}");
    assert!(said[0].contains("the database is damaged") && said[0].contains("restore a backup"), "{}", said[0]);
    buzon.kill().await;
}
