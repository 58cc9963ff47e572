//! The write side: a batch of events and its consequences, media jobs, forwards, and the rebuild.

pub(crate) mod acks;
pub(crate) mod chats;
pub(crate) mod erasure;
pub(crate) mod events;
pub(crate) mod folding;
pub(crate) mod forwards;
pub(crate) mod media;
pub(crate) mod messages;
pub(crate) mod objects;
pub(crate) mod persons;
pub(crate) mod reactions;
pub(crate) mod rebuild;
pub(crate) mod record;
pub(crate) mod responses;
pub(crate) mod search;
pub(crate) mod writer;
