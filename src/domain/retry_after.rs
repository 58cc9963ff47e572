//! `Retry-After` (RFC 9110, section 10.2.3): when a server wants to be asked again.

use std::time::{Duration, UNIX_EPOCH};

use super::timestamp::Timestamp;

/// How long to wait after `now`: the header has seconds, or a date. `None` for anything else.
pub fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(value.trim()).ok()?.duration_since(UNIX_EPOCH).ok()?;
    let now = Duration::from_millis(now.millis().try_into().ok()?);
    Some(until.saturating_sub(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_says_in_seconds_or_with_a_date_when_to_come_again() {
        let now = Timestamp::from_rfc3339("2024-08-27T00:00:00Z").expect("it is a time");
        let seconds = |value: &str| retry_after(value, now).map(|wait| wait.as_secs());
        assert_eq!(seconds("120"), Some(120));
        assert_eq!(seconds("Tue, 27 Aug 2024 00:01:30 GMT"), Some(90));
        assert_eq!(seconds("Mon, 26 Aug 2024 00:00:00 GMT"), Some(0));
        assert_eq!(seconds("soon"), None);
    }
}
