//! Periods for which messages and files are kept. A message and its events have one period, because a message without its events cannot
//! be worked out again. What has expired leaves its arrival for a while, so that a repeat is not taken for today's message.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::event::{Effect, Event};
use crate::instance::InstanceId;

/// The shortest period of files. The gateway repeats what it could not deliver for days.
pub const SHORTEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The time for which the arrival of an expired event is kept.
pub const REMEMBERED: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// The periods of an instance. Without one, all is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Periods {
    pub messages: Option<Duration>,
    pub media: Option<Duration>,
}

/// The periods of all instances.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetentionPolicy {
    pub general: Periods,
    pub by_instance: BTreeMap<InstanceId, Periods>,
}

/// Text that is no usable period.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a period such as 90d, 18m or 2y, of at least 7 days and at most 100 years")]
pub struct InvalidRetention;

impl RetentionPolicy {
    /// Returns whether everything is kept.
    pub fn keeps_all(&self) -> bool {
        self.general == Periods::default() && self.by_instance.values().all(|it| *it == Periods::default())
    }

    /// Returns the periods of an instance: its own ones, and the general ones where it has none.
    pub fn of(&self, instance: &InstanceId) -> Periods {
        let own = self.by_instance.get(instance).copied().unwrap_or_default();
        Periods { messages: own.messages.or(self.general.messages), media: own.media.or(self.general.media) }
    }

    /// Returns whether an event is over already when it arrives: the message, or the reaction, is older than what is kept.
    pub fn is_over(&self, event: &Event) -> bool {
        let Some(period) = self.of(&event.instance_id).messages else { return false };
        let at = match &event.interpretation.effect {
            Effect::Message(copy) => copy.fields.sent_at,
            Effect::Reaction(reaction) => Some(reaction.reacted_at),
            Effect::Ack(_) | Effect::Nothing => None,
        };
        at.is_some_and(|at| at < event.received_at - period)
    }

    /// Returns what is kept of an event that arrives.
    pub fn admit(&self, event: Event) -> Event {
        if self.is_over(&event) { event.expired() } else { event }
    }
}

/// Reads a period of days, weeks, months of 30 days or years of 365.
///
/// # Errors
/// [`InvalidRetention`] for any other text, and for less than [`SHORTEST`].
pub fn period(text: &str) -> Result<Duration, InvalidRetention> {
    const DAY: u64 = 24 * 60 * 60;
    let unit = text.chars().last().ok_or(InvalidRetention)?;
    let days = match unit {
        'd' => 1,
        'w' => 7,
        'm' => 30,
        'y' => 365,
        _ => return Err(InvalidRetention),
    };
    let count: u32 = text[..text.len() - 1].parse().map_err(|_| InvalidRetention)?;
    let period = Duration::from_secs(u64::from(count) * days * DAY);
    let longest = Duration::from_secs(100 * 365 * DAY);
    (SHORTEST..=longest).contains(&period).then_some(period).ok_or(InvalidRetention)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::timestamp::Timestamp;

    #[test]
    fn a_period_has_a_number_and_a_unit_and_at_least_a_week() {
        let days = |text: &str| period(text).map(|period| period.as_secs() / 86_400);
        for (text, expected) in
            [("90d", Some(90)), ("7d", Some(7)), ("2w", Some(14)), ("18m", Some(540)), ("2y", Some(730))]
        {
            assert_eq!(days(text).ok(), expected, "{text}");
        }
        for text in ["", "d", "6d", "1", "90", "-7d", "2 y", "1h", "200y", "7é"] {
            assert_eq!(days(text), Err(InvalidRetention), "{text}");
        }
    }

    #[test]
    fn what_arrives_late_is_over_and_leaves_its_arrival() {
        let policy = RetentionPolicy {
            general: Periods { messages: Some(SHORTEST), media: None },
            by_instance: [(InstanceId::from_store("9"), Periods { messages: Some(SHORTEST * 4), media: None })].into(),
        };
        let arrival = Timestamp::from_seconds(1_724_716_800 + 8 * 86_400);
        for (of, body, over) in [
            ("1", r#"{"event_type":"message_received","id":"A","timestamp":1724716800}"#, true),
            ("9", r#"{"event_type":"message_received","id":"A","timestamp":1724716800}"#, false),
            ("1", r#"{"event_type":"message_received","id":"A"}"#, false),
            ("1", r#"{"event_type":"ack_update","id":"A","ack":"read","timestamp":1724716800}"#, false),
            (
                "1",
                r#"{"event_type":"message_reaction","message_id":"A","from_number":"5","reaction":"x","timestamp":1724716800}"#,
                true,
            ),
            ("1", "no JSON", false),
        ] {
            let event = Event::of_ledger(InstanceId::from_store(of), body.as_bytes().to_vec(), arrival, true);
            let admitted = policy.admit(event.clone());
            assert_eq!(admitted.kept_body().is_none(), over, "{of} {body}");
            assert_eq!(admitted.body_sha256, event.body_sha256);
        }
        assert!(!policy.keeps_all() && RetentionPolicy::default().keeps_all());
    }
}
