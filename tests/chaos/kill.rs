//! `kill -9`, again and again.

use std::time::{Duration, Instant};

use super::{Loader, SETTINGS, assert_nothing_lost, moment, rounds, seed};
use crate::support::process::Buzon;
use crate::support::world::on_both;
use buzon::simulate::SeededRng;

#[tokio::test(flavor = "multi_thread")]
async fn killed_again_and_again_it_keeps_all_that_it_acknowledged() {
    on_both(async |world| {
        let (seed, rounds) = (seed(), rounds(5));
        let mut dice = SeededRng::new(seed);
        let mut buzon = Buzon::serve(&world, SETTINGS).await;
        let loader = Loader::start(seed, buzon.address);
        let mut longest = Duration::ZERO;
        for _ in 0..rounds {
            loader.gets_on(moment(&mut dice, 20, 400)).await;
            buzon.kill().await;
            let killed = Instant::now();
            buzon = Buzon::serve(&world, SETTINGS).await;
            loader.turn_to(vec![buzon.address]);
            loader.gets_on(1).await;
            longest = longest.max(killed.elapsed());
        }
        loader.gets_on(100).await;
        assert_nothing_lost(&world, &loader.end().await, rounds).await;
        println!("events are taken again {longest:.2?} after the kill, at the latest");
        buzon.kill().await;
    })
    .await;
}
