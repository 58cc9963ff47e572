//! The gateway's own API, as far as its guide and its pages describe it. `client` sets a webhook, lists the deliveries
//! that failed, and has one sent again. `replayer` does the last two by itself after the store or the process was away.
//!
//! The token of an instance is sent in bodies, and in the query of one request. So no error, and no log line, names a
//! URL.

use secrecy::SecretString;

use domain::instance::InstanceId;

mod client;
mod error;
mod failed;
mod replayer;

pub use client::{Gateway, WaitNotice};
pub use error::GatewayError;
pub use failed::{FailedDelivery, oldest_first};
pub use replayer::{Replayer, ReplayerParts};

/// An instance at the gateway with its token.
#[derive(Clone)]
pub struct Account {
    pub instance: InstanceId,
    pub token: SecretString,
}
