//! `kill -9`, again and again.

use std::time::{Duration, Instant};

use crate::chaos::{Loader, SETTINGS, assert_nothing_lost, events_until_fault, rounds, seed};
use crate::support::database::world::on_both;
use crate::support::program::process::Buzon;
use buzon::simulate::SeededRng;

#[test(flavor = "multi_thread")]
async fn killed_again_and_again_it_keeps_all_that_it_acknowledged() {
    on_both(async |world| {
        let (seed, rounds) = (seed(), rounds(3));
        let mut rng = SeededRng::new(seed);
        let mut buzon = Buzon::serve(&world, SETTINGS).await;
        let loader = Loader::start(seed, buzon.address);
        let mut longest = Duration::ZERO;
        for _ in 0..rounds {
            loader.wait_for_acks(events_until_fault(&mut rng, 20, 400)).await;
            buzon.kill().await;
            let killed = Instant::now();
            buzon = Buzon::serve(&world, SETTINGS).await;
            loader.send_to(vec![buzon.address]);
            loader.wait_for_acks(1).await;
            longest = longest.max(killed.elapsed());
        }
        loader.wait_for_acks(100).await;
        assert_nothing_lost(&world, &loader.end().await, rounds).await;
        println!("events are taken again {longest:.2?} after the kill, at the latest");
        buzon.kill().await;
    })
    .await;
}
