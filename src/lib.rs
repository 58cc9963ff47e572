//! buzon: the webhook backing store of a WhatsApp gateway's instances.
//!
//! The way of an event goes in one direction through these modules, and so do their imports:
//!
//! ```text
//! main → cli, config, telemetry → app, doctor → exposure → http → {ingest, media, gateway, backup} → {store, blob} → domain
//! ```
//!
//! - [`http`] takes the bytes off the wire and verifies them; the only place with actix.
//! - [`ingest`] commits what waits as one batch.
//! - [`media`] fetches what a message's `media_url` names.
//! - [`gateway`] speaks to the gateway's own API, and asks it for what was missed while the store was away.
//! - [`backup`] copies the database and the files to another place, and restores them from there.
//! - [`doctor`] looks whether everything around a service is as it must be, and says what to do where it is not.
//! - [`simulate`] plays the gateway: signed traffic for a buzon that is tried out.
//! - [`blob`] keeps those files in a folder or a bucket; the only place with object_store.
//! - [`store`] has the SQL, twice: SQLite and PostgreSQL; the only place with sqlx.
//! - [`meters`] counts, for Prometheus.
//! - [`domain`] has the rules, without any of the above.

pub mod app;
pub mod backup;
pub mod blob;
pub mod cli;
pub mod config;
pub mod doctor;
pub mod gateway;
pub mod http;
pub mod ingest;
pub mod media;
pub mod simulate;
pub mod telemetry;

pub use {domain, platform, store};
