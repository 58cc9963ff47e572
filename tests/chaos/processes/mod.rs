//! Faults of the program's own processes.

mod kill;
mod media;
pub mod replicas;
mod shutdown;
