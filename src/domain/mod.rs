//! Plain types and the rules for events. Nothing here knows of HTTP, SQL or tasks.
//!
//! The way of an event: [`signature`] verifies it, [`instance`] says whose it is, [`document`] and
//! [`event`] read it, [`batch`] folds a batch to one row for each key, and the aggregates
//! ([`message`], [`ack`], [`reaction`], [`chat`], [`media`]) hold the rules of their tables.

pub mod ack;
pub mod batch;
pub mod calendar;
pub mod chat;
pub mod chat_id;
pub mod defect;
pub mod disposition;
pub mod document;
pub mod event;
pub mod expiry;
pub mod file_name;
pub mod identity;
pub mod instance;
pub mod media;
pub mod media_type;
pub mod message;
pub mod object_key;
pub mod page;
pub mod reaction;
pub mod retry_after;
pub mod scope;
pub mod search;
pub mod signature;
pub mod statistics;
pub mod ticket;
pub mod timestamp;
pub mod token;
pub mod waiting;
pub mod walk;
pub mod zone;
