//! The power goes: what the device had is all that is left.
//!
//! The database lies on a file system in a file. Its processes are stopped, the file is copied, which has only what reached the
//! "device", and from the copy they start again.

use rustix::process::Signal;

use super::device::Disk;
use super::{Loader, SETTINGS, assert_nothing_lost, moment, rounds, seed};
use crate::support::postgres::{Control, Server};
use crate::support::process::Buzon;
use crate::support::world::{Backend, World};
use buzon::simulate::SeededRng;

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_has_what_it_acknowledged_after_the_power_went() {
    let (seed, rounds) = (seed(), rounds(2));
    let Some(mut disk) = Disk::create(rounds) else { return };
    let mut world = World::new(Backend::Sqlite).await;
    world.url = format!("sqlite://{}", disk.path().join("buzon.db").display());
    let mut dice = SeededRng::new(seed);
    let mut buzon = Buzon::serve(&world, SETTINGS).await;
    let loader = Loader::start(seed, buzon.address);
    for _ in 0..rounds {
        loader.gets_on(moment(&mut dice, 100, 1_000)).await;
        buzon.signal(Signal::STOP);
        disk.copy();
        buzon.kill().await;
        disk.replace();
        buzon = Buzon::serve(&world, SETTINGS).await;
        loader.turn_to(vec![buzon.address]);
    }
    loader.gets_on(100).await;
    assert_nothing_lost(&world, &loader.end().await, rounds).await;
    buzon.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_has_what_was_acknowledged_after_the_power_went() {
    let (seed, rounds) = (seed(), rounds(2));
    let Some(mut disk) = Disk::create(rounds) else { return };
    let server = Server::start_in(&disk.path(), "");
    let world = World::on_server(&server.url, "").await;
    let control = Control::of(&server.url).await;
    let mut dice = SeededRng::new(seed);
    let buzon = Buzon::serve(&world, SETTINGS).await;
    let loader = Loader::start(seed, buzon.address);
    for _ in 0..rounds {
        loader.gets_on(moment(&mut dice, 100, 1_000)).await;
        let processes = control.freeze();
        disk.copy();
        control.end(&processes).await;
        disk.replace();
        control.start().await;
    }
    loader.gets_on(100).await;
    assert_nothing_lost(&world, &loader.end().await, rounds).await;
    buzon.kill().await;
    drop(server);
}
