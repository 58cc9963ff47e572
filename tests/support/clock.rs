use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use buzon::domain::time::timestamp::Timestamp;
use buzon::platform::clock::{Clock, SystemClock};

/// The arrival of the guide's samples, shortly after the last of them.
pub const ARRIVAL: Timestamp = Timestamp::from_millis(1_724_717_200_004);

/// Returns a time this many milliseconds after [`ARRIVAL`].
pub fn later(millis: i64) -> Timestamp {
    Timestamp::from_millis(ARRIVAL.millis() + millis)
}

/// The machine's clock, which panics when it is read while it is armed.
#[derive(Default)]
pub struct PanickingClock {
    armed: AtomicBool,
    panics: AtomicUsize,
}

impl PanickingClock {
    pub fn arm(&self, armed: bool) {
        self.armed.store(armed, Ordering::SeqCst);
    }

    pub fn panics(&self) -> usize {
        self.panics.load(Ordering::SeqCst)
    }
}

impl Clock for PanickingClock {
    fn now(&self) -> Timestamp {
        if self.armed.load(Ordering::SeqCst) {
            self.panics.fetch_add(1, Ordering::SeqCst);
            panic!("a defect");
        }
        SystemClock.now()
    }
}

/// The machine's clock, which a test moves forward.
#[derive(Default)]
pub struct MovedClock(AtomicI64);

impl MovedClock {
    pub fn forward(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_millis()).expect("it is not long"), Ordering::SeqCst);
    }
}

impl Clock for MovedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(SystemClock.now().millis() + self.0.load(Ordering::SeqCst))
    }
}
