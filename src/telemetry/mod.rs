//! Logs: text for a person at a terminal, JSON otherwise, always on stderr.
//!
//! Never in a log: bodies, secrets, tokens, phone numbers. A failure is logged once, where it is handled.
//!
//! A service goes on whatever becomes of its log. Its lines wait in a bounded queue (`queue.rs`) for a thread that writes
//! them, and writes what repeats once a minute (`repeats.rs`); `line.rs` has the forms. Other commands write by themselves.

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

/// The queue of lines to write. It is not set in a command that writes by itself.
static QUEUE: OnceLock<LineQueue> = OnceLock::new();

/// Starts logging what `filter` lets through, and panics, for a command that ends by itself.
pub fn init(filter: &Targets) {
    log_to_stderr(filter, LineFormat::of_stderr());
}

/// The same for a service: nothing waits until a line is written.
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

/// Writes a line for a person to stderr, in its turn among those of the log. There may be nobody.
pub fn say(text: &str) {
    put(LogLine::plain(format!("{text}\n")));
}

/// Waits a moment for what is still to be written. Whatever is logged afterwards is lost.
pub fn finish() {
    if let Some(queue) = QUEUE.get() {
        queue.finish();
    }
}

fn put(line: LogLine) {
    match QUEUE.get() {
        Some(queue) => queue.push(line),
        None => {
            // There is nowhere to say that nobody reads.
            let _ = io::stderr().write_all(line.text.as_bytes());
        }
    }
}

fn log_to_stderr(filter: &Targets, form: LineFormat) {
    let layer = fmt::layer()
        .log_internal_errors(false)
        // The formatter hands each line on by itself, with what the queue must know of it.
        .with_writer(io::sink)
        .event_format(Formatter { form, put });
    let registry = tracing_subscriber::registry().with(filter.clone());
    match form {
        LineFormat::Text => registry.with(layer.fmt_fields(debug_fn(field_for_people).delimited(" "))).init(),
        LineFormat::Json => registry.with(layer.fmt_fields(JsonFields::new())).init(),
    }
    panic::set_hook(Box::new(move |panic| put(panic_line(form, panic))));
}

/// Says where, and why only if that is a constant of the program: what is put together at run time can quote a message.
///
/// A panic in here would abort the process, and what panicked may have been a formatter. So nothing of `tracing` has a
/// part in it.
fn panic_line(form: LineFormat, panic: &PanicHookInfo<'_>) -> LogLine {
    const MESSAGE: &str = "something that must not happen has happened: a mistake in buzon";
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
