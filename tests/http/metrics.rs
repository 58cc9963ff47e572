//! `GET /metrics`: every counter moves with what it counts, and nothing in it is about persons.

use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use buzon::domain::event::Event;
use buzon::domain::event::batch::Receipt;
use buzon::platform::meters::MAX_INSTANCES;
use buzon::store::{EventStore, Store, StoreError};
use reqwest::StatusCode;
use serde_json::json;

use crate::media::{JPEG, all_end, deliver, service as with_files};
use crate::support::clients::prometheus::Exposition;
use crate::support::clock::{ARRIVAL, later};
use crate::support::database::proxy::Proxy;
use crate::support::database::tokens;
use crate::support::database::world::{Backend, World, on_both, record};
use crate::support::events::{GUIDE, SECRET, event, received, sign};
use crate::support::gate::Gate;
use crate::support::gateway::fake_gateway::FakeGateway;
use crate::support::gateway::file_server::{FileServer, Reply};
use crate::support::program::service::{Service, answer};
use crate::support::{eventually, eventually_within};

async fn scrape(service: &Service) -> Exposition {
    let response = service.get("/metrics").send().await.expect("the server answers");
    assert_eq!(response.status(), StatusCode::OK);
    let content_type = response.headers()["content-type"].to_str().expect("the value is text").to_owned();
    assert_eq!(content_type, "text/plain; version=0.0.4; charset=utf-8");
    Exposition::parse(response.text().await.expect("the answer is complete"))
}

const EVENTS: &str = "buzon_events_total";
const REFUSED: &str = "buzon_events_refused_total";
const LAST_EVENT: &str = "buzon_instance_last_event_timestamp_seconds";

