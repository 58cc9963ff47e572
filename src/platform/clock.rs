//! The clock as an input, so that tests can set the time.

use time::OffsetDateTime;

use domain::time::timestamp::Timestamp;

/// A source of the current time.
pub trait Clock: Send + Sync {
    /// Returns the current time, cut to whole milliseconds.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is where the time comes in")]
    fn now(&self) -> Timestamp {
        Timestamp::from_utc(OffsetDateTime::now_utc())
    }
}
