//! The rule for when a file is asked for again.

use std::time::Duration;

use super::{AttemptOutcome, LeasedJob, MediaFailure, MediaState};
use crate::time::timestamp::Timestamp;

/// The rule for when a failed attempt is followed by another.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// The number of attempts after which a job is given up.
    pub max_attempts: u32,
}

/// The age of a message up to which its gateway may still be receiving the file that it has announced.
const YOUNG: Duration = Duration::from_secs(24 * 60 * 60);
/// The waits after the denials of such a file: a few seconds for one that is announced a moment before it exists, and
/// an hour for the largest video. What is denied once more is given up.
const YOUNG_WAITS: [Duration; 4] =
    [Duration::from_secs(5), Duration::from_secs(60), Duration::from_secs(600), Duration::from_secs(3_600)];
/// The waits after the denials of an older file with another answer than that it does not exist, which a server may
/// give by mistake.
const OLD_WAITS: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];
const GONE: u16 = 410;
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// The minimum delay when there is no space; the maximum is twice as long. By then there may be space again.
const FULL_DELAY: Duration = Duration::from_secs(60);
const MAX_DELAY: Duration = Duration::from_secs(10 * 60);
/// The limit on the delay that a server may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

impl RetryPolicy {
    /// The longest time between two attempts.
    pub const MAX_WAIT: Duration = MAX_RETRY_AFTER;

    /// Decides what follows a failed attempt. `jitter` is a random number from 0 to 1, so that jobs that failed
    /// together are tried again at different times.
    pub fn outcome(&self, job: &LeasedJob, failure: &MediaFailure, now: Timestamp, jitter: f64) -> AttemptOutcome {
        let given_up = |state| AttemptOutcome::given_up(job, state, failure.to_string());
        match failure {
            MediaFailure::DiskFull | MediaFailure::BucketFull => {
                AttemptOutcome::Postponed { at: now + FULL_DELAY.mul_f64(1.0 + jitter), reason: failure.to_string() }
            }
            MediaFailure::Refused(_) => given_up(MediaState::Refused),
            MediaFailure::TooLarge(_) => given_up(MediaState::TooLarge),
            MediaFailure::Unreadable(_) => given_up(MediaState::Failed),
            MediaFailure::NotFound { .. } | MediaFailure::Denied(_) => match wait_after_denial(job, failure, now) {
                Some(wait) => retry(now, wait.mul_f64(1.0 + jitter / 10.0), failure.to_string(), true),
                None if matches!(failure, MediaFailure::Denied(_)) => given_up(MediaState::Failed),
                None => given_up(MediaState::Expired),
            },
            MediaFailure::Transient { reason, .. } if job.attempts >= self.max_attempts => {
                let reason = format!("given up after {} attempts; the last time {reason}", job.attempts);
                AttemptOutcome::given_up(job, MediaState::Failed, reason)
            }
            MediaFailure::Transient { reason, retry_after } => {
                let asked = retry_after.map_or(Duration::ZERO, |asked| asked.min(MAX_RETRY_AFTER));
                retry(now, delay(job.attempts, jitter).max(asked), reason.clone(), false)
            }
        }
    }
}

/// Returns how long a job waits after a server has denied its file, or `None` if it is given up.
fn wait_after_denial(job: &LeasedJob, failure: &MediaFailure, now: Timestamp) -> Option<Duration> {
    let is_young = job.occurred_at + YOUNG > now;
    let waits: &[Duration] = match failure {
        MediaFailure::NotFound { status: GONE } => &[],
        _ if is_young => &YOUNG_WAITS,
        MediaFailure::NotFound { .. } => &[],
        _ => &OLD_WAITS,
    };
    waits.get(job.denials as usize).copied()
}

fn retry(now: Timestamp, delay: Duration, reason: String, denied: bool) -> AttemptOutcome {
    AttemptOutcome::Retry { at: now + delay, reason, denied }
}

