//! Playing the gateway, for a buzon that is tried out: `sender` signs a body and sends it to a [`SendTarget`], which is on
//! this machine unless another is named twice. `traffic` makes the events of a shop, the same from the same seed;
//! `files` serves what their media URLs name; `drive` sends them at a rate and keeps a `tally`.

mod drive;
mod files;
mod hours;
mod people;
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
pub use traffic::{EventKind, Shape, SimulatedDelivery, TrafficGenerator};
