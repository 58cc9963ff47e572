//! The process and its machine: what every part of buzon needs of them, and no part of it is about.

pub mod clock;
pub mod disk;
pub mod meters;
pub mod outage;
pub mod outbound;
pub mod private_folder;
pub mod supervisor;
pub mod terminal;
pub mod threads;
pub mod tls;
