//! Nothing that was acknowledged is lost, whatever happens: a loader that keeps its own ledger, faults, and an auditor.
//!
//! Each fault is tried a few times in an ordinary run. `CHAOS_ROUNDS` says how often instead, and `CHAOS_SEED` repeats the
//! events and moments of a run that went wrong; each case prints its own.

pub mod auditor;
mod clocks;
mod disk;
mod fsync;
mod kill;
pub mod ledger;
mod loader;
mod media;
mod postgres;
mod power;
mod replicas;
mod source;
mod upgrade;
mod vanishing;

use std::path::{Path, PathBuf};
use std::process::Command;

use auditor::audit;
use ledger::Sent;
use loader::Loader;

use crate::support::dice::Dice;
use crate::support::events::SECRET;
use crate::support::world::World;

/// Of the program that is harmed. Files are announced, and nobody fetches them.
const SETTINGS: &[(&str, &str)] = &[("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_MEDIA_DOWNLOADS", "0")];

/// How often a fault is tried, if not `usual` times.
fn rounds(usual: u64) -> u64 {
    std::env::var("CHAOS_ROUNDS").map_or(usual, |rounds| rounds.parse().expect("CHAOS_ROUNDS is a number"))
}

/// What decides over the events and moments of a case.
fn seed() -> u64 {
    let asked = std::env::var("CHAOS_SEED").ok().map(|seed| seed.parse().expect("CHAOS_SEED is a number"));
    let seed = asked.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    println!("CHAOS_SEED={seed}");
    seed
}

/// Holds what is stored against what was sent.
async fn reckon(world: &World, sent: &Sent, faults: u64) {
    let audit = audit(world, sent).await;
    let bound = 3.0 / faults as f64;
    println!("{audit} after {faults} faults; with none lost, the chance of a loss is below {bound:.4} (95 %)");
}

/// Compiles a library that is loaded before the system's, and returns where it lies in `folder`.
fn preloaded(source: &str, folder: &Path) -> PathBuf {
    let library = folder.join(source).with_extension("so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chaos").join(source);
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl");
    assert!(compiler.status().expect("there is a C compiler").success());
    library
}

/// A moment, so that the load has got somewhere: by what was acknowledged, not by a clock.
fn moment(dice: &mut Dice, at_least: u64, spread: u64) -> u64 {
    at_least + dice.below(spread)
}
