//! Who asks, and what they may see.

pub mod access;
pub mod auth_failure_limiter;
pub mod credentials;
pub mod tickets;
