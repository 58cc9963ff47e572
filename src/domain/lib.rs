//! Plain types and the rules for events. Nothing here knows of HTTP, tasks or SQL, but for
//! how the types stand in a query (`sql`).
//!
//! The way of an event: [`signature`] verifies it, [`instance`] says whose it is, [`document`] and
//! [`event`] read it, [`batch`] folds a batch to one row for each key, and the aggregates
//! ([`message`], [`ack`], [`reaction`], [`chat`], [`media`]) hold the rules of their tables.

pub mod access;
pub mod chat;
pub mod event;
pub mod instance;
pub mod media;
pub mod message;
pub mod page;
pub mod search;
mod sql;
pub mod statistics;
pub mod time;
