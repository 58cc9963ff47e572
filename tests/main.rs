//! The tests, in one binary.
//!
//! - `store` tests both databases against one contract, `blob` a folder and a bucket.
//! - `http` talks to a real server in this process, `process` to the program itself.
//! - `deploy` tests the proxies in front of it, and the files around it.
//! - `erasure` tests erasures of persons and retention, byte by byte.
//! - `media`, `gateway` and `forward` test downloads, replays and what is handed on, `backup` copies and restores,
//!   `copy` moves to PostgreSQL.
//! - `export` compares what is exported with the tables.
//! - `chaos` causes faults, `fuzz` sends arbitrary input, `size` measures answers from large databases.
//! - `architecture` checks rules of the source itself.

/// Its `#[test]`, which has a time limit, is that of the whole program.
#[macro_use]
extern crate limit;

mod architecture;
mod backup;
mod blob;
mod chaos;
mod copy;
mod deploy;
mod documents;
mod erasure;
mod export;
mod forward;
mod fuzz;
mod gateway;
mod http;
mod media;
mod process;
mod size;
mod store;
mod support;
