//! Expiry times as people write them.

use std::time::Duration;

use jiff::civil::Date;
use time::macros::datetime;

use super::timestamp::Timestamp;
use super::zone::Zone;

/// The latest time that can be written as text.
const LATEST: Timestamp = Timestamp::from_millis(datetime!(9999-12-31 23:59:59.999 UTC).unix_timestamp() * 1_000 + 999);

/// An expiry: the end of a day, a moment, or a span from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    EndOf(Date),
    At(Timestamp),
    After(Duration),
}

/// The error for a text that is not a usable expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidExpiry {
    #[error("expected a day such as 2027-01-31, a time such as 2027-01-31T18:00:00-05:00, or 30d, 12h, 8w")]
    Form,
    #[error("it is over already")]
    Past,
    #[error("that is too far away; leave it out for something that does not end")]
    TooFar,
}

impl Expiry {
    /// Reads `2027-01-31` (the end of that day), RFC 3339, or a number of hours, days or weeks: `12h`, `30d`, `8w`.
    pub fn parse(text: &str) -> Result<Self, InvalidExpiry> {
        let day = || Zone::date(text).map(Self::EndOf);
        let moment = || Timestamp::from_rfc3339(text).map(Self::At);
        span(text).map(Self::After).or_else(day).or_else(moment).ok_or(InvalidExpiry::Form)
    }

    /// Returns the moment of the expiry, seen from `now`. Days are those of `zone`.
    ///
    /// # Errors
    /// If the moment is not in the future, or is beyond the year 9999.
    pub fn resolve(self, now: Timestamp, zone: &Zone) -> Result<Timestamp, InvalidExpiry> {
        let end = match self {
            Self::EndOf(day) => zone.end_of(day).ok_or(InvalidExpiry::TooFar)?,
            Self::At(end) => end,
            Self::After(span) => now + span,
        };
        match end {
            end if end <= now => Err(InvalidExpiry::Past),
            end if end > LATEST => Err(InvalidExpiry::TooFar),
            end => Ok(end),
        }
    }
}

fn span(text: &str) -> Option<Duration> {
    const HOUR: u64 = 60 * 60;
    let unit = match text.chars().next_back()? {
        'h' => HOUR,
        'd' => 24 * HOUR,
        'w' => 7 * 24 * HOUR,
        _ => return None,
    };
    let number: u32 = text[..text.len() - 1].parse().ok()?;
    Some(Duration::from_secs(u64::from(number) * unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_724_716_800_000);

    fn ends(text: &str) -> Result<String, InvalidExpiry> {
        Expiry::parse(text)?.resolve(NOW, &Zone::utc()).map(Timestamp::to_rfc3339)
    }

    #[test]
    fn an_expiry_is_a_day_a_moment_or_a_span() {
        assert_eq!(ends("2027-01-31").unwrap(), "2027-01-31T23:59:59.999Z");
        assert_eq!(ends("2027-01-31T18:00:00-05:00").unwrap(), "2027-01-31T23:00:00.000Z");
        assert_eq!(ends("12h").unwrap(), "2024-08-27T12:00:00.000Z");
        assert_eq!(ends("30d").unwrap(), "2024-09-26T00:00:00.000Z");
        assert_eq!(ends("8w").unwrap(), "2024-10-22T00:00:00.000Z");
        assert_eq!(ends("2024-08-27").unwrap(), "2024-08-27T23:59:59.999Z");
        assert_eq!(ends("9999-12-29").unwrap(), "9999-12-29T23:59:59.999Z");
    }

    #[test]
    fn a_day_ends_at_its_end_in_the_zone() {
        let ends = |zone: &str, text: &str| {
            let end = Expiry::parse(text).unwrap().resolve(NOW, &Zone::parse(zone).unwrap());
            end.map(Timestamp::to_rfc3339)
        };
        assert_eq!(ends("America/Bogota", "2027-01-31").unwrap(), "2027-02-01T04:59:59.999Z");
        // It is still the 26th in Bogota, and the 27th in Auckland.
        assert_eq!(ends("America/Bogota", "2024-08-26").unwrap(), "2024-08-27T04:59:59.999Z");
        assert_eq!(ends("Pacific/Auckland", "2024-08-26"), Err(InvalidExpiry::Past));
        assert_eq!(ends("America/Bogota", "2024-08-27T00:00:01Z").unwrap(), "2024-08-27T00:00:01.000Z");
    }

    #[test]
    fn a_past_or_too_distant_moment_or_any_other_text_is_refused() {
        for past in ["2024-08-26", "2024-08-27T00:00:00Z", "0d"] {
            assert_eq!(ends(past), Err(InvalidExpiry::Past), "{past}");
        }
        for far in ["4294967295w", "9999-12-31", "9999-12-31T23:59:59-01:00"] {
            assert_eq!(ends(far), Err(InvalidExpiry::TooFar), "{far}");
        }
        for other in
            ["", "d", "mañana", "30", "30 d", "-3d", "+", "1.5d", "2027-02-30", "2027-1-1", "31/01/2027", "30ñ"]
        {
            assert_eq!(ends(other), Err(InvalidExpiry::Form), "{other}");
        }
    }
}
