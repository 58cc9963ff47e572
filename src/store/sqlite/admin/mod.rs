//! The statements of `store/admin` on this database.

pub(crate) mod adhoc;
pub(crate) mod audit;
pub(crate) mod copies;
pub(crate) mod examination;
pub(crate) mod sessions;
pub(crate) mod tokens;
pub(crate) mod zones;
