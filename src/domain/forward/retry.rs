//! The attempts at an event, and the state of a receiver.

use std::collections::HashSet;
use std::time::Duration;

use super::answer::DeliveryOutcome;
use super::lane::Lane;

const FIRST_WAIT: Duration = Duration::from_secs(2);
const LAST_WAIT: Duration = Duration::from_secs(10 * 60);
/// A slow flow must not answer a customer more often.
const TIMEOUTS: u32 = 3;
/// The waits between the tries of an event that is refused, which all are within a minute.
const REFUSAL_WAITS: [Duration; 2] = [Duration::from_secs(20), Duration::from_secs(40)];
/// The number of lanes whose failures, without a success in between, are about the receiver.
const LANES_IN_A_ROW: usize = 5;

/// The waits before the first probes of a receiver that seems to be away or wrong. Several conversations can fail in a row by
/// chance, and the first probes find that out.
const FIRST_PROBES: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(10)];
const PROBE_EVERY: Duration = Duration::from_secs(60);

/// Returns the wait before the next probe, after this many.
pub fn probe_wait(probes: usize) -> Duration {
    FIRST_PROBES.get(probes).copied().unwrap_or(PROBE_EVERY)
}

/// The failed attempts at an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttemptTally {
    /// All of them.
    pub attempts: u32,
    /// Those that ended without an answer in time.
    pub timeouts: u32,
    /// Those that were refused.
    pub refusals: u32,
}

/// The consequence of a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// The event is tried again after this time.
    Wait(Duration),
    /// The event is given up, and its lane goes on.
    GiveUp,
    /// The forward stops, because the receiver is wrong. The attempt does not count against the event.
    Stop,
}

impl AttemptTally {
    /// Counts a failed attempt, and returns what follows.
    pub fn fail(&mut self, outcome: DeliveryOutcome) -> NextStep {
        self.attempts = self.attempts.saturating_add(1);
        match outcome {
            DeliveryOutcome::Misdirected | DeliveryOutcome::Delivered => NextStep::Stop,
            DeliveryOutcome::Again(asked) => NextStep::Wait(asked.unwrap_or_else(|| self.backoff())),
            DeliveryOutcome::TimedOut => {
                self.timeouts += 1;
                if self.timeouts < TIMEOUTS { NextStep::Wait(self.backoff()) } else { NextStep::GiveUp }
            }
            DeliveryOutcome::Refused => {
                let wait = REFUSAL_WAITS.get(self.refusals as usize);
                self.refusals += 1;
                wait.map_or(NextStep::GiveUp, |wait| NextStep::Wait(*wait))
            }
        }
    }

    /// Forgives what was the receiver's fault. The number of attempts stays, because the receiver sees it.
    pub fn forgive(&mut self) {
        (self.timeouts, self.refusals) = (0, 0);
    }

    fn backoff(&self) -> Duration {
        let doublings = self.attempts.saturating_sub(1).min(16);
        (FIRST_WAIT * 2_u32.pow(doublings)).min(LAST_WAIT)
    }
}

/// The lanes that have failed since the last success.
#[derive(Debug, Default)]
pub struct ReceiverHealth(HashSet<Lane>);

impl ReceiverHealth {
    pub fn succeed(&mut self) {
        self.0.clear();
    }

    /// Notes the failure of a lane. Returns whether so many have failed that it is about the receiver.
    pub fn fail(&mut self, lane: &Lane) -> bool {
        self.0.insert(lane.clone());
        self.0.len() >= LANES_IN_A_ROW
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(outcome: DeliveryOutcome, count: usize) -> Vec<Option<u64>> {
        let mut tally = AttemptTally::default();
        let step = |tally: &mut AttemptTally| match tally.fail(outcome) {
            NextStep::Wait(wait) => Some(wait.as_secs()),
            NextStep::GiveUp | NextStep::Stop => None,
        };
        (0..count).map(|_| step(&mut tally)).collect()
    }

    #[test]
    fn a_receiver_that_cannot_take_it_is_asked_again_and_again_at_growing_intervals() {
        let growing = [2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600].map(Some);
        assert_eq!(waits(DeliveryOutcome::Again(None), 11), growing);
        assert_eq!(waits(DeliveryOutcome::Again(Some(Duration::from_secs(7))), 2), [Some(7), Some(7)]);
        assert_eq!(waits(DeliveryOutcome::Again(None), 100)[99], Some(600));
    }

    #[test]
    fn a_time_out_is_tried_three_times_and_a_refusal_three_times_in_a_minute() {
        assert_eq!(waits(DeliveryOutcome::TimedOut, 3), [Some(2), Some(4), None]);
        assert_eq!(waits(DeliveryOutcome::Refused, 3), [Some(20), Some(40), None]);
    }

    #[test]
    fn a_wrong_receiver_stops_the_forward() {
        assert_eq!(AttemptTally::default().fail(DeliveryOutcome::Misdirected), NextStep::Stop);
    }

    #[test]
    fn a_receiver_is_probed_soon_and_then_once_a_minute() {
        assert_eq!([0, 1, 2, 3, 1_000].map(|probes| probe_wait(probes).as_secs()), [2, 10, 60, 60, 60]);
    }

    #[test]
    fn what_was_the_receivers_fault_is_forgiven() {
        let mut tally = AttemptTally::default();
        tally.fail(DeliveryOutcome::TimedOut);
        tally.fail(DeliveryOutcome::TimedOut);
        tally.forgive();
        assert_eq!(tally, AttemptTally { attempts: 2, timeouts: 0, refusals: 0 });
        assert_ne!(tally.fail(DeliveryOutcome::TimedOut), NextStep::GiveUp);
    }

    #[test]
    fn five_lanes_that_fail_without_a_success_in_between_are_about_the_receiver() {
        let lane = |number: usize| Lane::new("7", &number.to_string());
        let mut health = ReceiverHealth::default();
        assert!((0..10).all(|_| !health.fail(&lane(1))), "one lane is about its events");
        assert!((2..5).all(|number| !health.fail(&lane(number))));
        health.succeed();
        assert!((1..5).all(|number| !health.fail(&lane(number))));
        assert!(health.fail(&lane(5)));
    }
}
