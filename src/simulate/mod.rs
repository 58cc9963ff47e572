//! Playing the gateway, for a buzon that is tried out: `sender` signs a body and sends it to a [`Target`], which is on
//! this machine unless another is named twice.

mod sender;
mod target;

pub use sender::{Answer, Sender};
pub use target::{Target, TargetError};
