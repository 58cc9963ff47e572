//! What one address, one token and all clients together may take.

pub mod answer_body;
pub mod answers;
pub mod connection_limiter;
pub mod fair_semaphore;
pub mod peer;
pub mod throttled_warning;
