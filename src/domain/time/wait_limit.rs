//! The limit up to which a wait for an answer is counted.

use std::fmt;

use jiff::{Span, SpanRelativeTo};

use super::timestamp::Timestamp;

/// The shortest limit, in seconds, and the longest one.
const MIN: u64 = 60;
const MAX: u64 = 366 * 24 * 60 * 60;

/// A duration in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitLimit(u64);

/// Text that is no usable limit.
#[derive(Debug, PartialEq, Eq)]
pub struct InvalidWaitLimit;

impl fmt::Display for InvalidWaitLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a duration from 1m to 366d, such as 90m, 24h or 3d")
    }
}

impl WaitLimit {
    /// Reads a duration as people write it, such as `24h` or `1h 30m`, or as ISO 8601 does. A day has 24 hours, a week 7
    /// days; months and years are refused, because they have no certain length.
    pub fn parse(text: &str) -> Result<Self, InvalidWaitLimit> {
        let span: Span = text.parse().map_err(|_| InvalidWaitLimit)?;
        let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| InvalidWaitLimit)?;
        let seconds = u64::try_from(duration.as_secs()).ok().filter(|seconds| (MIN..=MAX).contains(seconds));
        seconds.map(Self).ok_or(InvalidWaitLimit)
    }

    pub fn seconds(self) -> u64 {
        self.0
    }

    /// Returns the earliest time from which somebody has not waited longer at `now`. Waits are in whole seconds.
    pub fn before(self, now: Timestamp) -> Timestamp {
        Timestamp::from_seconds(now.seconds().saturating_sub_unsigned(self.0)).max(Timestamp::MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_duration_from_a_minute_to_a_leap_year() {
        for (text, seconds) in [
            ("24h", Some(86_400)),
            ("1m", Some(60)),
            ("60s", Some(60)),
            ("1h 30m", Some(5_400)),
            ("2 days", Some(172_800)),
            ("1w", Some(604_800)),
            ("PT24H", Some(86_400)),
            ("366d", Some(31_622_400)),
            ("366d 1s", None),
            ("59s", None),
            ("0h", None),
            ("-24h", None),
            ("24h ago", None),
            ("1 month", None),
            ("1y", None),
            ("24", None),
            ("", None),
            ("tomorrow", None),
            ("99999999999999999999h", None),
        ] {
            assert_eq!(WaitLimit::parse(text).ok().map(WaitLimit::seconds), seconds, "{text}");
        }
    }
}
