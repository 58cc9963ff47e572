//! Compares the machine's clock with another one.

use super::Finding;
use domain::time::timestamp::Timestamp;

const CLOCK: &str = "clock";
/// The difference in milliseconds from which the order in which messages are shown is wrong.
const OFF: i64 = 5_000;
/// The difference from which times that the gateway states may be taken for impossible.
const FAR_OFF: i64 = 24 * 60 * 60 * 1_000;

/// The time of another clock, and our times before and after it was asked.
#[derive(Clone, Debug)]
pub(super) struct ClockSample {
    /// The name of the machine.
    pub(super) of: &'static str,
    pub(super) their_time: Timestamp,
    pub(super) asked: Timestamp,
    pub(super) answered: Timestamp,
}

impl ClockSample {
    /// Returns by how many milliseconds our clock is ahead, or 0 if the other time is between our two.
    fn ahead(&self) -> i64 {
        let (asked, their_time, answered) = (self.asked.millis(), self.their_time.millis(), self.answered.millis());
        if their_time < asked { asked - their_time } else { answered.min(their_time) - their_time }
    }
}

pub(super) fn check(sample: Option<ClockSample>) -> Finding {
    let Some(sample) = sample else {
        return Finding::ok(CLOCK, "there was no other clock to compare it with");
    };
    let ahead = sample.ahead();
    let off = format!(
        "it is {} s {} that of {}",
        ahead.abs() / 1_000,
        if ahead > 0 { "ahead of" } else { "behind" },
        sample.of
    );
    let remedy = "set the clock, and keep it right: timedatectl set-ntp true";
    match ahead.abs() {
        FAR_OFF.. => Finding::failure(CLOCK, off, remedy),
        OFF.. => Finding::warning(CLOCK, off, remedy),
        _ => Finding::ok(CLOCK, format!("it agrees with that of {}", sample.of)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn a_slow_answer_is_no_wrong_clock() {
        let status = |their_time, asked, answered| {
            let at = Timestamp::from_seconds;
            check(Some(ClockSample { of: "x", their_time: at(their_time), asked: at(asked), answered: at(answered) }))
                .status
        };
        assert_eq!(status(100, 100, 100), Verdict::Ok);
        assert_eq!(status(109, 100, 110), Verdict::Ok);
        assert_eq!(status(104, 100, 100), Verdict::Ok);
        assert_eq!(status(105, 100, 100), Verdict::Warning);
        assert_eq!(status(95, 100, 120), Verdict::Warning);
        assert_eq!(status(100, 200_000, 200_000), Verdict::Failure);
        assert_eq!(status(200_000, 100, 100), Verdict::Failure);
    }
}
