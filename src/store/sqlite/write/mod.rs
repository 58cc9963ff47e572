//! The statements of `store/write` on this database.

pub(crate) mod acks;
pub(crate) mod chats;
pub(crate) mod erasure;
pub(crate) mod events;
pub(crate) mod forwards;
pub(crate) mod media;
pub(crate) mod messages;
pub(crate) mod objects;
pub(crate) mod persons;
pub(crate) mod reactions;
pub(crate) mod rebuild;
pub(crate) mod responses;
pub(crate) mod search;
pub(crate) mod writing;

impl crate::write::record::Rows for sqlx::SqliteConnection {}
