//! The statements of `store/admin` on this database.

pub(crate) mod adhoc;
pub(crate) mod audit;
pub(crate) mod cells;
pub(crate) mod contents;
pub(crate) mod copies;
pub(crate) mod examination;
pub(crate) mod programs;
pub(crate) mod readers;
pub(crate) mod restore;
pub(crate) mod sessions;
pub(crate) mod tokens;
pub(crate) mod zones;
