//! A time limit for every test, so that a test that never ends fails by its name and the others go on.
//!
//! Each crate takes its `#[test]` from here: `#[macro_use] extern crate limit` replaces the compiler's attribute
//! everywhere in the crate, also for `async` tests.

use std::convert::Infallible;
use std::panic::resume_unwind;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, Builder};
use std::time::Duration;

pub use attribute::{limited, test};

/// The limit of a test, unless `BUZON_TEST_LIMIT` states another number of seconds; 0 means none. It is generous,
/// because the machine may be slow and have other work.
const USUAL: u64 = 300;

/// The tests that cause faults in several rounds, each of which may take as long as another test.
const IN_ROUNDS: &str = "chaos::";
const USUAL_ROUNDS: u64 = 3;

/// Runs a test in a thread of its own, and fails it if it does not end in time. The thread is then left behind: nothing
/// can end it before the process ends.
pub fn within_limit(test: fn()) {
    // libtest gives each thread the name of its test.
    let name = thread::current().name().unwrap_or("a test").to_owned();
    let limit = limit(&name, |variable| std::env::var(variable).ok()?.parse().ok());
    run(name, limit, test);
}

/// Returns the limit of the test with this name.
fn limit(name: &str, setting: impl Fn(&str) -> Option<u64>) -> Duration {
    let rounds = if name.starts_with(IN_ROUNDS) { setting("CHAOS_ROUNDS").unwrap_or(0).max(USUAL_ROUNDS) } else { 1 };
    match setting("BUZON_TEST_LIMIT").unwrap_or(USUAL) {
        0 => Duration::MAX,
        seconds => Duration::from_secs(seconds.saturating_mul(rounds)),
    }
}

fn run(name: String, limit: Duration, test: fn()) {
    let (end, ended) = mpsc::channel::<Infallible>();
    let run = move || {
        // It is dropped at the end of the test, however that ends.
        let _end = end;
        test();
    };
    let running = Builder::new().name(name.clone()).spawn(run).expect("a thread can be started");
    if ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
        panic!("{name} has not ended within {limit:?}, the limit that BUZON_TEST_LIMIT sets in seconds");
    }
    if let Err(panic) = running.join() {
        resume_unwind(panic);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;
    use std::thread;
    use std::time::Duration;

    // Not all: the tests of the limit itself are the compiler's.
    use super::{limit, run};

    const NAME: &str = "http::a_test";

    fn message(limit: Duration, test: fn()) -> String {
        let panic = catch_unwind(|| run(NAME.to_owned(), limit, test)).expect_err("it fails");
        panic
            .downcast_ref::<String>()
            .map_or_else(|| panic.downcast_ref::<&str>().expect("it is text").to_string(), String::clone)
    }

    #[test]
    fn a_test_that_never_ends_fails_by_its_name() {
        let hangs = || loop {
            thread::park();
        };
        let message = message(Duration::from_millis(1), hangs);
        assert_eq!(message, "http::a_test has not ended within 1ms, the limit that BUZON_TEST_LIMIT sets in seconds");
    }

    #[test]
    fn a_test_that_ends_passes_or_fails_by_itself() {
        run(NAME.to_owned(), Duration::MAX, || {});
        assert_eq!(message(Duration::MAX, || panic!("its own words")), "its own words");
    }

    #[test]
    fn rounds_take_longer_and_a_setting_overrides_the_usual_limit() {
        let seconds = |name, stated: Option<u64>, rounds: Option<u64>| {
            limit(name, |variable| if variable == "CHAOS_ROUNDS" { rounds } else { stated }).as_secs()
        };
        for (name, stated, rounds, expected) in [
            (NAME, None, None, 300),
            (NAME, None, Some(12), 300),
            (NAME, Some(20), Some(12), 20),
            ("chaos::machine::power", None, None, 900),
            ("chaos::machine::power", None, Some(1), 900),
            ("chaos::machine::power", Some(20), Some(12), 240),
            (NAME, Some(0), None, u64::MAX),
        ] {
            assert_eq!(seconds(name, stated, rounds), expected, "{name} {stated:?} {rounds:?}");
        }
    }
}
