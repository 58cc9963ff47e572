//! A disk that is full, and later is not.

use std::path::{Path, PathBuf};

use rustix::process::Signal;

use crate::chaos::harness::disk_image::Disk;
use crate::chaos::{Loader, SETTINGS, assert_nothing_lost, rounds, seed};
use crate::support::database::postgres::{Server, ServerControl};
use crate::support::database::world::{Backend, World};
use crate::support::eventually;
use crate::support::program::mount_namespace::namespace;
use crate::support::program::process::Buzon;

/// A file that leaves only this much space free, until it is dropped.
struct Filler(PathBuf);

impl Filler {
    fn leave(folder: &Path, bytes: u64) -> Self {
        let path = folder.join("filler");
        let free = rustix::fs::statvfs(folder).map(|it| it.f_bavail * it.f_frsize).expect("the disk is there");
        // Another process may take space meanwhile. The write then fails, and nothing is left either.
        let _ = std::fs::write(&path, vec![0; free.saturating_sub(bytes) as usize]);
        Self(path)
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).expect("it is there");
    }
}

/// Starts the program with a small file system of its own for its database. Returns it with that folder as it sees it.
async fn serve_on_a_small_disk(world: &mut World, min_free: &str) -> (Buzon, PathBuf) {
    let mounted = world.folder.path().join("small");
    std::fs::create_dir(&mounted).expect("it can be made");
    world.url = format!("sqlite://{}", mounted.join("buzon.db").display());
    let mount = format!("mount -t tmpfs -o size=64m none {} && exec \"$@\"", mounted.display());
    let wrapper = [namespace(), &["sh", "-c", mount.as_str(), "sh"]].concat();
    let settings = [SETTINGS, &[("BUZON_MIN_FREE", min_free)]].concat();
    let buzon = Buzon::serve_under("unshare", &wrapper, world, &settings).await;
    let inside = buzon.root().join(mounted.strip_prefix("/").expect("it is absolute"));
    (buzon, inside)
}

/// Copies the database from the small disk while the program is stopped. The disk is visible to the program alone and
/// vanishes with it, and the program may still be writing what its clients gave up on.
async fn rescue_database(buzon: Buzon, inside: &Path, world: &mut World) {
    buzon.signal(Signal::STOP);
    for name in ["buzon.db", "buzon.db-wal"] {
        std::fs::copy(inside.join(name), world.folder.path().join(name)).expect("it is there");
    }
    buzon.kill().await;
    world.url = format!("sqlite://{}", world.folder.path().join("buzon.db").display());
}

async fn health(buzon: &Buzon, what: &str) -> u16 {
    let health = crate::support::client().get(format!("http://{}/health/{what}", buzon.address));
    health.send().await.expect("it answers").status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_sqlite_acknowledges_nothing_and_goes_on_when_there_is_room() {
    let mut world = World::new(Backend::Sqlite).await;
    let (buzon, inside) = serve_on_a_small_disk(&mut world, "0").await;
    let rounds = rounds(3);
    let loader = Loader::start(seed(), buzon.address);
    for round in 0..rounds {
        loader.wait_for_acks(50).await;
        let filler = Filler::leave(&inside, 200_000 + round % 7 * 4_096);
        let refused = loader.failed();
        eventually("there is no room any more", async || loader.failed() > refused + 20).await;
        assert_eq!(health(&buzon, "live").await, 200);
        drop(filler);
        loader.wait_for_acks(50).await;
    }
    let sent = loader.end().await;
    rescue_database(buzon, &inside, &mut world).await;
    assert_nothing_lost(&world, &sent, rounds).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_refused_before_the_disk_is_so_full_that_the_database_would_fail() {
    let mut world = World::new(Backend::Sqlite).await;
    let (buzon, inside) = serve_on_a_small_disk(&mut world, "16MiB").await;
    let rounds = rounds(2);
    let loader = Loader::start(seed(), buzon.address);
    for _ in 0..rounds {
        loader.wait_for_acks(50).await;
        let filler = Filler::leave(&inside, 15 * 1024 * 1024);
        let refused = loader.failed();
        eventually("the disk is too full", async || loader.failed() > refused + 20).await;
        assert_eq!((health(&buzon, "live").await, health(&buzon, "ready").await), (200, 503));
        drop(filler);
        loader.wait_for_acks(50).await;
        assert_eq!(health(&buzon, "ready").await, 200);
    }
    let said = async |line: &str| Buzon::log(&world).await.matches(line).count() as u64;
    eventually("all of it is said", async || said("events are taken again").await == rounds).await;
    assert_eq!(said("events are refused: the disk").await, rounds);
    assert_eq!(said("were not stored").await, 0, "the database never failed");
    let sent = loader.end().await;
    rescue_database(buzon, &inside, &mut world).await;
    assert_nothing_lost(&world, &sent, rounds).await;
}

/// The server may shut itself down for lack of space. Its operator starts it again when there is some.
#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_postgresql_has_nothing_acknowledged_that_it_does_not_keep() {
    let rounds = rounds(2);
    let Some(disk) = Disk::create(rounds) else { return };
    let server = Server::start_in(&disk.path(), "-c max_wal_size=64MB");
    let world = World::on_server(&server.url, "").await;
    let control = ServerControl::of(&server.url).await;
    let buzon = Buzon::serve(&world, SETTINGS).await;
    let loader = Loader::start(seed(), buzon.address);
    for round in 0..rounds {
        loader.wait_for_acks(50).await;
        let filler = Filler::leave(&disk.path(), 200_000 + round % 7 * 4_096);
        let refused = loader.failed();
        eventually("there is no room any more", async || loader.failed() > refused + 20).await;
        assert_eq!(health(&buzon, "live").await, 200);
        drop(filler);
        if !control.runs() {
            control.start().await;
        }
        loader.wait_for_acks(50).await;
    }
    assert_nothing_lost(&world, &loader.end().await, rounds).await;
    buzon.kill().await;
    drop(server);
}
