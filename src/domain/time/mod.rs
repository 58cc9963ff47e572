//! Times: of events, of zones and calendars, and until when something holds.

pub mod calendar;
pub mod expiry;
pub mod retry_after;
pub mod timestamp;
pub mod zone;
