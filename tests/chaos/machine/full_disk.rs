//! A disk that is full, and later is not.

use std::path::Path;

use rustix::process::Signal;

use crate::chaos::harness::disk_image::Disk;
use crate::chaos::{Loader, SETTINGS, assert_nothing_lost, rounds, seed};
use crate::support::database::postgres::{Server, ServerControl};
use crate::support::database::world::{Backend, World};
use crate::support::eventually;
use crate::support::program::process::Buzon;
use crate::support::program::small_disk::{Filler, serve_on_small_disk};

/// The settings with the space that the program leaves free.
fn with_floor(min_free: &str) -> Vec<(&str, &str)> {
    [SETTINGS, &[("BUZON_MIN_FREE", min_free)]].concat()
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

#[test(flavor = "multi_thread")]
async fn on_a_full_disk_sqlite_acknowledges_nothing_and_goes_on_when_there_is_room() {
    let mut world = World::new(Backend::Sqlite).await;
    let (buzon, inside) = serve_on_small_disk(&mut world, &with_floor("0")).await;
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

#[test(flavor = "multi_thread")]
async fn events_are_refused_before_the_disk_is_so_full_that_the_database_would_fail() {
    let mut world = World::new(Backend::Sqlite).await;
    let (buzon, inside) = serve_on_small_disk(&mut world, &with_floor("16MiB")).await;
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
#[test(flavor = "multi_thread")]
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
