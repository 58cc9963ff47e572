//! Faults of the database and of its sessions.

mod citus;
mod interference;
mod postgres;
