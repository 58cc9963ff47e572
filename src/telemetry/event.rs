//! The formatter, which makes log lines of `tracing` events.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{self, FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use super::line::{LineFormat, LogLine, Repeats, shown};
use platform::clock::{Clock, SystemClock};
use platform::terminal::escaped;

const PLAIN: &str = "\u{1b}[0m";
const DIM: &str = "\u{1b}[2m";

/// A formatter that passes each line to a function instead of a writer.
pub(super) struct Formatter {
    pub form: LineFormat,
    pub put: fn(LogLine),
}

impl<S, N> FormatEvent<S, N> for Formatter
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut text = String::new();
        match self.form {
            LineFormat::Json => {
                let json = format::format().json().with_span_list(false);
                json.format_event(context, Writer::new(&mut text), event)?;
            }
            LineFormat::Text => text_of(context, writer.has_ansi_escapes(), event, &mut text),
        }
        (self.put)(LogLine { text, repeats: repeats(event) });
        Ok(())
    }
}

fn text_of<S, N>(context: &FmtContext<'_, S, N>, colours: bool, event: &Event<'_>, text: &mut String)
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    let mut fields = EventFields::default();
    event.record(&mut fields);
    // The `log` crate adds these fields to say where the line comes from.
    fields.others.retain(|(name, _)| !name.starts_with("log."));
    let target = event.metadata().target();
    if !target.starts_with(env!("CARGO_PKG_NAME")) {
        fields.others.push(("target", target.to_owned()));
    }
    let (at, level) = (SystemClock.now().to_rfc3339(), *event.metadata().level());
    let (dim, colour, plain) = if colours { (DIM, colour(level), PLAIN) } else { ("", "", "") };
    text.push_str(&format!("{dim}{at}{plain} {colour}{level:>5}{plain} {}{dim}", fields.message));
    fields.others.iter().for_each(|(name, value)| text.push_str(&format!(" {name}={}", shown(value))));
    for span in context.event_scope().into_iter().flatten() {
        if let Some(fields) = span.extensions().get::<FormattedFields<N>>().filter(|fields| !fields.is_empty()) {
            text.push_str(&format!(" {fields}"));
        }
    }
    text.push_str(plain);
    text.push('\n');
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\u{1b}[31m",
        Level::WARN => "\u{1b}[33m",
        Level::INFO => "\u{1b}[32m",
        _ => "\u{1b}[34m",
    }
}

/// Writes a field of a span, escaped for a terminal.
pub(super) fn field_for_people(out: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    write!(out, "{}={}", field.name(), escaped(&format!("{value:?}")))
}

/// The message and the other fields of an event, for a terminal.
#[derive(Default)]
struct EventFields {
    message: String,
    others: Vec<(&'static str, String)>,
}

impl Visit for EventFields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message = escaped(value).into_owned(),
            name => self.others.push((name, value.to_owned())),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// Says what the event repeats. Two warnings of a module are the same if only their numbers differ.
fn repeats(event: &Event<'_>) -> Repeats {
    let metadata = event.metadata();
    let module = hash(|hasher| metadata.target().hash(hasher));
    match *metadata.level() {
        Level::ERROR | Level::WARN => {
            let key = hash(|hasher| {
                metadata.callsite().hash(hasher);
                event.record(&mut TextFields(hasher));
            });
            Repeats::Warning { module, key }
        }
        Level::INFO => Repeats::News { module },
        _ => Repeats::Never,
    }
}

fn hash(feed: impl FnOnce(&mut DefaultHasher)) -> u64 {
    let mut hasher = DefaultHasher::new();
    feed(&mut hasher);
    hasher.finish()
}

/// A visitor that hashes the fields that are text.
struct TextFields<'h>(&'h mut DefaultHasher);

impl Visit for TextFields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        (field.name(), value).hash(self.0);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_u64(&mut self, _: &Field, _: u64) {}

    fn record_i64(&mut self, _: &Field, _: i64) {}

    fn record_f64(&mut self, _: &Field, _: f64) {}
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tracing::{error, info, info_span, warn};
    use tracing_subscriber::field::MakeExt;
    use tracing_subscriber::fmt::format::debug_fn;

    use super::*;

    /// Returns the lines that `log` logs in this thread.
    fn lines(form: LineFormat, log: impl FnOnce()) -> Vec<LogLine> {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        static LINES: Mutex<Vec<LogLine>> = Mutex::new(Vec::new());
        let _turn = ONE_AT_A_TIME.lock().unwrap();
        let formatter = Formatter { form, put: |line| LINES.lock().unwrap().push(line) };
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::sink);
        let subscriber =
            subscriber.event_format(formatter).fmt_fields(debug_fn(field_for_people).delimited(" ")).finish();
        tracing::subscriber::with_default(subscriber, log);
        std::mem::take(&mut LINES.lock().unwrap())
    }

    #[test]
    fn at_a_terminal_the_message_comes_before_the_fields() {
        let lines = lines(LineFormat::Text, || {
            info_span!("request", request.id = "r1", shown = %"\u{9b}1m").in_scope(|| {
                warn!(instance.id = %"a\u{1b}b", count = 3, reason = "two words", "an event cannot be {}", "used\u{202e}");
            });
        });
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        let (at, rest) = line.text.split_once(' ').unwrap();
        assert_eq!(at.len(), "2024-08-27T00:00:00.000Z".len());
        let expected = "an event cannot be used\\u{202e} instance.id=a\\u{1b}b count=3 reason=\"two words\" request.id=\"r1\" \
                        shown=\\u{9b}1m\n";
        assert_eq!(rest, format!(" WARN {expected}"));
    }

    #[test]
    fn warnings_are_the_same_when_only_their_numbers_differ() {
        let lines = lines(LineFormat::Text, || {
            for (count, address) in [(1_u64, "a"), (2, "a"), (3, "b")] {
                warn!(count, client.address = %address, "it came again");
            }
            error!("it came again");
            info!("it is well");
        });
        let warning = |line: &LogLine| match line.repeats {
            Repeats::Warning { key, .. } => key,
            other => panic!("{other:?}"),
        };
        let keys: Vec<u64> = lines[..4].iter().map(warning).collect();
        assert_eq!(keys[0], keys[1]);
        assert!(keys[1] != keys[2] && keys[2] != keys[3] && keys[0] != keys[3]);
        assert!(matches!(lines[4].repeats, Repeats::News { .. }));
    }
}
