//! Fuzz tests of everything that is read from outside. Seeds are mutated until they hardly resemble themselves. There
//! is a file for each target.
//!
//! Each target tries a few hundred cases in an ordinary run. `FUZZ_CASES` sets another number. Targets that use a
//! database try a hundredth of it. A failing case is shrunk and printed.

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

/// The number of cases of a target without a database in an ordinary run.
const USUAL: u32 = 500;

/// The number of cases without a database for which a target with a database tries one.
const DATABASE_SHARE: u32 = 100;

/// Tests a property of a pure function.
fn hold<S: Strategy>(inputs: &S, property: impl Fn(S::Value) -> TestCaseResult) {
    run(asked().unwrap_or(USUAL), inputs, property);
}

/// Tests a property that involves a database, with `usual` cases in an ordinary run.
fn hold_slowly<S: Strategy>(usual: u32, inputs: &S, property: impl Fn(S::Value) -> TestCaseResult) {
    run(asked().map_or(usual, |cases| (cases / DATABASE_SHARE).max(usual)), inputs, property);
}

fn asked() -> Option<u32> {
    std::env::var("FUZZ_CASES").ok().map(|cases| cases.parse().expect("FUZZ_CASES is a number"))
}

fn run<S: Strategy>(cases: u32, inputs: &S, property: impl Fn(S::Value) -> TestCaseResult) {
    // Failures to make a case are not counted as cases.
    let config = Config { cases, failure_persistence: None, max_global_rejects: u32::MAX, ..Config::default() };
    if let Err(failure) = TestRunner::new(config).run(inputs, property) {
        panic!("{failure}");
    }
}
