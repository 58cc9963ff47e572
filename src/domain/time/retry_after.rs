//! The header `Retry-After` (RFC 9110, section 10.2.3), with which a server asks for a delay before the next request.

use std::time::{Duration, UNIX_EPOCH};

use super::timestamp::Timestamp;

/// The limit on the delay. A longer one is cut to it, so that adding the delay to a time cannot overflow, whatever a
/// stranger has sent.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Returns how long to wait after `now`, at most a day. The header has seconds or a date. Anything else gives `None`.
pub fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(value.parse().map_or(LONGEST, Duration::from_secs).min(LONGEST));
    }
    let until = httpdate::parse_http_date(value).ok()?.duration_since(UNIX_EPOCH).ok()?;
    let now = Duration::from_millis(now.millis().try_into().ok()?);
    Some(until.saturating_sub(now).min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_given_in_seconds_or_as_a_date() {
        let now = Timestamp::from_rfc3339("2024-08-27T00:00:00Z").expect("it is a time");
        let seconds = |value: &str| retry_after(value, now).map(|wait| wait.as_secs());
        assert_eq!(seconds("120"), Some(120));
        assert_eq!(seconds("Tue, 27 Aug 2024 00:01:30 GMT"), Some(90));
        assert_eq!(seconds("Mon, 26 Aug 2024 00:00:00 GMT"), Some(0));
        assert_eq!((seconds("soon"), seconds("-1"), seconds("")), (None, None, None));
    }

    #[test]
    fn an_absurd_delay_is_cut_to_a_day() {
        let now = Timestamp::from_rfc3339("2024-08-27T00:00:00Z").expect("it is a time");
        let absurd = [&u64::MAX.to_string(), "99999999999999999999999", "86401", "Fri, 31 Dec 9999 23:59:59 GMT"];
        for value in absurd {
            assert_eq!(retry_after(value, now), Some(LONGEST), "{value}");
        }
    }
}