/// Returns the delay, which doubles after each attempt up to [`MAX_DELAY`]. Half of it is random.
fn delay(attempts: u32, jitter: f64) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    let full = (FIRST_DELAY * 2u32.pow(doublings)).min(MAX_DELAY);
    full.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::super::{Lease, MediaKey};
    use super::*;
    use crate::instance::InstanceId;

    const NOW: Timestamp = Timestamp::from_millis(1_724_717_200_004);
    const POLICY: RetryPolicy = RetryPolicy { max_attempts: 600 };

    fn job(attempts: u32, denials: u32) -> LeasedJob {
        let instance_id = InstanceId::new("7").expect("it is an id");
        let key = MediaKey { instance_id, message_id: "A".to_owned(), source_sha256: [0; 32] };
        let (source_url, source_host) = ("/a.jpg".to_owned(), String::new());
        LeasedJob {
            lease: Lease { key, token: 1 },
            source_url,
            source_host,
            occurred_at: NOW,
            attempts,
            denials,
            kind: None,
            has_file: false,
        }
    }

    /// Returns the seconds until the next attempt, with the maximum jitter.
    fn seconds(attempts: u32, denials: u32, failure: MediaFailure) -> Option<i64> {
        match POLICY.outcome(&job(attempts, denials), &failure, NOW, 1.0) {
            AttemptOutcome::Retry { at, .. } => Some((at.millis() - NOW.millis()) / 1_000),
            _ => None,
        }
    }

    fn state(attempts: u32, denials: u32, failure: MediaFailure) -> Option<(MediaState, String)> {
        match POLICY.outcome(&job(attempts, denials), &failure, NOW, 1.0) {
            AttemptOutcome::GivenUp { state, reason } => Some((state, reason)),
            _ => None,
        }
    }

    #[test]
    fn after_transient_failures_a_job_is_tried_for_days_with_growing_delays() {
        let waits: Vec<_> = (1..=12).map(|attempt| seconds(attempt, 0, MediaFailure::transient("away"))).collect();
        let expected = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600];
        assert_eq!(waits, expected.map(Some));
        let longest: i64 = (1..600).filter_map(|attempt| seconds(attempt, 0, MediaFailure::transient("away"))).sum();
        assert_eq!(
            longest * 3 / 4 / 86_400,
            3,
            "half of each delay is random, so on average three quarters of it pass"
        );
        let (state, reason) = state(600, 0, MediaFailure::transient("the host did not answer")).expect("it ends");
        assert_eq!(state, MediaState::Failed);
        assert_eq!(reason, "given up after 600 attempts; the last time the host did not answer");
    }

    #[test]
    fn half_of_every_delay_is_random() {
        assert_eq!(delay(4, 0.0), Duration::from_secs(4));
        assert_eq!(delay(4, 0.5), Duration::from_secs(6));
        assert_eq!(delay(4, 1.0), Duration::from_secs(8));
    }

    #[test]
    fn a_server_may_ask_for_a_delay_of_up_to_an_hour() {
        let asked = |seconds| MediaFailure::Transient {
            reason: "429".to_owned(),
            retry_after: Some(Duration::from_secs(seconds)),
        };
        assert_eq!(seconds(1, 0, asked(120)), Some(120));
        assert_eq!(seconds(5, 0, asked(3)), Some(16));
        assert_eq!(seconds(1, 0, asked(1_000_000)), Some(3_600));
    }

    /// Returns the waits in seconds after each denial, without jitter, and the state at their end.
    fn denied(age: Duration, failure: &MediaFailure) -> (Vec<i64>, Option<MediaState>) {
        let mut waits = Vec::new();
        for denials in 0.. {
            let job = LeasedJob { occurred_at: NOW - age, ..job(300, denials) };
            match POLICY.outcome(&job, failure, NOW, 0.0) {
                AttemptOutcome::Retry { at, denied: true, .. } => waits.push((at.millis() - NOW.millis()) / 1_000),
                AttemptOutcome::GivenUp { state, .. } => return (waits, Some(state)),
                _ => break,
            }
        }
        (waits, None)
    }

    #[test]
    fn a_file_that_is_denied_is_asked_for_again_while_the_gateway_may_still_receive_it() {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        let (missing, gone) = (MediaFailure::NotFound { status: 404 }, MediaFailure::NotFound { status: 410 });
        let other = MediaFailure::Denied("the server answered 403 Forbidden".to_owned());
        let (young, old) = (DAY - Duration::from_millis(1), DAY);
        let patient = vec![5, 60, 600, 3_600];
        for (age, failure, waits, state) in [
            (young, &missing, patient.clone(), MediaState::Expired),
            (Duration::ZERO, &missing, patient.clone(), MediaState::Expired),
            (old, &missing, vec![], MediaState::Expired),
            (young, &gone, vec![], MediaState::Expired),
            (young, &other, patient, MediaState::Failed),
            (old, &other, vec![1, 2, 4], MediaState::Failed),
        ] {
            assert_eq!(denied(age, failure), (waits, Some(state)), "{age:?} {failure}");
        }
        assert_eq!(seconds(1, 1, missing), Some(66), "the waits are up to a tenth longer");
    }

    #[test]
    fn a_job_that_has_a_file_keeps_it_whatever_comes() {
        let job = LeasedJob { has_file: true, ..job(600, 9) };
        for failure in [
            MediaFailure::NotFound { status: 410 },
            MediaFailure::Denied("no".to_owned()),
            MediaFailure::Refused("no".to_owned()),
            MediaFailure::TooLarge("no".to_owned()),
            MediaFailure::Unreadable("no".to_owned()),
            MediaFailure::transient("away"),
        ] {
            let outcome = POLICY.outcome(&job, &failure, NOW, 0.0);
            assert!(matches!(outcome, AttemptOutcome::GivenUp { state: MediaState::Stored, .. }), "{outcome:?}");
        }
    }

    #[test]
    fn a_forbidden_address_or_too_large_a_file_ends_a_job_at_once_and_a_full_disk_never_does() {
        assert_eq!(state(1, 0, MediaFailure::Refused("no".to_owned())), Some((MediaState::Refused, "no".to_owned())));
        assert_eq!(state(1, 0, MediaFailure::TooLarge("no".to_owned())), Some((MediaState::TooLarge, "no".to_owned())));
        let postponed = AttemptOutcome::Postponed {
            at: NOW + Duration::from_secs(120),
            reason: "there is no room for it on the disk".to_owned(),
        };
        assert_eq!(POLICY.outcome(&job(600, 3), &MediaFailure::DiskFull, NOW, 1.0), postponed);
    }
}
