//! A throttle for repeated warnings: each is written once a minute, with the number of its repetitions.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::line::{LineFormat, LogLine, Repeats};

const ONCE_IN: Duration = Duration::from_secs(60);
/// The maximum number of remembered warnings. Further ones are written whenever they come.
const REMEMBERED: usize = 256;

/// Decides which lines are written. Those that it leaves out are counted, and the count is written
/// [later](Throttle::late).
pub(super) struct Throttle {
    form: LineFormat,
    warnings: HashMap<u64, RepeatedWarning>,
}

/// A warning that was written, and its repetitions since then.
struct RepeatedWarning {
    module: u64,
    /// The time before which the warning is not written again.
    until: Instant,
    /// The number of repetitions since it was written.
    left_out: u64,
    /// The text of the last repetition.
    last: String,
}

impl Throttle {
    pub(super) fn new(form: LineFormat) -> Self {
        Self { form, warnings: HashMap::new() }
    }

    /// Returns the lines to write now that `line` has come.
    pub(super) fn admit(&mut self, line: LogLine, now: Instant) -> Vec<String> {
        match line.repeats {
            Repeats::Never => vec![line.text],
            Repeats::News { module } => {
                let mut lines = self.take(|warned| warned.module == module);
                lines.push(line.text);
                lines
            }
            Repeats::Warning { module, key } => match self.warnings.get_mut(&key) {
                Some(warned) => {
                    warned.left_out = warned.left_out.saturating_add(1);
                    warned.last = line.text;
                    vec![]
                }
                None => {
                    if self.warnings.len() < REMEMBERED {
                        let warned = RepeatedWarning { module, until: now + ONCE_IN, left_out: 0, last: String::new() };
                        self.warnings.insert(key, warned);
                    }
                    vec![line.text]
                }
            },
        }
    }

    /// Returns the warnings that were left out for a minute. They are not written again for another minute.
    pub(super) fn late(&mut self, now: Instant) -> Vec<String> {
        self.warnings.retain(|_, warned| warned.until > now || warned.left_out > 0);
        let mut lines = vec![];
        for warned in self.warnings.values_mut().filter(|warned| warned.until <= now) {
            lines.extend(warned.repetitions(self.form));
            warned.until = now + ONCE_IN;
        }
        lines
    }

    /// Returns when [`late`](Self::late) has to be called next.
    pub(super) fn due(&self) -> Option<Instant> {
        self.warnings.values().map(|warned| warned.until).min()
    }

    /// Returns a line for each warning that was left out.
    pub(super) fn rest(&mut self) -> Vec<String> {
        self.take(|_| true)
    }

    fn take(&mut self, chosen: impl Fn(&RepeatedWarning) -> bool) -> Vec<String> {
        let form = self.form;
        self.warnings
            .extract_if(|_, warned| chosen(warned))
            .filter_map(|(_, mut warned)| warned.repetitions(form))
            .collect()
    }
}

impl RepeatedWarning {
    /// Returns the line for the repetitions that were left out, if there are any.
    fn repetitions(&mut self, form: LineFormat) -> Option<String> {
        let left_out = std::mem::take(&mut self.left_out);
        let last = std::mem::take(&mut self.last);
        (left_out > 0).then(|| form.repeated(&last, left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULE: u64 = 1;

    fn warning(key: u64, text: &str) -> LogLine {
        LogLine { text: format!("{text}\n"), repeats: Repeats::Warning { module: MODULE, key } }
    }

    fn news(module: u64) -> LogLine {
        LogLine { text: "news\n".to_owned(), repeats: Repeats::News { module } }
    }

    #[test]
    fn a_warning_is_written_at_once_and_then_once_a_minute_with_how_often_it_came() {
        let (mut throttle, start) = (Throttle::new(LineFormat::Text), Instant::now());
        let second = |n: u64| start + Duration::from_secs(n);
        assert_eq!(throttle.admit(warning(1, "a 0"), second(0)), ["a 0\n"]);
        for n in 1..60 {
            assert!(throttle.admit(warning(1, &format!("a {n}")), second(n)).is_empty());
            assert!(throttle.late(second(n)).is_empty());
        }
        assert_eq!(throttle.admit(warning(2, "b"), second(59)), ["b\n"]);
        assert_eq!(throttle.due(), Some(second(60)));
        assert_eq!(throttle.late(second(60)), ["a 59 repeated=59\n"]);
        assert!(throttle.late(second(119)).is_empty());
        assert!(throttle.late(second(120)).is_empty());
        assert_eq!(throttle.admit(warning(1, "a 121"), second(121)), ["a 121\n"]);
    }

    #[test]
    fn after_news_of_its_module_a_warning_is_news_again() {
        let (mut throttle, now) = (Throttle::new(LineFormat::Text), Instant::now());
        assert_eq!(throttle.admit(warning(1, "a"), now), ["a\n"]);
        assert!(throttle.admit(warning(1, "a"), now).is_empty());
        assert_eq!(throttle.admit(news(MODULE + 1), now), ["news\n"]);
        assert!(throttle.admit(warning(1, "a"), now).is_empty());
        assert_eq!(throttle.admit(news(MODULE), now), ["a repeated=2\n", "news\n"]);
        assert_eq!(throttle.admit(warning(1, "a"), now), ["a\n"]);
    }

    #[test]
    fn however_many_warnings_differ_a_bounded_number_is_remembered_and_none_is_swallowed() {
        let (mut throttle, now) = (Throttle::new(LineFormat::Text), Instant::now());
        for key in 0..1_000 {
            assert_eq!(throttle.admit(warning(key, "a"), now), ["a\n"]);
        }
        assert!(throttle.warnings.len() <= REMEMBERED);
        assert_eq!(throttle.admit(warning(999, "a"), now), ["a\n"]);
        assert!(throttle.admit(warning(0, "a"), now).is_empty());
        assert_eq!(throttle.rest(), ["a repeated=1\n"]);
    }
}
