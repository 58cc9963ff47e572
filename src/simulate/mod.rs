//! A simulated gateway, for trying out a buzon. `sender` signs a body and sends it to a [`SendTarget`], which is on
//! this machine unless another one is explicitly allowed. `traffic` makes the events of a shop, always the same from
//! the same seed. `files` serves the files that their media URLs name, `picture` among them. `drive` sends the events at a rate and keeps a
//! `tally`.

mod drive;
mod files;
mod hours;
mod people;
mod picture;
mod seeded_rng;
mod sender;
mod tally;
mod target;
mod traffic;

pub use drive::drive;
pub use files::FileServer;
pub use hours::WorkingHours;
pub use seeded_rng::SeededRng;
pub use sender::{SendAnswer, Sender};
pub use tally::SendTally;
pub use target::{SendTarget, TargetError};
pub use traffic::{DeliveryKind, Shape, SimulatedDelivery, TrafficGenerator};
