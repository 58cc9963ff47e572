//! The contract of the store, on both databases.

mod acks;
mod adhoc;
pub mod anything;
mod chats;
mod documented;
mod events;
mod feed;
mod fill;
mod instances;
mod ledger;
mod listing;
mod media;
mod media_reports;
mod messages;
mod objects;
pub mod open;
mod order;
mod plans;
mod reactions;
mod rebuild;
pub mod search;
mod statistics;
mod tokens;
mod view_plans;
mod views;
mod waiting;
mod zones;
