//! Warnings about refused requests, at most once a minute.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::time::timestamp::Timestamp;

const PAUSE: Duration = Duration::from_secs(60);

/// A counter of refusals that says when the next warning is due.
#[derive(Debug, Default)]
pub struct ThrottledWarning {
    state: Mutex<ThrottleState>,
}

#[derive(Debug, Default)]
struct ThrottleState {
    warned_at: Option<Timestamp>,
    unreported: u64,
}

impl ThrottledWarning {
    /// Counts a refusal. Returns the number of refusals to report, unless the last warning was less than a minute ago.
    pub fn due(&self, now: Timestamp) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.unreported += 1;
        let since = state.warned_at.map(|at| now.millis().abs_diff(at.millis()));
        if since.is_some_and(|millis| u128::from(millis) < PAUSE.as_millis()) {
            return None;
        }
        state.warned_at = Some(now);
        Some(std::mem::take(&mut state.unreported))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_comes_at_most_once_a_minute_and_counts_those_between() {
        let warning = ThrottledWarning::default();
        let at = |seconds: i64| warning.due(Timestamp::from_millis(seconds * 1_000));
        assert_eq!(at(0), Some(1));
        assert_eq!(at(1), None);
        assert_eq!(at(59), None);
        assert_eq!(at(60), Some(3));
        assert_eq!(at(61), None);
    }
}
