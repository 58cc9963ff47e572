//! The log, always on stderr: as text at a terminal, otherwise as JSON.
//!
//! Bodies, secrets, tokens and phone numbers are never logged. A failure is logged once, where it is handled.
//!
//! A service must not be held up by its log. Its lines wait in a bounded queue (`queue.rs`) for a thread that writes
//! them, which writes a repeated warning only once a minute (`repeats.rs`). `event.rs` and `line.rs` format the lines.
//! Other commands write to stderr directly.

use std::io::{self, Write};
use std::panic::{self, PanicHookInfo};
use std::sync::OnceLock;

use tracing::Level;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::format::{JsonFields, debug_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

mod event;
mod line;
mod queue;
mod repeats;

use event::{Formatter, field_for_people};
use line::{LineFormat, LogLine};
use queue::LineQueue;

/// The queue of lines. It is not set in commands that write directly.
static QUEUE: OnceLock<LineQueue> = OnceLock::new();

/// Starts to log panics and what `filter` lets through, for a command that ends by itself.
pub fn init(filter: &Targets) {
    log_to_stderr(filter, LineFormat::of_stderr());
}

/// Does the same for a service, in which nothing waits until a line is written.
///
/// # Errors
/// If the system gives no more threads.
pub fn init_service(filter: &Targets) -> io::Result<()> {
    let form = LineFormat::of_stderr();
    let queue = LineQueue::start(io::stderr(), form)?;
    QUEUE.get_or_init(|| queue);
    log_to_stderr(filter, form);
    Ok(())
}

/// Writes a line for a person to stderr, in order with the lines of the log.
pub fn say(text: &str) {
    put(LogLine::plain(format!("{text}\n")));
}

/// Waits a moment until the lines of the queue are written. Lines that are logged after this are lost.
pub fn finish() {
    if let Some(queue) = QUEUE.get() {
        queue.finish();
    }
}

fn put(line: LogLine) {
    match QUEUE.get() {
        Some(queue) => queue.push(line),
        None => {
            // If stderr cannot be written, there is no other place to report that.
            let _ = io::stderr().write_all(line.text.as_bytes());
        }
    }
}

fn log_to_stderr(filter: &Targets, form: LineFormat) {
    let layer = fmt::layer()
        .log_internal_errors(false)
        // The formatter passes each line to `put` itself, because the queue needs more than the text.
        .with_writer(io::sink)
        .event_format(Formatter { form, put });
    let registry = tracing_subscriber::registry().with(filter.clone());
    match form {
        LineFormat::Text => registry.with(layer.fmt_fields(debug_fn(field_for_people).delimited(" "))).init(),
        LineFormat::Json => registry.with(layer.fmt_fields(JsonFields::new())).init(),
    }
    panic::set_hook(Box::new(move |panic| put(panic_line(form, panic))));
}

/// Makes the line of a panic. It has the reason only if that is a constant, because a text that is formatted at run
/// time can quote a message.
///
/// A panic in this function would abort the process, and the cause of the panic may be a formatter. So it does not use
/// `tracing`.
fn panic_line(form: LineFormat, panic: &PanicHookInfo<'_>) -> LogLine {
    const MESSAGE: &str = "buzon panicked, which is a bug in buzon";
    let place = panic.location().map(ToString::to_string);
    let reason = panic.payload().downcast_ref::<&'static str>().copied();
    let fields = [("panic.place", place.as_deref()), ("panic.reason", reason)];
    let stated: Vec<(&str, &str)> = fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    LogLine::plain(form.line(Level::ERROR, MESSAGE, &stated))
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn a_panic_is_logged_with_its_place_and_never_with_what_it_quotes() {
        let logged = Arc::new(Mutex::new(String::new()));
        let hook = logged.clone();
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            hook.lock().unwrap().push_str(&panic_line(LineFormat::Json, panic).text)
        }));
        let text = "canary-text-of-a-message";
        assert!(catch_unwind(|| panic!("no room for {text}")).is_err());
        assert!(catch_unwind(|| panic!("a constant reason")).is_err());
        // Also where it is the log's own: a formatter stands in the middle of a line.
        let subscriber = tracing_subscriber::fmt().with_writer(io::sink).finish();
        let log = || tracing::error!(value = ?std::fmt::from_fn(|_| panic!("a value that panics")), "a line");
        tracing::subscriber::with_default(subscriber, || assert!(catch_unwind(log).is_err()));
        panic::set_hook(before);
        let logged = logged.lock().unwrap().clone();
        assert_eq!(logged.matches("src/telemetry/mod.rs").count(), 3, "{logged}");
        assert!(logged.contains("a constant reason"), "{logged}");
        assert!(!logged.contains("canary"), "{logged}");
    }
}
