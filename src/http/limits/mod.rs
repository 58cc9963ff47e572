//! The limits on what one address, one token and all clients together may use.

pub mod connection_limiter;
pub mod fair_semaphore;
pub mod response_body;
pub mod response_memory;
pub mod throttled_warning;
