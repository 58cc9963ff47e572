//! The program, in this process and as a process of its own, and the limits that it runs under.

pub mod mount_namespace;
pub mod open_files;
pub mod process;
pub mod service;
pub mod small_disk;
