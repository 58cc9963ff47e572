//! The read API: one file for each resource.

pub mod acks;
pub mod answer;
pub mod chats;
pub mod conditional;
pub mod events;
pub mod media;
pub mod media_lists;
pub mod messages;
pub mod parameters;
pub mod reactions;
pub mod statistics;
pub mod store_handle;
