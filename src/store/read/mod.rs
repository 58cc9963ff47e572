//! What people, dashboards and mirrors read.

pub(crate) mod ack_reports;
pub(crate) mod chat_reports;
pub(crate) mod event_reports;
pub(crate) mod feed;
pub(crate) mod instance_reports;
pub(crate) mod listing;
pub(crate) mod media_lists;
pub(crate) mod media_reports;
pub(crate) mod message_filter;
pub(crate) mod message_reports;
pub(crate) mod reaction_reports;
pub(crate) mod reading;
pub(crate) mod search;
pub(crate) mod statistics;
