//! The gateway: its API and its file server.

pub mod fake_gateway;
pub mod file_server;
