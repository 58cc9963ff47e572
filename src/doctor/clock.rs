//! The machine's clock, against another one.

use super::Finding;
use domain::time::timestamp::Timestamp;

const CLOCK: &str = "clock";
/// From here on the order in which things are shown is wrong, in milliseconds.
const OFF: i64 = 5_000;
/// From here on times that the gateway states may be taken for impossible.
const FAR_OFF: i64 = 24 * 60 * 60 * 1_000;

/// What another clock said, and between which moments of ours.
#[derive(Clone, Debug)]
pub(super) struct ClockSample {
    pub(super) whose: &'static str,
    pub(super) theirs: Timestamp,
    pub(super) asked: Timestamp,
    pub(super) answered: Timestamp,
}

impl ClockSample {
    /// How far ours is ahead, in milliseconds; 0 where theirs may lie between the two moments.
    fn ahead(&self) -> i64 {
        let (asked, theirs, answered) = (self.asked.millis(), self.theirs.millis(), self.answered.millis());
        if theirs < asked { asked - theirs } else { answered.min(theirs) - theirs }
    }
}

pub(super) fn check(reading: Option<ClockSample>) -> Finding {
    let Some(reading) = reading else {
        return Finding::ok(CLOCK, "there was no other clock to compare it with");
    };
    let ahead = reading.ahead();
    let off = format!(
        "it is {} s {} that of {}",
        ahead.abs() / 1_000,
        if ahead > 0 { "ahead of" } else { "behind" },
        reading.whose
    );
    let remedy = "set the clock, and keep it right: timedatectl set-ntp true";
    match ahead.abs() {
        FAR_OFF.. => Finding::failure(CLOCK, off, remedy),
        OFF.. => Finding::warning(CLOCK, off, remedy),
        _ => Finding::ok(CLOCK, format!("it agrees with that of {}", reading.whose)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn a_slow_answer_is_no_wrong_clock() {
        let status = |theirs, asked, answered| {
            let at = Timestamp::from_seconds;
            check(Some(ClockSample { whose: "x", theirs: at(theirs), asked: at(asked), answered: at(answered) })).status
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
