//! Who asks, and what they may see.

pub mod access;
pub mod credentials;
pub mod strangers;
pub mod tickets;
