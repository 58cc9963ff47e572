//! What an operator does to a database: its schema, its copies, its roles, a query by hand.

pub(crate) mod adhoc;
pub(crate) mod copies;
pub(crate) mod examination;
pub(crate) mod maintenance;
pub(crate) mod readers;
pub(crate) mod schema;
pub(crate) mod tokens;
pub(crate) mod zones;
