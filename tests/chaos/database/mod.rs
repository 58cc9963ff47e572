//! Faults of the database and of its sessions.

mod interference;
mod postgres;
