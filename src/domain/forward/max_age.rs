//! The age from which an event is not sent any more. Without it, every catch-up would make a bot answer old customers
//! again.

use std::fmt;
use std::time::Duration;

use crate::event::{Effect, Interpretation};
use crate::time::timestamp::Timestamp;

/// The maximum age of what a forward sends; none for an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxAge(Option<Duration>);

impl MaxAge {
    const NONE: &'static str = "none";

    pub const fn none() -> Self {
        Self(None)
    }

    /// Reads a duration, or `none`.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text == Self::NONE {
            return Ok(Self::none());
        }
        let expected = "expected a time such as 1h for what answers people, or none for an archive";
        let age = parse_duration(text).filter(|age| !age.is_zero());
        age.map(|age| Self(Some(age))).ok_or(expected)
    }

    /// Returns whether an event of this time is too old at `now`. Events of ours, which have a [kind](super::kind), never
    /// are: they answer nobody, and what they say holds for ever.
    pub fn is_over(self, kind: Option<&'static str>, at: Timestamp, now: Timestamp) -> bool {
        kind.is_none() && self.0.is_some_and(|age| at + age < now)
    }
}

impl fmt::Display for MaxAge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str(Self::NONE),
            Some(age) => write!(f, "{}s", age.as_secs()),
        }
    }
}

/// Reads a number of seconds, minutes, hours, days or weeks: `30s`, `5m`, `1h`, `2d`, `1w`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    const MINUTE: u64 = 60;
    const DAY: u64 = 24 * 60 * MINUTE;
    let unit = match text.chars().next_back()? {
        's' => 1,
        'm' => MINUTE,
        'h' => 60 * MINUTE,
        'd' => DAY,
        'w' => 7 * DAY,
        _ => return None,
    };
    let digits = &text[..text.len() - 1];
    let number: u32 = digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    Some(Duration::from_secs(u64::from(number) * unit))
}

/// Returns the time from which the age of an event counts: the time that the message or reaction states, or else its
/// arrival. A clock that is ahead makes nothing younger than its arrival.
pub fn event_time(interpretation: &Interpretation, received_at: Timestamp) -> Timestamp {
    let stated = match &interpretation.effect {
        Effect::Message(copy) => copy.fields.sent_at,
        Effect::Reaction(reaction) => Some(reaction.reacted_at),
        Effect::Ack(_) | Effect::Nothing => None,
    };
    stated.map_or(received_at, |stated| stated.min(received_at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::InstanceId;

    const ARRIVAL: Timestamp = Timestamp::from_seconds(1_724_717_000);

    #[test]
    fn an_age_is_a_time_with_its_unit_or_none() {
        let seconds = |text: &str| MaxAge::parse(text).map(|MaxAge(age)| age.map(|age| age.as_secs()));
        assert_eq!(seconds("none"), Ok(None));
        for (text, age) in [("30s", 30), ("5m", 300), ("1h", 3_600), ("2d", 172_800), ("1w", 604_800)] {
            assert_eq!(seconds(text), Ok(Some(age)), "{text}");
        }
        for wrong in ["", "1", "h", "-1h", "+1h", "1.5h", "0s", "1 h", "None", "1ñ", "99999999999s"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_age_counts_from_the_time_that_the_event_states_or_else_from_its_arrival() {
        let at = |body: &str| {
            let interpretation = Interpretation::of_ledger(body.as_bytes(), &InstanceId::from_store("7"), ARRIVAL);
            event_time(&interpretation, ARRIVAL).millis() / 1_000 - ARRIVAL.millis() / 1_000
        };
        let message =
            |timestamp: i64| at(&format!(r#"{{"event_type":"message_received","id":"A","timestamp":{timestamp}}}"#));
        assert_eq!(message(1_724_716_400), -600);
        assert_eq!(message(1_724_717_600), 0, "a clock that is ahead");
        assert_eq!(message(0), 0, "a time that cannot be used");
        let reaction = r#"{"event_type":"message_reaction","message_id":"A","from_number":"5","reaction":"x","timestamp":1724716990}"#;
        assert_eq!(at(reaction), -10);
        assert_eq!(at(r#"{"event_type":"ack_update","id":"A","ack":"read","timestamp":1}"#), 0);
        assert_eq!(at("not JSON"), 0);
    }

    #[test]
    fn an_event_is_over_after_its_age_and_never_in_an_archive() {
        let hour = MaxAge::parse("1h").unwrap();
        let later = |seconds: u64| ARRIVAL + Duration::from_secs(seconds);
        assert!(!hour.is_over(None, ARRIVAL, later(3_600)));
        assert!(hour.is_over(None, ARRIVAL, later(3_601)));
        assert!(!hour.is_over(Some("erasure"), ARRIVAL, later(3_601)));
        assert!(!hour.is_over(None, later(60), ARRIVAL));
        assert!(!MaxAge::none().is_over(None, ARRIVAL, later(1_000_000_000)));
    }
}
