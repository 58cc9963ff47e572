//! Credentials of browsers, which take the place of a token: the cookie of a session, and tickets in URLs.

pub mod session;
pub mod tickets;
