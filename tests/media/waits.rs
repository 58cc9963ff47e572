//! How long a file that a gateway does not have yet is waited for.

use std::sync::Arc;
use std::time::Duration;

use buzon::domain::time::timestamp::Timestamp;
use buzon::platform::clock::{Clock, SystemClock};
use serde_json::json;

use super::JPEG;
use crate::support::clock::MovedClock;
use crate::support::database::world::{World, on_both};
use crate::support::events::{SECRET, received};
use crate::support::eventually;
use crate::support::gateway::file_server::{FileServer, Reply};
use crate::support::program::service::Service;

/// A service whose clock is moved, with a gateway.
struct Waiting {
    world: World,
    gateway: FileServer,
    clock: Arc<MovedClock>,
    service: Service,
}

impl Waiting {
    async fn start(world: World) -> Self {
        let gateway = FileServer::start().await;
        let clock = Arc::new(MovedClock::default());
        let origin = gateway.url("");
        let settings = [("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_GATEWAY_URL", origin.as_str())];
        let service = Service::start_clocked(&world, clock.clone(), &settings).await;
        Self { world, gateway, clock, service }
    }

    async fn deliver(&self, id: &str, sent_at: Timestamp) {
        let fields = json!({"type": "video", "media_url": format!("/{id}.mp4"), "timestamp": sent_at.seconds()});
        self.service.deliver("/webhook/7", received(id, fields)).await.accepted();
    }

    /// Moves the clock, and wakes the worker with another file.
    async fn pass(&self, wait: Duration) {
        self.clock.forward(wait);
        let id = format!("after {wait:?}");
        self.gateway.reply(&format!("/{id}.mp4").replace(' ', "%20"), Reply::file(JPEG));
        self.deliver(&id, self.clock.now()).await;
        let of_it = format!("SELECT count(*) FROM media WHERE state = 'stored' AND message_id = '{id}'");
        eventually("the worker was awake", async || self.world.value(&of_it).await == "1").await;
    }

    /// Waits until the file of a message was denied this often.
    async fn denied(&self, id: &str, times: usize) {
        let row = format!("SELECT denials FROM media WHERE lease_until IS NULL AND message_id = '{id}'");
        eventually("it was denied", async || self.world.rows(&row).await == [times.to_string()]).await;
    }

    async fn row(&self, id: &str) -> String {
        self.world.value(&format!("SELECT state, attempts FROM media WHERE message_id = '{id}'")).await
    }
}

/// A tenth more than the longest wait is certain to be over.
const WAITS: [Duration; 4] =
    [Duration::from_secs(6), Duration::from_secs(67), Duration::from_secs(661), Duration::from_secs(3_961)];

#[test(flavor = "multi_thread")]
async fn the_file_of_a_new_message_is_asked_for_again_for_more_than_an_hour() {
    on_both(async |world| {
        let waiting = Waiting::start(world).await;
        let now = SystemClock.now();
        for id in ["ready", "never"] {
            waiting.deliver(id, now).await;
            waiting.denied(id, 1).await;
        }
        for (wait, denials) in WAITS[..2].iter().zip(2..) {
            waiting.pass(*wait).await;
            waiting.denied("ready", denials).await;
            waiting.denied("never", denials).await;
        }
        waiting.gateway.reply("/ready.mp4", Reply::file(b"\0\0\0\x20ftypisom\0\0\x02\0"));
        waiting.pass(WAITS[2]).await;
        waiting.denied("never", 4).await;
        eventually("it is stored", async || waiting.row("ready").await == "stored|4").await;
        assert_eq!(waiting.row("never").await, "pending|4");
        waiting.pass(WAITS[3]).await;
        eventually("it is given up", async || waiting.row("never").await == "expired|5").await;
        waiting.service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn the_file_of_an_old_message_is_asked_for_once_and_so_is_one_that_is_gone() {
    on_both(async |world| {
        let waiting = Waiting::start(world).await;
        let now = SystemClock.now();
        waiting.gateway.reply("/gone.mp4", Reply::status(410));
        waiting.deliver("gone", now).await;
        waiting.deliver("old", now - Duration::from_secs(25 * 60 * 60)).await;
        for id in ["gone", "old"] {
            eventually("it is given up", async || waiting.row(id).await == "expired|1").await;
        }
        waiting.service.stop().await;
    })
    .await;
}
