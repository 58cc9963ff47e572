//! A line of the log, and its two formats.

use std::io::{self, IsTerminal};

use serde_json::{Map, Value, json};
use tracing::Level;

use platform::clock::{Clock, SystemClock};
use platform::terminal::escaped;

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineFormat {
    /// Text for people: the time, the level, the message, and then the fields.
    Text,
    /// A JSON object for programs.
    Json,
}

/// A finished line with its line end, and its relation to other lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LogLine {
    pub text: String,
    pub repeats: Repeats,
}

/// The relation of a line to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeats {
    /// It is written whenever it comes.
    Never,
    /// A warning or an error of this module. Those with the same `key` say the same.
    Warning { module: u64, key: u64 },
    /// News of this module. A warning that comes after it is written at once again.
    News { module: u64 },
}

impl LogLine {
    pub(super) fn plain(text: String) -> Self {
        Self { text, repeats: Repeats::Never }
    }
}

impl LineFormat {
    pub(super) fn of_stderr() -> Self {
        if io::stderr().is_terminal() { Self::Text } else { Self::Json }
    }

    /// Makes a line without an event of `tracing`.
    pub(super) fn line(self, level: Level, message: &str, fields: &[(&str, &str)]) -> String {
        let at = SystemClock.now().to_rfc3339();
        match self {
            Self::Text => {
                let fields: String = fields.iter().map(|(name, value)| format!(" {name}={}", shown(value))).collect();
                format!("{at} {level:>5} {message}{fields}\n")
            }
            Self::Json => {
                let stated = fields.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value)));
                let fields: Map<String, Value> =
                    [("message".to_owned(), message.into())].into_iter().chain(stated).collect();
                let target = "buzon::telemetry";
                let line = json!({"timestamp": at, "level": level.as_str(), "fields": fields, "target": target});
                format!("{line}\n")
            }
        }
    }

    /// Returns the line with the number of its repetitions since it was last written.
    pub(super) fn repeated(self, line: &str, times: u64) -> String {
        match (self, line.strip_prefix('{')) {
            (Self::Json, Some(rest)) => format!("{{\"repeated\":{times},{rest}"),
            _ => format!("{} repeated={times}\n", line.trim_end()),
        }
    }
}

/// Returns a value for a terminal, escaped, and in quotation marks if it could be taken for several values.
pub(super) fn shown(value: &str) -> String {
    let is_plain = !value.is_empty() && !value.contains(char::is_whitespace);
    if is_plain { escaped(value).into_owned() } else { format!("\"{}\"", escaped(value)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_message_before_its_fields() {
        let line = LineFormat::Text.line(Level::WARN, "it happened", &[("a", "b"), ("c", "two words")]);
        assert_eq!(line.split_once(' ').unwrap().1, " WARN it happened a=b c=\"two words\"\n");
    }

    #[test]
    fn a_line_of_json_is_an_object_also_with_its_repetitions() {
        let line = LineFormat::Json.line(Level::ERROR, "it \"happened\"\n", &[("a", "\u{1b}")]);
        for (line, repeated) in [(LineFormat::Json.repeated(&line, 7), json!(7)), (line, Value::Null)] {
            let read: Value = serde_json::from_str(line.strip_suffix('\n').unwrap()).unwrap();
            assert_eq!((&read["level"], &read["repeated"]), (&json!("ERROR"), &repeated));
            assert_eq!(read["fields"], json!({"message": "it \"happened\"\n", "a": "\u{1b}"}));
        }
    }

    #[test]
    fn a_value_is_seen_to_be_one() {
        assert_eq!((shown(""), shown("a b"), shown("7")), ("\"\"".into(), "\"a b\"".into(), "7".into()));
    }
}
