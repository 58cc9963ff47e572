//! What comes from outside, mutated from seeds until it is hardly any more what it was: a file for each thing that is read.
//!
//! Each target tries a few hundred cases in an ordinary run. `FUZZ_CASES` says how many instead; the targets that ask a database
//! try a hundredth of them. A case that fails is made as small as it gets, and printed.

mod corpus;
mod cursors;
mod decoder;
mod lists;
mod mutation;
mod search;
mod signature;
mod tickets;
mod webhook;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};

/// Of a target without a database, in an ordinary run.
const USUAL: u32 = 500;

/// How many cases a target with a database has for each of those without.
const DATABASE_SHARE: u32 = 100;

/// Tries a property of a pure function.
fn hold<S: Strategy>(inputs: &S, property: impl Fn(S::Value) -> TestCaseResult) {
    run(asked().unwrap_or(USUAL), inputs, property);
}

/// Tries a property of what a database has part in, `usual` times in an ordinary run.
fn hold_slowly<S: Strategy>(usual: u32, inputs: &S, property: impl Fn(S::Value) -> TestCaseResult) {
    run(asked().map_or(usual, |cases| (cases / DATABASE_SHARE).max(usual)), inputs, property);
}

fn asked() -> Option<u32> {
    std::env::var("FUZZ_CASES").ok().map(|cases| cases.parse().expect("FUZZ_CASES is a number"))
}

fn run<S: Strategy>(cases: u32, inputs: &S, property: impl Fn(S::Value) -> TestCaseResult) {
    // What the property asks for in vain is no case.
    let config = Config { cases, failure_persistence: None, max_global_rejects: u32::MAX, ..Config::default() };
    if let Err(failure) = TestRunner::new(config).run(inputs, property) {
        panic!("{failure}");
    }
}
