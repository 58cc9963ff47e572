//! Exports by the API.

use buzon::platform::clock::{Clock, SystemClock};
use reqwest::RequestBuilder;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::{ANA, LUIS, fill, objects};
use crate::support::database::tokens::{StoredToken, exporting, revoke, token};
use crate::support::database::world::{Backend, World, on_both};
use crate::support::eventually;
use crate::support::program::service::{Service, answer};

/// An answer that need not be JSON.
struct Given {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Given {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("it is text"))
    }
}

async fn given(request: RequestBuilder) -> Given {
    let response = request.send().await.expect("the server answers");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Given { status, headers, body: response.bytes().await.expect("it is complete").to_vec() }
}

fn post(service: &Service, token: &str, order: &Value) -> RequestBuilder {
    let url = format!("http://{}/api/v1/exports", service.api_address);
    crate::support::client().post(url).bearer_auth(token).body(order.to_string())
}

/// Exports, and returns the finished job.
async fn done(service: &Service, token: &str, order: &Value) -> Value {
    let begun = answer(post(service, token, order)).await;
    assert_eq!(begun.status, 201, "{begun:?}");
    let path = format!("/api/v1/exports/{}", begun.body["id"].as_str().expect("it has an id"));
    let mut job = Value::Null;
    eventually("the export ends", async || {
        job = answer(service.get(&path).bearer_auth(token)).await.body;
        job["state"] != "running"
    })
    .await;
    job
}

fn files(world: &World) -> usize {
    std::fs::read_dir(world.data_dir().join("exports")).map_or(0, Iterator::count)
}

