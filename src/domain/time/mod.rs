//! Points in time ([`timestamp`]), time zones ([`zone`]) and their calendars ([`calendar`]), and the forms in which
//! people and servers write times ([`expiry`], [`retry_after`], [`wait_limit`]).

pub mod calendar;
pub mod expiry;
pub mod retry_after;
pub mod timestamp;
pub mod wait_limit;
pub mod zone;
