//! The meaning of a receiver's answer.

use std::time::Duration;

/// The longest wait that a receiver can ask for.
pub const LONGEST_ASKED: Duration = Duration::from_secs(60 * 60);

/// The answer to an event, or why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryAnswer {
    Status {
        status: u16,
        /// The wait that the receiver asks for.
        retry_after: Option<Duration>,
    },
    /// The receiver has the event, and has not answered in time.
    Timeout,
    /// The connection failed or broke off.
    Network,
    /// The host has no address.
    Dns,
    /// The connection cannot be encrypted, or the certificate is not trusted.
    Tls,
}

/// The meaning of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryOutcome {
    Delivered,
    /// The receiver cannot take it now. It may ask for a wait.
    Again(Option<Duration>),
    /// The receiver may be at work on it still.
    TimedOut,
    /// The receiver does not want this event.
    Refused,
    /// The address, the access or the receiver is wrong, whatever the event.
    Misdirected,
}

impl DeliveryAnswer {
    /// Returns the meaning of the answer.
    pub fn outcome(self) -> DeliveryOutcome {
        match self {
            Self::Status { status, retry_after } => match status {
                200..=299 => DeliveryOutcome::Delivered,
                408 | 425 | 429 | 500.. => DeliveryOutcome::Again(retry_after.map(|wait| wait.min(LONGEST_ASKED))),
                300..=399 | 401 | 403 | 404 | 410 => DeliveryOutcome::Misdirected,
                _ => DeliveryOutcome::Refused,
            },
            Self::Timeout => DeliveryOutcome::TimedOut,
            Self::Network => DeliveryOutcome::Again(None),
            Self::Dns | Self::Tls => DeliveryOutcome::Misdirected,
        }
    }

    /// Returns the word for the kind of answer.
    pub fn class(self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::Timeout => "timeout",
            Self::Network => "network",
            Self::Dns => "dns",
            Self::Tls => "tls",
        }
    }

    pub fn status(self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(status),
            _ => None,
        }
    }
}

impl DeliveryOutcome {
    /// Returns the label of the outcome.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Again(_) => "again",
            Self::TimedOut => "timed_out",
            Self::Refused => "refused",
            Self::Misdirected => "misdirected",
        }
    }
}

/// Returns at most 200 printable characters of what a receiver said, on one line.
pub fn printable(said: &str) -> String {
    const SHOWN: usize = 200;
    let words = said.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ").chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_has_one_meaning() {
        use DeliveryOutcome::{Again, Delivered, Misdirected, Refused};
        for (status, meaning) in [
            (200, Delivered),
            (201, Delivered),
            (204, Delivered),
            (299, Delivered),
            (301, Misdirected),
            (302, Misdirected),
            (304, Misdirected),
            (307, Misdirected),
            (400, Refused),
            (401, Misdirected),
            (402, Refused),
            (403, Misdirected),
            (404, Misdirected),
            (405, Refused),
            (408, Again(None)),
            (409, Refused),
            (410, Misdirected),
            (413, Refused),
            (422, Refused),
            (425, Again(None)),
            (429, Again(None)),
            (451, Refused),
            (500, Again(None)),
            (502, Again(None)),
            (503, Again(None)),
            (599, Again(None)),
            (101, Refused),
        ] {
            let answer = DeliveryAnswer::Status { status, retry_after: None };
            assert_eq!(answer.outcome(), meaning, "{status}");
        }
        assert_eq!(DeliveryAnswer::Timeout.outcome(), DeliveryOutcome::TimedOut);
        assert_eq!(DeliveryAnswer::Network.outcome(), Again(None));
        assert_eq!(DeliveryAnswer::Dns.outcome(), Misdirected);
        assert_eq!(DeliveryAnswer::Tls.outcome(), Misdirected);
    }

    #[test]
    fn a_receiver_can_ask_for_an_hour_at_most() {
        let asks = |seconds: u64| {
            let retry_after = Some(Duration::from_secs(seconds));
            DeliveryAnswer::Status { status: 429, retry_after }.outcome()
        };
        assert_eq!(asks(90), DeliveryOutcome::Again(Some(Duration::from_secs(90))));
        assert_eq!(asks(90_000), DeliveryOutcome::Again(Some(Duration::from_secs(3_600))));
    }

    #[test]
    fn little_of_an_answer_is_kept_and_it_stays_on_its_line() {
        assert_eq!(printable("no\r\n \u{1b}[31m such\0flow"), "no [31m such flow");
        assert_eq!(printable(&"ñ".repeat(500)).chars().count(), 200);
    }
}
