//! The warning about refused webhooks: what the owner must know to mend a wrong secret, at most once a minute.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tracing::warn;

use crate::http::problem::Problem;
use domain::instance::InstanceId;
use domain::time::timestamp::Timestamp;

const PAUSE: Duration = Duration::from_secs(60);

/// Counts refusals between two warnings.
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
    /// Counts a refusal, and warns unless there was a warning within the last minute. `claimed` finds the instance
    /// that the request says it is of.
    pub fn note(
        &self,
        problem: &Problem,
        claimed: impl FnOnce() -> Option<InstanceId>,
        client: Option<IpAddr>,
        now: Timestamp,
    ) {
        let Some(count) = self.due(now) else { return };
        let claimed = claimed();
        warn!(
            refused.count = count,
            refused.code = problem.code(),
            instance.claimed = claimed.map(tracing::field::display),
            client.address = client.map(tracing::field::display),
            "webhooks were refused and nothing of them is kept: {problem}"
        );
    }

    /// How many refusals are to be reported now, if any.
    pub(crate) fn due(&self, now: Timestamp) -> Option<u64> {
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
        let refusals = ThrottledWarning::default();
        let at = |seconds: i64| refusals.due(Timestamp::from_millis(seconds * 1_000));
        assert_eq!(at(0), Some(1));
        assert_eq!(at(1), None);
        assert_eq!(at(59), None);
        assert_eq!(at(60), Some(3));
        assert_eq!(at(61), None);
    }
}
