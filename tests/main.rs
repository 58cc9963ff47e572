//! The tests, in one binary: `store` holds both databases to the contract, `blob` a folder and a bucket, `http` speaks to
//! a real server in this process, `process` to the program itself.

mod architecture;
mod blob;
mod http;
mod media;
mod process;
mod size;
mod store;
mod support;
