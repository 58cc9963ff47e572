//! The tests, in one binary: `store` holds both databases to the contract, `http` speaks to a real server in this
//! process, `process` to the program itself.

mod architecture;
mod http;
mod process;
mod store;
mod support;
