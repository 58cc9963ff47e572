//! Playing the gateway, for a buzon that is tried out: `sender` signs a body and sends it to a [`Target`], which is on
//! this machine unless another is named twice. `traffic` makes the events of a shop, the same from the same seed;
//! `files` serves what their media URLs name; `drive` sends them at a rate and keeps a `tally`.

mod dice;
mod drive;
mod files;
mod hours;
mod people;
mod sender;
mod tally;
mod target;
mod traffic;

pub use dice::Dice;
pub use drive::drive;
pub use files::FileServer;
pub use hours::WorkingHours;
pub use sender::{Answer, Sender};
pub use tally::Tally;
pub use target::{Target, TargetError};
pub use traffic::{Delivery, Kind, Shape, Traffic};
