//! Logs: text for a person at a terminal, JSON otherwise, always on stderr.
//!
//! Never in a log: bodies, secrets, tokens, phone numbers. A failure is logged once, where it is handled.

use std::io::{self, IsTerminal};
use std::panic::{self, PanicHookInfo};

use tracing::{error, field};
use tracing_subscriber::EnvFilter;

/// Starts logging what `filter` lets through, and panics.
pub fn init(filter: &str) {
    let subscriber = tracing_subscriber::fmt().with_env_filter(EnvFilter::new(filter)).with_writer(io::stderr);
    if io::stderr().is_terminal() {
        subscriber.init();
    } else {
        subscriber.json().with_span_list(false).init();
    }
    panic::set_hook(Box::new(log_panic));
}

/// Says where, and why only if that is a constant of the program: what is put together at run time can quote a message.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let reason = panic.payload().downcast_ref::<&'static str>().copied();
    let place = panic.location().map(field::display);
    error!(
        panic.place = place,
        panic.reason = reason,
        "something that must not happen has happened: a mistake in buzon"
    );
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_panic_is_logged_with_its_place_and_never_with_what_it_quotes() {
        let memory = Memory::default();
        let writer = memory.clone();
        let subscriber = tracing_subscriber::fmt().json().with_writer(move || writer.clone()).finish();
        let before = panic::take_hook();
        panic::set_hook(Box::new(log_panic));
        tracing::subscriber::with_default(subscriber, || {
            let text = "canary-text-of-a-message";
            assert!(catch_unwind(|| panic!("no room for {text}")).is_err());
            assert!(catch_unwind(|| panic!("a constant reason")).is_err());
        });
        panic::set_hook(before);
        let logged = String::from_utf8(memory.0.lock().unwrap().clone()).unwrap();
        assert_eq!(logged.matches("src/telemetry.rs").count(), 2, "{logged}");
        assert!(logged.contains("a constant reason"), "{logged}");
        assert!(!logged.contains("canary"), "{logged}");
    }
}
