//! Authentication: the caller of a request, and the limit on failed attempts.

pub mod access;
pub mod auth_failure_limiter;
pub mod cookie;
pub mod credentials;
pub mod sessions;
