//! The read API: a file for each resource; `request`, `parameters`, `pages` and `time` are shared by all of them.

pub mod acks;
pub mod chats;
pub mod credentials;
pub mod events;
pub mod exports;
pub mod instances;
pub mod media;
pub mod media_files;
pub mod messages;
pub mod operations;
pub mod pages;
pub mod parameters;
pub mod reactions;
pub mod request;
pub mod statistics;
pub mod time;
