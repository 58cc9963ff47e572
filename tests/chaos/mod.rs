//! Nothing that was acknowledged is lost, whatever happens: a loader with its own ledger, faults, and an auditor.
//!
//! Each fault is tried a few times in an ordinary run. `CHAOS_ROUNDS` overrides how often, `CHAOS_EVENTS` limits the
//! events between two faults, and `CHAOS_SEED` repeats the events and moments of a failed run. Each case prints its
//! seed.

mod clients;
mod database;
pub mod harness;
mod machine;
mod migration;
mod processes;

use std::path::{Path, PathBuf};
use std::process::Command;

use harness::auditor::audit;
use harness::ledger::SentEvents;
use harness::loader::Loader;

use crate::support::database::world::World;
use crate::support::events::SECRET;
use buzon::simulate::SeededRng;

/// The settings of the program under test. Files are announced, but not downloaded.
const SETTINGS: &[(&str, &str)] = &[("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_MEDIA_DOWNLOADS", "0")];

/// Returns how often a fault is tried: `CHAOS_ROUNDS` times, or `usual` times by default.
fn rounds(usual: u64) -> u64 {
    setting("CHAOS_ROUNDS").unwrap_or(usual)
}

/// Returns whether this is a long run, whose figures are meaningful.
fn is_long() -> bool {
    std::env::var_os("CHAOS_ROUNDS").is_some()
}

/// Returns the seed of a case's events and moments, and prints it.
fn seed() -> u64 {
    let seed = setting("CHAOS_SEED").unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    println!("CHAOS_SEED={seed}");
    seed
}

/// Returns a number from the environment.
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Asserts that the store holds all that was acknowledged, and prints the bound that follows.
async fn assert_nothing_lost(world: &World, sent: &SentEvents, faults: u64) {
    let audit = audit(world, sent).await;
    let bound = 3.0 / faults as f64;
    println!("{audit} after {faults} faults; with none lost, the chance of a loss is below {bound:.4} (95 %)");
}

/// Compiles a library to be loaded with `LD_PRELOAD`, and returns its path in `folder`.
fn compile_preload(source: &str, folder: &Path) -> PathBuf {
    let library = folder.join(source).with_extension("so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chaos/machine").join(source);
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl");
    assert!(compiler.status().expect("there is a C compiler").success());
    library
}

/// Returns after how many acknowledged events the next fault comes: a random number from `at_least`, in a range of
/// `usual` or `CHAOS_EVENTS`. Counting events rather than time ensures that there was some load.
fn events_until_fault(rng: &mut SeededRng, at_least: u64, usual: u64) -> u64 {
    at_least + rng.below(setting("CHAOS_EVENTS").unwrap_or(usual))
}
