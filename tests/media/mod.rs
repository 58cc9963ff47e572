//! Media files, from the event to the store.

mod capacity;
mod contents;
pub mod exactly_once;
mod guard;
mod limits;
mod load;
mod outcomes;
mod saving;
mod sources;
mod sweeping;
mod waits;

use buzon::domain::media::object_key::ObjectKey;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::support::database::world::World;
use crate::support::events::{SECRET, received};
use crate::support::eventually;
use crate::support::gateway::file_server::FileServer;
use crate::support::program::service::Service;

pub const JPEG: &[u8] = b"\xFF\xD8\xFF\xE0\x00\x10JFIF\x00\x01\x01\x00";

pub fn key(content: &[u8]) -> ObjectKey {
    ObjectKey::of_digest(Sha256::digest(content).into())
}

/// Delivers a message whose file is at `url`.
pub async fn deliver(service: &Service, id: &str, url: &str) {
    deliver_as(service, id, "image", url).await;
}

/// Delivers a message of this type.
pub async fn deliver_as(service: &Service, id: &str, kind: &str, url: &str) {
    let body = received(id, json!({"type": kind, "body": "", "media_url": url}));
    service.deliver("/webhook/7", body).await.accepted();
}

pub async fn all_end(world: &World) {
    let pending = "SELECT count(*) FROM media WHERE state = 'pending'";
    eventually("every job ends", async || world.value(pending).await == "0").await;
}

/// Starts a service that downloads files from this gateway.
pub async fn service(world: &World, gateway: &FileServer, settings: &[(&str, &str)]) -> Service {
    let origin = gateway.url("");
    let base = [("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_GATEWAY_URL", origin.as_str())];
    Service::start_with(world, &[&base, settings].concat()).await
}

/// Returns the names of all stored files, and of any others in the media folder.
pub fn files(world: &World) -> Vec<String> {
    let folders = std::fs::read_dir(world.data_dir().join("media")).expect("the folder is there");
    let folders = folders.map(|entry| entry.expect("it can be read").path()).filter(|path| path.is_dir());
    let files = folders.flat_map(|folder| std::fs::read_dir(folder).expect("it can be read"));
    files.map(|entry| entry.expect("it can be read").file_name().to_string_lossy().into_owned()).collect()
}
