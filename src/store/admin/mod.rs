//! Administration of a database: its schema, copies, roles, tokens and time zone, and queries by hand.

pub(crate) mod adhoc;
pub(crate) mod audit;
pub(crate) mod cells;
pub(crate) mod copies;
pub(crate) mod examination;
pub(crate) mod maintenance;
pub(crate) mod readers;
pub(crate) mod relocation;
pub(crate) mod schema;
pub(crate) mod sessions;
pub(crate) mod tokens;
pub(crate) mod zones;
