//! The twins of `store/read`.

pub(crate) mod event_reports;
pub(crate) mod listing;
pub(crate) mod media_reports;
pub(crate) mod reading;
pub(crate) mod reports;
pub(crate) mod search;
pub(crate) mod statistics;
