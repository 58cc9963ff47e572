//! The tests, in one binary: `store` holds both databases to the contract, `blob` a folder and a bucket, `http` speaks to
//! a real server in this process, `process` to the program itself, `deploy` to what is in front of it, `chaos` does its worst
//! to it, `backup` makes copies of its data and restores them, and `fuzz` sends whatever comes to mind.

mod architecture;
mod backup;
mod blob;
mod chaos;
mod deploy;
mod fuzz;
mod gateway;
mod http;
mod media;
mod process;
mod size;
mod store;
mod support;
