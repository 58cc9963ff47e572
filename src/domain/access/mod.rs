//! Authentication and authorisation. [`signature`] verifies events; [`token`] and [`ticket`] identify callers of the
//! API, and [`scope`] limits what they see; [`identity`] lets a buzon prove to its owner which one it is.

pub mod identity;
pub mod scope;
pub mod session;
pub mod signature;
pub mod ticket;
pub mod token;
