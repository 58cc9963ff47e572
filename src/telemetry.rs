//! Logs: text for a person at a terminal, JSON otherwise, always on stderr.
//!
//! Never in a log: bodies, secrets, tokens, phone numbers. A failure is logged once, where it is handled.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

/// Starts logging what `filter` lets through.
pub fn init(filter: &str) {
    let subscriber = tracing_subscriber::fmt().with_env_filter(EnvFilter::new(filter)).with_writer(io::stderr);
    if io::stderr().is_terminal() {
        subscriber.init();
    } else {
        subscriber.json().with_span_list(false).init();
    }
}
