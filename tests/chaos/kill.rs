//! `kill -9`, again and again.

use super::{Loader, SETTINGS, moment, reckon, rounds, seed};
use crate::support::dice::Dice;
use crate::support::process::Buzon;
use crate::support::world::on_both;

#[tokio::test(flavor = "multi_thread")]
async fn killed_again_and_again_it_keeps_all_that_it_acknowledged() {
    on_both(async |world| {
        let (seed, rounds) = (seed(), rounds(5));
        let mut dice = Dice::new(seed);
        let mut buzon = Buzon::serve(&world, SETTINGS).await;
        let loader = Loader::start(seed, buzon.address);
        for _ in 0..rounds {
            loader.gets_on(moment(&mut dice, 20, 400)).await;
            buzon.kill().await;
            buzon = Buzon::serve(&world, SETTINGS).await;
            loader.turn_to(vec![buzon.address]);
        }
        loader.gets_on(100).await;
        reckon(&world, &loader.end().await, rounds).await;
        buzon.kill().await;
    })
    .await;
}
