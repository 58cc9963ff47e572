//! Recording events, folding messages, working out tables again.

mod acks;
pub mod arbitrary_values;
mod chats;
mod dropped_rows;
mod edits;
mod events;
mod forwards;
mod media_jobs;
mod message_copies;
mod messages;
mod objects;
mod order;
mod persons;
mod reactions;
mod rebuild;
mod service_messages;
