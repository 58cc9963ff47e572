//! The process and its machine: what every part of buzon needs and what none of them is about.
//!
//! - [`clock`], [`disk`], [`private_folder`] and [`random`] give access to the machine; tests replace the clock.
//! - [`threads`] and [`supervisor`] run tasks: on threads of their own, and again after a panic.
//! - [`tls`] and [`outbound`] are for requests to other servers.
//! - [`meters`] has the metrics, and [`outage`] notes refused and stored events for those who wait for the end of an
//!   outage.
//! - [`terminal`] prints text for people, without what a terminal would obey.

pub mod clock;
pub mod disk;
pub mod meters;
pub mod outage;
pub mod outbound;
pub mod private_folder;
pub mod random;
pub mod supervisor;
pub mod terminal;
pub mod threads;
pub mod tls;

/// Its `#[test]`, which has a time limit, is that of the whole crate.
#[cfg(test)]
#[macro_use]
extern crate limit;
