//! Time as an input, so that tests need not wait for it.

use time::OffsetDateTime;

use domain::time::timestamp::Timestamp;

/// Where the current time comes from.
pub trait Clock: Send + Sync {
    /// Now, cut to whole milliseconds.
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
