//! Faults of the machine: its disk, its power, its clock.

mod clocks;
mod fsync;
mod full_disk;
mod power;
