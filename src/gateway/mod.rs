//! The gateway's own API, as far as its guide and its pages state it: `client` sets a webhook, lists the deliveries
//! that failed and has one sent again; `replayer` does the last two by itself when the store was away and is back.
//!
//! The token of an instance goes into bodies, and into the query of one request. No error, and so no log, names a URL.

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

/// An instance at the gateway, and what opens it there.
#[derive(Clone)]
pub struct Account {
    pub instance: InstanceId,
    pub token: SecretString,
}
