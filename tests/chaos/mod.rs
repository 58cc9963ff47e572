//! Nothing that was acknowledged is lost, whatever happens: a loader that keeps its own ledger, faults, and an auditor.
//!
//! Each fault is tried a few times in an ordinary run. `CHAOS_ROUNDS` says how often instead, `CHAOS_EVENTS` how many events may
//! come between two faults, and `CHAOS_SEED` repeats the events and moments of a run that went wrong; each case prints its own.

mod clients;
mod database;
pub mod harness;
mod machine;
mod processes;
mod migration;

use std::path::{Path, PathBuf};
use std::process::Command;

use harness::auditor::audit;
use harness::ledger::SentEvents;
use harness::loader::Loader;

use crate::support::database::world::World;
use crate::support::events::SECRET;
use buzon::simulate::SeededRng;

/// Of the program that is harmed. Files are announced, and nobody fetches them.
const SETTINGS: &[(&str, &str)] = &[("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_MEDIA_DOWNLOADS", "0")];

/// How often a fault is tried, if not `usual` times.
fn rounds(usual: u64) -> u64 {
    setting("CHAOS_ROUNDS").unwrap_or(usual)
}

/// Whether each case is tried as often as `CHAOS_ROUNDS` says, and so long that figures mean something.
fn is_long() -> bool {
    std::env::var_os("CHAOS_ROUNDS").is_some()
}

/// What decides over the events and moments of a case.
fn seed() -> u64 {
    let seed = setting("CHAOS_SEED").unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    println!("CHAOS_SEED={seed}");
    seed
}

/// A number in the environment.
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Holds what is stored against what was sent.
async fn assert_nothing_lost(world: &World, sent: &SentEvents, faults: u64) {
    let audit = audit(world, sent).await;
    let bound = 3.0 / faults as f64;
    println!("{audit} after {faults} faults; with none lost, the chance of a loss is below {bound:.4} (95 %)");
}

/// Compiles a library that is loaded before the system's, and returns where it lies in `folder`.
fn compile_preload(source: &str, folder: &Path) -> PathBuf {
    let library = folder.join(source).with_extension("so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chaos/machine").join(source);
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl");
    assert!(compiler.status().expect("there is a C compiler").success());
    library
}

/// A events_until_fault, so that the load has got somewhere: by what was acknowledged, not by a clock. So many events more than
/// `at_least`, if not `usual` ones, are the most.
fn events_until_fault(rng: &mut SeededRng, at_least: u64, usual: u64) -> u64 {
    at_least + rng.below(setting("CHAOS_EVENTS").unwrap_or(usual))
}
