//! One message that arrives in many copies, each as large as a body may be.

use serde_json::json;

use crate::chaos::harness::ledger::{Fate, SentEvents, note};
use crate::chaos::harness::traffic::SimulatedDelivery;
use crate::chaos::{Loader, SETTINGS, assert_nothing_lost, rounds, seed};
use crate::support::database::world::on_both;
use crate::support::program::process::Buzon;

const LETTERS: usize = 3_900_000;
/// Together, these copies exceed the memory that the process may take.
const COPIES: i64 = 60;
const MAX_MEMORY: u64 = 400_000_000;

#[test(flavor = "multi_thread")]
async fn a_message_in_many_copies_affects_no_other() {
    on_both(async |world| {
        let (rounds, mut sent) = (rounds(1), SentEvents::new());
        let buzon = Buzon::serve(&world, SETTINGS).await;
        let loader = Loader::start(seed(), buzon.address);
        for n in 0..COPIES * rounds as i64 {
            // Every second copy is newer than all others; the rest are older than all others.
            let second = if n % 2 == 0 { n } else { -n };
            let fields = json!({"n": n, "timestamp": 1_724_716_800 + second, "body": "x".repeat(LETTERS)});
            let copy = SimulatedDelivery::message("in copies", fields);
            buzon.deliver_to(&copy.path(), copy.body.clone()).await.accepted();
            note(&mut sent, &copy, Fate::Acked);
        }
        loader.wait_for_acks(100).await;
        assert_eq!(loader.failed(), 0, "no event was refused");
        sent.extend(loader.end().await);
        let peak = buzon.peak_memory();
        println!("at most {} MB of memory", peak / 1_000_000);
        assert!(peak < MAX_MEMORY, "{peak}");
        assert_nothing_lost(&world, &sent, rounds).await;
        let aside = "SELECT count(*) FROM events WHERE message_id = 'in copies' AND reason = 'too_many_copies'";
        assert_eq!(world.value(aside).await, (COPIES * rounds as i64 / 2 - 1).to_string());
        buzon.kill().await;
    })
    .await;
}
