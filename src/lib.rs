//! buzon: the webhook backing store of a WhatsApp gateway's instances.
//!
//! `docs/architecture.md` follows an event through these modules. Its map says what each is for and what it may import;
//! `tests/architecture.rs` holds the source to that map.

pub mod app;
pub mod backup;
pub mod blob;
pub mod config;
pub mod copy;
pub mod doctor;
pub mod erasure;
pub mod export;
pub mod forward;
pub mod gateway;
pub mod http;
pub mod ingest;
pub mod media;
pub mod simulate;
pub mod telemetry;

pub use {domain, platform, store};

/// Its `#[test]`, which has a time limit, is that of the whole crate.
#[cfg(test)]
#[macro_use]
extern crate limit;
