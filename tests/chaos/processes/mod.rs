//! Faults of the program's own processes.

mod kill;
mod media;
mod replicas;
mod shutdown;
