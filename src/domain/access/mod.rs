//! Who may send events and who may read what: signatures, tokens, tickets and scopes.

pub mod identity;
pub mod scope;
pub mod signature;
pub mod ticket;
pub mod token;
