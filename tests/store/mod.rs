//! The contract of the store, on both databases.

pub mod admin;
mod fill;
pub mod read;
pub mod write;
