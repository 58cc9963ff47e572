//! What is written: events and what they mean, media jobs, and all of it made anew.

pub(crate) mod acks;
pub(crate) mod chats;
pub(crate) mod events;
pub(crate) mod folding;
pub(crate) mod media;
pub(crate) mod messages;
pub(crate) mod objects;
pub(crate) mod reactions;
pub(crate) mod rebuild;
pub(crate) mod record;
pub(crate) mod responses;
pub(crate) mod search;
pub(crate) mod writer;
