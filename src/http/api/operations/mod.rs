//! The state of the service for its owner: forwards and backups.

pub mod backups;
pub mod forwards;