#[test(flavor = "multi_thread")]
async fn events_are_counted_by_type_and_outcome() {
    on_both(async |world| {
        let settings = [("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_DATABASE_URL", world.url.as_str())];
        let service = Service::start_with(&world, &settings).await;
        let before = scrape(&service).await;
        assert_eq!((before.sum(EVENTS, &[]), before.all(EVENTS, &[]).len()), (0.0, 8 * 4), "all counters begin at 0");
        for (_, body) in GUIDE {
            assert!(!service.deliver("/webhook/123", body).await.accepted());
        }
        for body in [r#"{"event_type":"call_received"}"#, r#"{"event_type":"call_ended"}"#, "not json", "{}"] {
            assert!(!service.deliver("/webhook/8", body).await.accepted());
        }
        let incomplete = service.deliver("/webhook/8", r#"{"event_type":"ack_update","ack":"read"}"#).await;
        assert!(!incomplete.accepted());
        for _ in 0..3 {
            assert!(service.deliver("/webhook/123", GUIDE[0].1).await.accepted());
        }
        let after = scrape(&service).await;
        for (event_type, _) in GUIDE {
            assert_eq!(after.value(EVENTS, &[("type", event_type), ("outcome", "applied")]), 1.0, "{event_type}");
        }
        for (event_type, outcome, count) in [
            ("message_received", "duplicate", 3.0),
            ("ack_update", "quarantined", 1.0),
            ("other", "ignored", 2.0),
            ("other", "quarantined", 2.0),
            ("other", "applied", 0.0),
        ] {
            assert_eq!(
                after.value(EVENTS, &[("type", event_type), ("outcome", outcome)]),
                count,
                "{event_type} {outcome}"
            );
        }
        assert_eq!(after.sum(EVENTS, &[]), 13.0);
        // Each event was alone in its batch.
        for histogram in ["buzon_batch_events", "buzon_commit_seconds", "buzon_receive_to_commit_seconds"] {
            assert_eq!(after.value(&format!("{histogram}_count"), &[]), 13.0, "{histogram}");
            assert_eq!(after.value(&format!("{histogram}_bucket"), &[("le", "+Inf")]), 13.0, "{histogram}");
            assert!(after.value(&format!("{histogram}_sum"), &[]) > 0.0, "{histogram}");
        }
        assert_eq!(after.value("buzon_batch_events_sum", &[]), 13.0);
        assert_eq!(after.value("buzon_signatures_accepted_total", &[("secret", "shared")]), 13.0);
        assert_eq!((after.value("buzon_queue_events", &[]), after.value("buzon_queue_bytes", &[])), (0.0, 0.0));
        let posted = [("method", "POST"), ("route", "/webhook/{instance_id}"), ("status", "200")];
        assert_eq!(after.value("buzon_http_requests_total", &posted), 13.0);
        let kind = if world.backend == Backend::Sqlite { "sqlite" } else { "postgres" };
        assert_eq!(after.value("buzon_build_info", &[("version", env!("CARGO_PKG_VERSION")), ("database", kind)]), 1.0);
        assert_eq!(after.value("buzon_store_up", &[]), 1.0);
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn the_time_of_an_instances_last_event_survives_a_restart() {
    on_both(async |world| {
        let store = world.open().await;
        record(&store, &[event("7", received("A", json!({})), ARRIVAL), event("-", "x", later(2_500))]).await;
        store.close().await;
        let service = Service::start(&world).await;
        let before = scrape(&service).await;
        let seconds = |millis| later(millis).millis() as f64 / 1e3;
        assert_eq!(before.value(LAST_EVENT, &[("instance_id", "7")]), seconds(0));
        assert_eq!(before.value(LAST_EVENT, &[("instance_id", "-")]), seconds(2_500));
        service.deliver("/webhook/7", received("B", json!({}))).await.accepted();
        let moved = async || scrape(&service).await.value(LAST_EVENT, &[("instance_id", "7")]) > seconds(0);
        eventually("the time is a new one", moved).await;
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_thousand_instances_are_exported_the_configured_ones_first_and_the_others_are_counted() {
    on_both(async |world| {
        let store = world.open().await;
        let instances: Vec<String> = (0..MAX_INSTANCES + 2).map(|n| format!("{n:05}")).collect();
        for chunk in instances.chunks(200) {
            record(&store, &chunk.iter().map(|id| event(id, "{}", ARRIVAL)).collect::<Vec<_>>()).await;
        }
        record(&store, &[event("zuletzt", "{}", ARRIVAL)]).await;
        store.close().await;
        let file = world.folder.path().join("buzon.toml");
        std::fs::write(&file, "[[instances]]\nid = \"zuletzt\"\n").expect("the file can be written");
        let settings = [("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_CONFIG", file.to_str().expect("the value is text"))];
        let service = Service::start_with(&world, &settings).await;
        let known = async || !scrape(&service).await.all(LAST_EVENT, &[]).is_empty();
        eventually("the database has answered", known).await;
        let shown = scrape(&service).await;
        assert_eq!(shown.all(LAST_EVENT, &[]).len(), MAX_INSTANCES);
        assert_eq!(shown.value("buzon_instances_unlisted", &[]), 3.0);
        assert_eq!(shown.all(LAST_EVENT, &[("instance_id", "zuletzt")]).len(), 1);
        // An instance whose id sorts first does not replace one that is already exported.
        service.deliver("/webhook/00000-new", "{}").await.accepted();
        let counted = async || scrape(&service).await.value("buzon_instances_unlisted", &[]) == 4.0;
        eventually("the instance is counted", counted).await;
        let shown = scrape(&service).await;
        assert_eq!(shown.all(LAST_EVENT, &[]).len(), MAX_INSTANCES);
        assert_eq!(shown.all(LAST_EVENT, &[("instance_id", "00000-new")]).len(), 0);
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn refused_requests_are_counted_by_reason() {
    on_both(async |world| {
        let service = Service::start(&world).await;
        let body = received("A", json!({}));
        let (wrong, right) = (sign("another secret, not ours", &body), sign(SECRET, &body));
        for (path, signature, encoding, reason) in [
            ("/webhook/7", Some(wrong.as_str()), None, "signature_mismatch"),
            ("/webhook/7", Some("nonsense"), None, "signature_mismatch"),
            ("/webhook/7", None, None, "signature_missing"),
            ("/webhook/7", Some(right.as_str()), Some("gzip"), "content_encoding"),
            ("/webhook/%7Binstance_id%7D", None, None, "not_found"),
        ] {
            let before = scrape(&service).await.value(REFUSED, &[("reason", reason)]);
            let headers = [("X-Whapi-Signature", signature), ("Content-Encoding", encoding)];
            let request = headers.into_iter().fold(service.post(path, body.clone()), |request, (name, value)| {
                value.into_iter().fold(request, |request, value| request.header(name, value))
            });
            let refused = answer(request).await;
            assert_eq!(refused.code(), reason);
            assert_eq!(scrape(&service).await.value(REFUSED, &[("reason", reason)]), before + 1.0, "{reason}");
        }
        let shown = scrape(&service).await;
        assert_eq!(shown.sum(REFUSED, &[]), 5.0);
        assert_eq!((shown.sum(EVENTS, &[]), shown.sum("buzon_signatures_accepted_total", &[])), (0.0, 0.0));
        service.stop().await;
    })
    .await;
}

/// A database that answers nothing until the gate, which is a channel, is dropped. Its requests cannot be cancelled
/// either.
struct Stuck {
    store: Arc<dyn Store>,
    gate: Mutex<Receiver<()>>,
}

#[async_trait]
impl EventStore for Stuck {
    async fn record_batch(&self, events: &[Event]) -> Result<Vec<Receipt>, StoreError> {
        let closed = || self.gate.lock().expect("the lock is not poisoned").recv().is_err();
        assert!(tokio::task::block_in_place(closed));
        self.store.record_batch(events).await
    }
}

#[test(flavor = "multi_thread")]
async fn the_length_of_the_queue_and_its_refusals_are_exported() {
    on_both(async |world| {
        let (gate, closed) = mpsc::channel();
        let stuck = Arc::new(Stuck { store: world.open().await, gate: Mutex::new(closed) });
        let store = stuck.store.clone();
        let running = Service::start_on(&world, stuck, store, &[("BUZON_WEBHOOK_SECRET", SECRET)]);
        let service = &running;
        let waiting = (0..16).map(|n| async move {
            let body = received(&format!("A{n}"), json!({"body": "x".repeat(4_100_000)}));
            service.deliver("/webhook/7", body).await
        });
        let waiting = futures_util::future::join_all(waiting);
        let seen = async move {
            let unproven = || service.post("/webhook/7", "{}").header("X-Whapi-Signature", "0".repeat(64));
            let full = async || answer(unproven()).await.code() == "queue_full";
            eventually("the queue is full", full).await;
            let shown = scrape(service).await;
            assert!(shown.value("buzon_queue_bytes", &[]) > 56e6, "{}", shown.text);
            assert!(shown.value("buzon_queue_events", &[]) > 10.0, "{}", shown.text);
            assert!(shown.value(REFUSED, &[("reason", "queue_full")]) >= 1.0, "{}", shown.text);
            drop(gate);
        };
        futures_util::join!(waiting, seen);
        let empty = async || scrape(service).await.value("buzon_queue_bytes", &[]) == 0.0;
        eventually("the queue is empty", empty).await;
        running.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn signatures_are_counted_by_the_secret_that_the_gateway_uses() {
    let world = World::new(Backend::Sqlite).await;
    let (new, old) = ("the new secret of instance 7", "the old secret of instance 7");
    let file = world.folder.path().join("buzon.toml");
    let text = format!("webhook_secret = \"{SECRET}\"\n[[instances]]\nid = 7\nsecrets = [\"{new}\", \"{old}\"]\n");
    std::fs::write(&file, text).expect("the file can be written");
    let service = Service::start_with(&world, &[("BUZON_CONFIG", file.to_str().expect("the value is text"))]).await;
    for (n, (path, secret)) in
        [("7", old), ("7", old), ("7", old), ("7", new), ("7", new), ("8", SECRET)].into_iter().enumerate()
    {
        let body = received(&n.to_string(), json!({}));
        let signed = service.post(&format!("/webhook/{path}"), &body).header("X-Whapi-Signature", sign(secret, &body));
        answer(signed).await.accepted();
    }
    let shown = scrape(&service).await;
    let by = |secret| shown.value("buzon_signatures_accepted_total", &[("secret", secret)]);
    assert_eq!([by("old"), by("new"), by("shared"), by("none")], [3.0, 2.0, 1.0, 0.0]);
    service.stop().await;
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start_with(&world, &[]).await;
    answer(service.post("/webhook", "{}")).await.accepted();
    assert_eq!(scrape(&service).await.value("buzon_signatures_accepted_total", &[("secret", "none")]), 1.0);
    service.stop().await;
}

#[test(flavor = "multi_thread")]
async fn on_loopback_a_local_program_needs_no_token_and_a_request_through_a_proxy_does() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start(&world).await;
    scrape(&service).await;
    for (header, value) in
        [("X-Forwarded-For", "127.0.0.1"), ("Host", "buzon.example.com"), ("Origin", "http://a.example")]
    {
        let refused = answer(service.get("/metrics").header(header, value)).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (401, "token_missing"), "{header}");
        let with_token = service.get("/metrics").header(header, value).bearer_auth(service.token());
        assert_eq!(with_token.send().await.expect("the server answers").status(), StatusCode::OK);
    }
    let asked = answer(service.get("/metrics?name=x")).await;
    assert_eq!((asked.status.as_u16(), asked.code()), (400, "unknown_parameter"));
    let posted = answer(service.post("/metrics", "")).await;
    assert_eq!((posted.status.as_u16(), posted.code()), (405, "method_not_allowed"));
    service.stop().await;
}

#[test(flavor = "multi_thread")]
async fn on_another_address_metrics_need_a_token_for_everything() {
    on_both(async |world| {
        let settings = [("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_API_LISTEN", "0.0.0.0:0")];
        let service = Service::start_with(&world, &settings).await;
        let everything = tokens::token(&world, &[]).await;
        let of_one = tokens::token(&world, &["7"]).await;
        let url = format!("http://127.0.0.1:{}/metrics", service.api_address.port());
        let client = crate::support::client();
        let refused = answer(client.get(&url)).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (401, "token_missing"));
        for (token, status, code) in
            [("a token that nobody made, long enough", 401, "token_invalid"), (of_one.text(), 404, "not_found")]
        {
            let refused = answer(client.get(&url).bearer_auth(token)).await;
            assert_eq!((refused.status.as_u16(), refused.code()), (status, code));
        }
        for token in [everything.text(), &service.token()] {
            let answer = client.get(&url).bearer_auth(token).send().await.expect("the server answers");
            assert_eq!(answer.status(), StatusCode::OK);
            assert!(answer.text().await.expect("the answer is complete").contains("buzon_build_info"));
        }
        // The listener for events does not serve it at all.
        let webhook = format!("http://{}/metrics", service.address);
        assert_eq!(answer(client.get(webhook)).await.status.as_u16(), 404);
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn metrics_contain_nothing_of_events_or_requests_and_nobody_can_make_them_grow() {
    on_both(async |world| {
        let service = Service::start(&world).await;
        let send = async |n: usize| {
            let (person, text) = (format!("57300123456{n}"), format!("canary-{n}"));
            let fields = json!({
                "chat_id": format!("{person}@c.us"), "from": person, "sender_name": text, "body": text, "type": text,
                "status": text, "ack": text, "media_url": format!("http://10.0.0.1/{text}"),
            });
            for body in [
                received(&text, fields),
                json!({"event_type": text, "id": text}).to_string().into_bytes(),
                json!({"event_type": "ack_update", "id": text, "ack": text}).to_string().into_bytes(),
                json!({"event_type": "message_reaction", "message_id": text, "from_number": person, "reaction": text})
                    .to_string()
                    .into_bytes(),
                text.clone().into_bytes(),
            ] {
                service.deliver("/webhook/7", body).await.accepted();
            }
            let unsigned = json!({"instance_id": text}).to_string();
            assert_eq!(answer(service.post("/webhook", unsigned)).await.status.as_u16(), 401);
            for path in [format!("/{text}"), format!("/api/v1/{text}"), format!("/api/v1/messages/7/{text}?q={text}")] {
                let asked = service.get(&path).bearer_auth(service.token());
                assert!(asked.send().await.expect("the server answers").status().is_client_error());
            }
            let method = reqwest::Method::from_bytes(text.to_uppercase().as_bytes()).expect("the method is a word");
            let url = format!("http://{}/webhook", service.address);
            let odd = crate::support::client().request(method, url).send().await.expect("the server answers");
            assert_eq!(odd.status().as_u16(), 405);
        };
        send(0).await;
        all_end(&world).await;
        let jobs = async || scrape(&service).await.sum("buzon_media_attempts_total", &[("outcome", "refused")]) == 1.0;
        eventually("the file is refused", jobs).await;
        // The second scrape counts the first, which was a request to a route of its own.
        let series = scrape(&service).await.series();
        for n in 1..10 {
            send(n).await;
        }
        all_end(&world).await;
        let shown = scrape(&service).await;
        assert_eq!(shown.sum(EVENTS, &[]), 50.0);
        assert_eq!(shown.series(), series, "{}", shown.text);
        assert!(!shown.text.to_lowercase().contains("canary"), "{}", shown.text);
        assert!(!shown.text.contains("57300123456"), "{}", shown.text);
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn files_are_counted_by_state_and_by_how_the_attempts_end() {
    on_both(async |world| {
        let gateway = FileServer::start().await;
        let held = Gate::closed();
        gateway.reply("/a.jpg", Reply::status(503));
        gateway.reply("/gone.jpg", Reply::status(410));
        gateway.reply("/slow.jpg", Reply::file(JPEG).held(&held));
        let service = with_files(&world, &gateway, &[("BUZON_DATABASE_URL", world.url.as_str())]).await;
        for path in ["/a.jpg", "/gone.jpg", "/slow.jpg"] {
            deliver(&service, path, path).await;
        }
        let again = [("outcome", "again")];
        let counted = async || scrape(&service).await.value("buzon_media_attempts_total", &again) >= 1.0;
        eventually("one is asked for again", counted).await;
        gateway.reply("/a.jpg", Reply::file(JPEG));
        let jobs = async |state: &str| scrape(&service).await.value("buzon_media_jobs", &[("state", state)]);
        eventually("one is saved and one is lost", async || {
            (jobs("stored").await, jobs("expired").await, jobs("pending").await) == (1.0, 1.0, 1.0)
        })
        .await;
        let shown = scrape(&service).await;
        // The message is from August 2024.
        assert!(shown.value("buzon_media_oldest_pending_seconds", &[]) > 86_400.0, "{}", shown.text);
        held.open();
        eventually("the slow one is saved", async || jobs("stored").await == 2.0).await;
        let stored = [("outcome", "stored")];
        let counted = async || scrape(&service).await.value("buzon_media_attempts_total", &stored) == 2.0;
        eventually("the attempts are counted", counted).await;
        let shown = scrape(&service).await;
        assert_eq!(shown.value("buzon_media_oldest_pending_seconds", &[]), 0.0);
        let ended = |outcome| shown.value("buzon_media_attempts_total", &[("outcome", outcome)]);
        assert_eq!((ended("stored"), ended("expired"), ended("failed")), (2.0, 1.0, 0.0));
        assert_eq!(shown.value("buzon_media_stored_bytes_total", &[]), 2.0 * JPEG.len() as f64);
        assert_eq!(shown.value("buzon_media_download_seconds_count", &[("outcome", "stored")]), 2.0);
        let failed = shown.value("buzon_media_download_seconds_count", &[("outcome", "failed")]);
        assert_eq!(failed, ended("again") + ended("expired"));
        let on_disk = |metric: &str, disk| shown.all(metric, &[("disk", disk)]);
        assert!(on_disk("buzon_disk_free_bytes", "media")[0] > 0.0);
        assert_eq!(on_disk("buzon_disk_min_free_bytes", "media"), [f64::from(1 << 30)]);
        let database = on_disk("buzon_disk_min_free_bytes", "database");
        assert_eq!(database, if world.backend == Backend::Sqlite { vec![f64::from(128 << 20)] } else { vec![] });
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn an_unavailable_database_is_exported_and_its_last_values_stay() {
    let mut world = World::new(Backend::Postgres).await;
    let proxy = Proxy::start(&mut world.url).await;
    let service = Service::start(&world).await;
    service.deliver("/webhook/7", received("A", json!({}))).await.accepted();
    eventually("its last event is known", async || !scrape(&service).await.all(LAST_EVENT, &[]).is_empty()).await;
    proxy.stop();
    let refused = service.deliver("/webhook/7", received("B", json!({}))).await;
    assert_eq!(refused.code(), "store_unavailable");
    let up = async |is: f64| scrape(&service).await.value("buzon_store_up", &[]) == is;
    eventually("the database is unavailable", async || up(0.0).await).await;
    let shown = scrape(&service).await;
    assert_eq!(shown.value(REFUSED, &[("reason", "store_unavailable")]), 1.0);
    assert_eq!(shown.all(LAST_EVENT, &[("instance_id", "7")]).len(), 1);
    proxy.resume();
    eventually("the database is available again", async || up(1.0).await).await;
    service.stop().await;
}

#[test(flavor = "multi_thread")]
async fn automatic_replay_requests_are_counted_by_the_gateways_answer() {
    let world = World::new(Backend::Sqlite).await;
    let gateway = FakeGateway::start().await;
    gateway.keep_stuck();
    for n in 0..3 {
        assert!(!gateway.deliver(received(&format!("A{n}"), json!({}))).await);
    }
    let file = world.folder.path().join("buzon.toml");
    std::fs::write(&file, gateway.settings()).expect("the file can be written");
    let settings = [("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_CONFIG", file.to_str().expect("the value is text"))];
    let service = Service::start_with(&world, &settings).await;
    gateway.set_buzon(Some(service.address));
    let asked = async |request: &str, outcome: &str| {
        let labels = [("request", request), ("outcome", outcome)];
        scrape(&service).await.sum("buzon_replay_requests_total", &labels)
    };
    eventually("all are asked for", async || gateway.replayed().len() == 4).await;
    eventually("the requests are counted", async || asked("replay", "ok").await == 3.0).await;
    assert!(asked("list", "ok").await >= 1.0);
    let failed = scrape(&service).await.sum("buzon_replay_requests_total", &[("request", "replay")]);
    assert_eq!(failed, 4.0, "the one that cannot be delivered has another outcome");
    // The next round is refused.
    gateway.script(&["HTTP/1.1 401 X\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}".to_owned()]);
    let refused = async || asked("list", "token_refused").await == 1.0;
    eventually_within(Duration::from_secs(90), "the token is refused", refused).await;
    service.stop().await;
}
