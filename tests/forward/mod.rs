//! Forwards, with real receivers.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use buzon::platform::clock::Clock;

use crate::support::database::tokens::open_beside_server;
use crate::support::database::world::World;
use crate::support::events::SECRET;
use crate::support::eventually;
use crate::support::program::service::Service;

mod acks;
mod commands;
mod failures;
mod killed;
mod load;
mod notices;
mod samples;
mod sending;
mod storms;
mod tls;

/// Writes a settings file into the world's folder.
pub fn settings_file(world: &World, settings: &str) -> PathBuf {
    let path = world.folder.path().join("buzon.toml");
    std::fs::write(&path, settings).expect("there is room");
    path
}

/// Starts a service with these forwards, when they have begun.
pub async fn start(world: &World, forwards: &str) -> Service {
    let path = settings_file(world, forwards);
    register(world, forwards).await;
    let config = path.to_str().expect("it is text");
    Service::start_with(world, &[("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_CONFIG", config)]).await
}

/// Does the same with this clock.
pub async fn start_clocked(world: &World, clock: Arc<dyn Clock>, forwards: &str) -> Service {
    let path = settings_file(world, forwards);
    register(world, forwards).await;
    let config = path.to_str().expect("it is text");
    Service::start_clocked(world, clock, &[("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_CONFIG", config)]).await
}

/// Makes the forwards known before the service starts, as `buzon serve` does.
async fn register(world: &World, forwards: &str) {
    let store = open_beside_server(world).await;
    let names = forwards.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    for name in names {
        let name = buzon::domain::forward::ForwardName::new(name).expect("it is a name");
        store.register_forward(&name).await.expect("the store answers");
    }
    store.close().await;
}

/// Waits until a forward has nothing left to do.
pub async fn caught_up(world: &World, name: &str) {
    let behind = format!(
        "SELECT (SELECT seq FROM ledger_clock) - position, replay_until IS NOT NULL FROM forwards WHERE name = '{name}'"
    );
    eventually("the forward has caught up", async || world.value(&behind).await == "0|0").await;
}

/// Waits until a forward is stopped, or is not.
pub async fn stopped(world: &World, is_stopped: bool) {
    let query = "SELECT stopped_since IS NOT NULL FROM forwards WHERE name = 'bot'";
    let wanted = i64::from(is_stopped).to_string();
    eventually("the forward stops or goes on", async || world.value(query).await == wanted).await;
}

/// Returns an address at which nobody listens.
pub async fn nobody() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    listener.local_addr().expect("it is bound")
}
