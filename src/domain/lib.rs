//! The rules of buzon as plain types. Nothing here knows HTTP, async tasks or SQL, except that `sql.rs` says how the
//! types stand in a query.
//!
//! An event takes this path: [`access::signature`] verifies it, [`instance`] decides which instance it belongs to,
//! [`event::document`] and [`event`] read it, [`event::batch`] folds a batch into one row per key, and [`message`]
//! (with its acks and reactions), [`chat`] and [`media`] hold the rules of their tables.
//!
//! [`forward`] has the rules for handing events on, [`erasure`] those for erasing a person, [`retention`] says how long what is
//! kept, and [`audit`] and [`pseudonym`] are for taking data out.
//!
//! For reading, [`page`] has the cursors of lists, [`search`] the words of texts ([`vcard`] reads those in contacts), [`statistics`] the figures, and
//! [`time`] the time zones and calendars. [`access`] also decides who may read what.

pub mod access;
pub mod audit;
pub mod chat;
pub mod erasure;
pub mod event;
pub mod forward;
pub mod instance;
pub mod media;
pub mod message;
pub mod page;
pub mod pseudonym;
pub mod retention;
pub mod search;
pub mod spreadsheet;
mod sql;
pub mod statistics;
pub mod time;
pub mod vcard;

/// Its `#[test]`, which has a time limit, is that of the whole crate.
#[cfg(test)]
#[macro_use]
extern crate limit;
