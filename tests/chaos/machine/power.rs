//! A power cut: only what had reached the device survives.
//!
//! The database lies on a file system in a file. Its processes are stopped, the file is copied, which holds only what
//! had reached the "device", and the processes start again from the copy.

use rustix::process::Signal;

use crate::chaos::harness::disk_image::Disk;
use crate::chaos::{Loader, SETTINGS, assert_nothing_lost, events_until_fault, rounds, seed};
use crate::support::database::postgres::{Server, ServerControl};
use crate::support::database::world::{Backend, World};
use crate::support::program::process::Buzon;
use buzon::simulate::SeededRng;

#[test(flavor = "multi_thread")]
async fn sqlite_has_what_it_acknowledged_after_the_power_went() {
    let (seed, rounds) = (seed(), rounds(2));
    let Some(mut disk) = Disk::create(rounds) else { return };
    let mut world = World::new(Backend::Sqlite).await;
    world.url = format!("sqlite://{}", disk.path().join("buzon.db").display());
    let mut rng = SeededRng::new(seed);
    let mut buzon = Buzon::serve(&world, SETTINGS).await;
    let loader = Loader::start(seed, buzon.address);
    for _ in 0..rounds {
        loader.wait_for_acks(events_until_fault(&mut rng, 100, 1_000)).await;
        buzon.signal(Signal::STOP);
        disk.copy();
        buzon.kill().await;
        disk.replace();
        buzon = Buzon::serve(&world, SETTINGS).await;
        loader.send_to(vec![buzon.address]);
    }
    loader.wait_for_acks(100).await;
    assert_nothing_lost(&world, &loader.end().await, rounds).await;
    buzon.kill().await;
}

#[test(flavor = "multi_thread")]
async fn postgresql_has_what_was_acknowledged_after_the_power_went() {
    let (seed, rounds) = (seed(), rounds(2));
    let Some(mut disk) = Disk::create(rounds) else { return };
    let server = Server::start_in(&disk.path(), "");
    let world = World::on_server(&server.url, "").await;
    let control = ServerControl::of(&server.url).await;
    let mut rng = SeededRng::new(seed);
    let buzon = Buzon::serve(&world, SETTINGS).await;
    let loader = Loader::start(seed, buzon.address);
    for _ in 0..rounds {
        loader.wait_for_acks(events_until_fault(&mut rng, 100, 1_000)).await;
        let processes = control.freeze();
        disk.copy();
        control.end(&processes).await;
        disk.replace();
        control.start().await;
    }
    loader.wait_for_acks(100).await;
    assert_nothing_lost(&world, &loader.end().await, rounds).await;
    buzon.kill().await;
    drop(server);
}
