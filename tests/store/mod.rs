//! The contract of the store, on both databases.

pub mod admin;
pub mod read;
pub mod write;
