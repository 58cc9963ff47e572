//! The contract of the store, on both databases.

mod acks;
mod anything;
mod chats;
mod documented;
mod events;
mod fill;
mod listing;
mod media;
mod media_reports;
mod messages;
mod objects;
mod open;
mod order;
mod plans;
mod reactions;
mod search;
mod statistics;
mod tokens;
mod waiting;
