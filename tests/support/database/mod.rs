//! Databases for tests, and what stands between them and the program.

pub mod blocker;
pub mod pgbouncer;
pub mod postgres;
pub mod proxy;
pub mod tokens;
pub mod world;