#[test(flavor = "multi_thread")]
async fn an_export_is_begun_asked_for_and_read_in_parts() {
    on_both(async |world| {
        fill(&world).await;
        let service = Service::start(&world).await;
        let owner = service.token();
        let job = done(&service, &owner, &json!({"list": "messages", "format": "ndjson"})).await;
        assert_eq!((&job["state"], &job["rows"], &job["cut"]), (&json!("done"), &json!(16), &json!(0)));
        let url = job["url"].as_str().expect("it has one");
        let whole = given(service.get(url).bearer_auth(&owner)).await;
        assert_eq!((whole.status, whole.body.len() as u64), (200, job["size"].as_u64().expect("it has one")));
        assert_eq!(objects(&String::from_utf8(whole.body.clone()).expect("it is text")).len(), 16);
        assert_eq!(whole.header("content-disposition"), "attachment; filename=\"messages.ndjson\"");
        let etag = whole.header("etag").to_owned();
        let part = service.get(url).bearer_auth(&owner).header("range", "bytes=10-19").header("if-range", &etag);
        let part = given(part).await;
        assert_eq!((part.status, part.body.as_slice()), (206, &whole.body[10..20]));
        let known = given(service.get(url).bearer_auth(&owner).header("if-none-match", etag)).await;
        assert_eq!(known.status, 304);
        let mode = std::fs::metadata(
            world.data_dir().join("exports").join(format!("{}.ndjson", job["id"].as_str().unwrap_or_default())),
        );
        let mode = std::os::unix::fs::PermissionsExt::mode(&mode.expect("it is there").permissions());
        assert_eq!(mode & 0o777, 0o600);
        // Another one takes its place, and nobody else sees either.
        let other = exporting(&world, &["7"]).await;
        assert_eq!(answer(service.get("/api/v1/exports").bearer_auth(other.text())).await.body["data"], json!([]));
        assert_eq!(given(service.get(url).bearer_auth(other.text())).await.status, 404);
        done(&service, &owner, &json!({"list": "chats", "format": "csv", "guard": true})).await;
        assert_eq!((given(service.get(url).bearer_auth(&owner)).await.status, files(&world)), (404, 1));
        // An erasure removes the files of exports.
        buzon::export::jobs::remove_all(&world.data_dir());
        let listed = answer(service.get("/api/v1/exports").bearer_auth(&owner)).await;
        let url = listed.body["data"][0]["url"].as_str().expect("it has one").to_owned();
        assert_eq!(given(service.get(&url).bearer_auth(&owner)).await.status, 404);
        let audit = world.rows("SELECT actor, action FROM audit ORDER BY seq").await;
        assert_eq!(audit, ["owner|export messages", "owner|export chats"]);
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_token_exports_only_with_the_right_and_only_what_it_sees() {
    on_both(async |world| {
        fill(&world).await;
        let service = Service::start(&world).await;
        let (without, with) = (token(&world, &["7"]).await, exporting(&world, &["8"]).await);
        let everything = token(&world, &[]).await;
        let order = json!({"list": "messages", "format": "ndjson"});
        for token in [without.text(), everything.text()] {
            let refused = answer(post(&service, token, &order)).await;
            assert_eq!((refused.status.as_u16(), refused.code()), (403, "export_not_allowed"));
            let job = "/api/v1/exports/0/file";
            for path in ["/api/v1/exports", "/api/v1/exports/0", job] {
                assert_eq!(answer(service.get(path).bearer_auth(token)).await.code(), "export_not_allowed");
            }
        }
        assert_eq!((files(&world), world.value("SELECT count(*) FROM audit").await.as_str()), (0, "0"));
        for list in ["messages", "chats", "reactions", "acks", "media", "events"] {
            for filter in [json!({}), json!({"instance_id": "7"})] {
                let order = json!({"list": list, "format": "ndjson", "filter": filter});
                let job = done(&service, with.text(), &order).await;
                let url = job["url"].as_str().expect("it has one");
                let text = given(service.get(url).bearer_auth(with.text())).await.body;
                let rows = objects(&String::from_utf8(text).expect("it is text"));
                assert!(rows.iter().all(|row| row["instance_id"] == "8"), "{list} {rows:?}");
                assert!(filter == json!({}) || rows.is_empty(), "{list} {rows:?}");
            }
        }
        assert_eq!(world.value("SELECT count(*) FROM audit WHERE actor LIKE 'token:%'").await, "12");
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn the_files_go_with_the_token() {
    on_both(async |world| {
        fill(&world).await;
        let store = world.open().await;
        let mine: StoredToken = exporting(&world, &["7"]).await;
        let (clock, folder) = (std::sync::Arc::new(SystemClock), world.data_dir());
        let stop = tokio_util::sync::CancellationToken::new();
        let jobs = buzon::export::jobs::ExportJobs::new(store.clone(), clock, &folder, 0, stop);
        let begin = |owner| {
            let (query, range) = buzon::http::api::exports::order::query(
                buzon::http::api::exports::ExportedList::Messages,
                [("chat_id".to_owned(), LUIS.to_owned())].into(),
                &buzon::domain::time::zone::Zone::utc(),
            )
            .expect("it is right");
            let order = buzon::export::lists::ListExport {
                query,
                range,
                scope: buzon::domain::access::scope::Scope::All,
                format: buzon::export::lists::ListFormat::Csv,
                guard: false,
                zone: buzon::domain::time::zone::Zone::utc(),
            };
            let deed = buzon::domain::audit::AuditedDeed {
                at: SystemClock.now(),
                actor: buzon::domain::audit::AuditActor::Owner,
                action: "export messages".to_owned(),
                subject_hmac: None,
                detail: json!({}),
            };
            jobs.start(owner, order, deed).expect("it begins")
        };
        for owner in [None, Some(mine.id)] {
            begin(owner);
            let is_done = || matches!(jobs.list(owner)[0].state, buzon::export::jobs::ExportState::Done { .. });
            eventually("it is done", async || is_done()).await;
        }
        jobs.tidy().await;
        assert_eq!(files(&world), 2);
        revoke(&world, &mine).await;
        jobs.tidy().await;
        assert_eq!((files(&world), jobs.list(Some(mine.id)), jobs.list(None).len()), (1, vec![], 1));
        // A start removes what an earlier process left.
        let stop = tokio_util::sync::CancellationToken::new();
        let again =
            buzon::export::jobs::ExportJobs::new(store.clone(), std::sync::Arc::new(SystemClock), &folder, 0, stop);
        assert_eq!((files(&world), again.list(None)), (0, vec![]));
        store.close().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn an_order_that_is_not_right_says_what_is_wrong() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start(&world).await;
    for (order, code, said) in [
        (json!({"list": "tokens", "format": "csv"}), "invalid_parameter", "messages"),
        (json!({"list": "messages", "format": "pdf"}), "invalid_parameter", "ndjson"),
        (json!({"list": "messages", "format": "csv", "filter": {"chat": ANA}}), "unknown_parameter", "chat_id"),
        (json!({"list": "messages"}), "invalid_parameter", "format"),
        (json!("x".repeat(20_000)), "invalid_parameter", "bytes"),
    ] {
        let refused = answer(post(&service, &service.token(), &order)).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (400, code), "{order}");
        assert!(refused.body["detail"].as_str().is_some_and(|detail| detail.contains(said)), "{refused:?}");
    }
    service.stop().await;
    let service = Service::start_with(&world, &[("BUZON_MIN_FREE", "1000000GiB")]).await;
    let order = json!({"list": "messages", "format": "csv"});
    let refused = answer(post(&service, &service.token(), &order)).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (503, "export_disk_low"));
    service.stop().await;
}
