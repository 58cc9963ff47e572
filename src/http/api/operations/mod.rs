//! What the owner should know of the service: forwards and backups.

pub mod backups;
pub mod forwards;
