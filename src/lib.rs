//! buzon: the webhook backing store of a WhatsApp gateway's instances.
#![forbid(unsafe_code)]

pub mod clock;
pub mod domain;
pub mod store;
