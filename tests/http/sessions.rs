//! Sessions of browsers: a cookie in place of a token.

use buzon::domain::access::session::SessionId;
use buzon::platform::clock::{Clock, SystemClock};
use reqwest::header::{COOKIE, ORIGIN};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::database::tokens::{exporting, revoke, token};
use crate::support::database::world::{Backend, World, on_both};
use crate::support::events::{SECRET, received};
use crate::support::program::process::run;
use crate::support::program::service::{Answer, Service, answer};
use crate::support::{client, eventually};

const SESSION: &str = "/api/v1/session";
const CHATS: &str = "/api/v1/chats";
const EXPORTS: &str = "/api/v1/exports";

fn origin(service: &Service) -> String {
    format!("http://{}", service.api_address)
}

fn login(service: &Service, proof: &Value) -> RequestBuilder {
    let request = service.post(SESSION, proof.to_string()).header(ORIGIN, origin(service));
    request.header("Content-Type", "application/json")
}

/// Returns the cookie as a browser sends it, and its attributes.
fn cookie(answer: &Answer) -> (String, String) {
    let (pair, attributes) = answer.header("set-cookie").split_once("; ").expect("there are attributes");
    (pair.to_owned(), attributes.to_owned())
}

async fn logged_in(service: &Service, token: &str) -> String {
    let answer = answer(login(service, &json!({ "token": token }))).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    cookie(&answer).0
}

async fn ask(service: &Service, path: &str, cookie: &str) -> Answer {
    answer(service.get(path).header(COOKIE, cookie)).await
}

#[test(flavor = "multi_thread")]
async fn a_browser_logs_in_once_reads_what_its_token_reads_and_logs_out() {
    on_both(async |world| {
        let service = Service::start(&world).await;
        for instance in ["7", "8"] {
            service.deliver(&format!("/webhook/{instance}"), received("A", json!({}))).await.accepted();
        }
        let known = token(&world, &["7"]).await;
        let begun = answer(login(&service, &json!({ "token": known.text() }))).await;
        assert_eq!((begun.status.as_u16(), begun.header("cache-control")), (201, "no-store"));
        assert_eq!((&begun.body["instances"], &begun.body["is_owner"]), (&json!(["7"]), &json!(false)));
        let (cookie, attributes) = cookie(&begun);
        for attribute in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=7776000"] {
            assert!(attributes.contains(attribute), "{attributes}");
        }
        let (_, secret) = cookie.split_once('=').expect("a cookie has a value");
        assert!(!world.rows("SELECT hmac, token_sha256 FROM sessions").await.join("").contains(secret));
        let seen = ask(&service, CHATS, &cookie).await;
        let seen: Vec<_> =
            seen.body["data"].as_array().expect("it is a list").iter().map(|it| &it["instance_id"]).collect();
        assert_eq!(seen, ["7"]);
        let report = ask(&service, SESSION, &cookie).await;
        assert_eq!(report.body, begun.body);

        let end = |cookie: &str| {
            let request = client().request(Method::DELETE, format!("http://{}{SESSION}", service.api_address));
            request.header(COOKIE, cookie)
        };
        let foreign = end(&cookie).header("Sec-Fetch-Site", "cross-site");
        assert_eq!(answer(foreign).await.code(), "foreign_page");
        let ended = end(&cookie).send().await.expect("the server answers");
        assert_eq!(
            (ended.status().as_u16(), &ended.headers()["clear-site-data"]),
            (204, &"\"cache\"".parse().expect("it is a value"))
        );
        assert_eq!(ask(&service, CHATS, &cookie).await.code(), "session_invalid");
        assert_eq!(end("").send().await.expect("the server answers").status(), 204);
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_session_ends_with_its_token_and_with_the_owners() {
    on_both(async |world| {
        let service = Service::start(&world).await;
        let known = token(&world, &["7"]).await;
        let cookie = logged_in(&service, known.text()).await;
        let owners = logged_in(&service, &service.token()).await;
        assert_eq!(ask(&service, CHATS, &cookie).await.status, 200);
        revoke(&world, &known).await;
        assert_eq!(ask(&service, CHATS, &cookie).await.code(), "session_invalid");
        assert_eq!(ask(&service, CHATS, &owners).await.status, 200);
        service.stop().await;
        let settings =
            [("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_API_TOKEN", "another token of the owner, which is long")];
        let settings = settings.map(|(name, value)| (name, value.replace(' ', "-")));
        let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
        let service = Service::start_with(&world, &settings).await;
        assert_eq!(ask(&service, CHATS, &owners).await.code(), "session_invalid");
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_cookie_is_good_for_reading_alone_and_rescues_no_wrong_token() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start(&world).await;
    let cookie = logged_in(&service, &service.token()).await;
    let ticket = answer(service.post("/api/v1/tickets", "").header(COOKIE, &cookie)).await;
    assert_eq!(ticket.code(), "token_missing");
    let wrong = answer(service.get(CHATS).header(COOKIE, &cookie).bearer_auth("wrong")).await;
    assert_eq!(wrong.code(), "token_invalid");
    for site in ["cross-site", "same-site", "none"] {
        let foreign = service.get(CHATS).header(COOKIE, &cookie).header("Sec-Fetch-Site", site);
        assert_eq!(answer(foreign).await.code(), "foreign_page", "{site}");
    }
    let own = service.get(CHATS).header(COOKIE, &cookie).header("Sec-Fetch-Site", "same-origin");
    assert_eq!(answer(own).await.status, 200);
    assert_eq!(ask(&service, CHATS, &cookie[..cookie.len() - 1]).await.code(), "token_missing");
    service.stop().await;
}

#[test(flavor = "multi_thread")]
async fn a_cookie_orders_an_export_for_buzons_own_page_alone_and_the_file_is_a_download() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start(&world).await;
    for instance in ["7", "8"] {
        service.deliver(&format!("/webhook/{instance}"), received("A", json!({}))).await.accepted();
    }
    let known = exporting(&world, &["7"]).await;
    let own = logged_in(&service, known.text()).await;
    let without = logged_in(&service, token(&world, &["7"]).await.text()).await;
    let order = |cookie: &str, headers: &[(&str, &str)]| {
        let request = service.post(EXPORTS, r#"{"list":"messages","format":"ndjson"}"#).header(COOKIE, cookie);
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
    };
    let (same, json) = (("Sec-Fetch-Site", "same-origin"), ("Content-Type", "application/json"));
    for headers in [
        [("Sec-Fetch-Site", "cross-site"), json],
        [("Sec-Fetch-Site", "same-site"), json],
        [("Origin", "https://evil.example.com"), json],
        [("Accept", "*/*"), json],
        [same, ("Content-Type", "text/plain")],
        [same, ("Accept", "*/*")],
    ] {
        assert_eq!(answer(order(&own, &headers)).await.code(), "foreign_page", "{headers:?}");
    }
    assert_eq!(answer(order(&own, &[same, json]).bearer_auth("wrong")).await.code(), "token_invalid");
    assert_eq!(answer(order(&without, &[same, json])).await.code(), "export_not_allowed");
    assert_eq!(ask(&service, EXPORTS, &without).await.code(), "export_not_allowed");
    assert_eq!(ask(&service, SESSION, &without).await.body["can_export"], false);
    assert_eq!(ask(&service, SESSION, &own).await.body["can_export"], true);
    assert_eq!(ask(&service, EXPORTS, &own).await.body["data"], json!([]));

    let begun = answer(order(&own, &[same, json])).await;
    assert_eq!(begun.status, 201, "{begun:?}");
    let mut job = Value::Null;
    eventually("the export ends", async || {
        job = ask(&service, EXPORTS, &own).await.body["data"][0].clone();
        job["state"] != "running"
    })
    .await;
    let path = job["url"].as_str().expect("it is done");
    let file = service.get(path).header(COOKIE, &own).send().await.expect("the server answers");
    let header = |name: &str| file.headers()[name].to_str().expect("it is text").to_owned();
    assert_eq!(header("content-disposition"), "attachment; filename=\"messages.ndjson\"");
    assert_eq!(header("x-content-type-options"), "nosniff");
    let lines = file.text().await.expect("it is text");
    assert!(lines.lines().count() == 1 && lines.contains("\"instance_id\":\"7\""), "{lines}");
    let foreign = service.get(path).header(COOKIE, &own).header("Sec-Fetch-Site", "cross-site");
    assert_eq!(answer(foreign).await.code(), "foreign_page");
    // An older browser says the origin alone.
    let older = order(&own, &[("Origin", &origin(&service)), json]);
    assert_eq!(answer(older).await.status, 201);
    service.stop().await;
}

#[test(flavor = "multi_thread")]
async fn a_login_needs_a_page_of_buzon_json_and_the_right_token() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start(&world).await;
    let right = json!({ "token": service.token() });
    let plain = service.post(SESSION, right.to_string());
    let refused = async |request: RequestBuilder| answer(request).await.code().to_owned();
    assert_eq!(refused(plain.header("Content-Type", "application/json")).await, "foreign_page");
    let foreign = service.post(SESSION, right.to_string()).header(ORIGIN, "https://evil.example.com");
    assert_eq!(refused(foreign.header("Content-Type", "application/json")).await, "foreign_page");
    let form = service.post(SESSION, right.to_string()).header(ORIGIN, origin(&service));
    assert_eq!(refused(form.header("Content-Type", "text/plain")).await, "login_unreadable");
    for (body, code) in [
        (json!({}), "login_unreadable"),
        (json!([1]), "login_unreadable"),
        (json!({ "token": "x", "code": "y" }), "login_unreadable"),
        (json!({ "token": "x".repeat(5_000) }), "login_unreadable"),
        (json!({ "token": "wrong" }), "token_invalid"),
        (json!({ "code": "owner.1.2.3" }), "login_code_invalid"),
    ] {
        assert_eq!(refused(login(&service, &body)).await, code, "{body}");
    }
    assert_eq!(world.value("SELECT count(*) FROM sessions").await, "0");
    service.stop().await;
}

/// Somebody who guesses is counted, although a browser is on this machine.
#[test(flavor = "multi_thread")]
async fn wrong_logins_are_slowed_down() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start(&world).await;
    let mut codes = Vec::new();
    for _ in 0..100 {
        codes.push(answer(login(&service, &json!({ "token": "wrong" }))).await.code().to_owned());
    }
    assert!(codes.contains(&"too_many_refused".to_owned()), "{codes:?}");
    assert_eq!(answer(login(&service, &json!({ "token": service.token() }))).await.status, 201);
    service.stop().await;
}

#[test(flavor = "multi_thread")]
async fn the_link_of_the_command_logs_one_browser_in_and_the_session_is_listed_and_can_be_ended() {
    on_both(async |world| {
        let service = Service::start(&world).await;
        let known = token(&world, &["7"]).await;
        let data_dir = world.data_dir();
        let data_dir = data_dir.to_str().expect("it is text");
        let settings = [("BUZON_DATABASE_URL", world.url.as_str()), ("BUZON_DATA_DIR", data_dir)];
        let run = async |arguments: &[&str]| {
            let output = run(world.folder.path(), arguments, &settings).await;
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).expect("it is text")
        };
        let link = run(&["login", "--token", &known.id.to_string()]).await;
        let (_, code) = link.trim().split_once("/#login=").expect("the code is in the fragment");
        let begun = answer(login(&service, &json!({ "code": code }))).await;
        assert_eq!((begun.status.as_u16(), &begun.body["instances"]), (201, &json!(["7"])), "{begun:?}");
        let cookie = cookie(&begun).0;
        assert_eq!(answer(login(&service, &json!({ "code": code }))).await.code(), "login_code_invalid");
        let owners = run(&["login", "--no-qr"]).await;
        let (_, code) = owners.trim().split_once("/#login=").expect("the code is in the fragment");
        assert_eq!(answer(login(&service, &json!({ "code": code }))).await.body["is_owner"], true);

        let listed = run(&["session", "list"]).await;
        assert!(listed.contains("of the test") && listed.contains("owner"), "{listed}");
        let id = world.value("SELECT min(id) FROM sessions").await;
        assert!(run(&["session", "end", &id]).await.contains("has ended"));
        assert_eq!(ask(&service, CHATS, &cookie).await.code(), "session_invalid");
        assert!(run(&["session", "end", "--all"]).await.contains("has ended"));
        assert_eq!(run(&["session", "list"]).await.trim().lines().count(), 1);
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_session_has_eight_streams_and_they_end_with_it() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start(&world).await;
    let cookie = logged_in(&service, &service.token()).await;
    let stream =
        async || service.get("/api/v1/stream").header(COOKIE, &cookie).send().await.expect("the server answers");
    let mut streams = Vec::new();
    for _ in 0..8 {
        streams.push(stream().await);
    }
    assert!(streams.iter().all(|stream| stream.status() == 200));
    assert_eq!(stream().await.status(), 503);
    let id = world.value("SELECT id FROM sessions").await.parse().expect("it is a number");
    let store = crate::support::database::tokens::open_beside_server(&world).await;
    assert!(store.end_session(SessionId(id), SystemClock.now()).await.expect("the store answers"));
    store.close().await;
    for mut stream in streams {
        while stream.chunk().await.expect("it ends in order").is_some() {}
    }
    service.stop().await;
}

/// Whoever finds a copy of the database finds no session in it, not even as bytes of a page that is not used any more.
#[test(flavor = "multi_thread")]
async fn a_backup_has_no_sessions() {
    on_both(async |world| {
        let service = Service::start(&world).await;
        logged_in(&service, &service.token()).await;
        assert_eq!(world.value("SELECT count(*) FROM sessions").await, "1");
        let device = "the browser of somebody";
        world.execute(&format!("UPDATE sessions SET device = '{device}'")).await;
        let to = world.folder.path().join("copies");
        let data_dir = world.data_dir();
        let settings =
            [("BUZON_DATABASE_URL", world.url.as_str()), ("BUZON_DATA_DIR", data_dir.to_str().expect("it is text"))];
        let path = std::env::var("PATH").expect("there is one");
        let settings = [&settings[..], &[("PATH", path.as_str())]].concat();
        let output = run(world.folder.path(), &["backup", to.to_str().expect("it is text")], &settings).await;
        assert!(output.status.success(), "{output:?}");
        let holds = |path: &std::path::Path| {
            let bytes = std::fs::read(path).expect("it can be read");
            bytes.windows(device.len()).any(|part| part == device.as_bytes())
        };
        let mut folders = vec![to];
        let mut files = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("it can be read") {
                let path = entry.expect("it can be read").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files += 1;
                    assert!(!holds(&path), "{}", path.display());
                }
            }
        }
        assert!(files > 1);
        assert_eq!(world.value("SELECT count(*) FROM sessions").await, "1");
        let twin = World::empty(world.backend).await;
        let of_twin = twin.data_dir();
        let settings = settings.iter().map(|(name, value)| match *name {
            "BUZON_DATABASE_URL" => (*name, twin.url.as_str()),
            "BUZON_DATA_DIR" => (*name, of_twin.to_str().expect("it is text")),
            _ => (*name, *value),
        });
        let settings: Vec<_> = settings.collect();
        let copies = world.folder.path().join("copies");
        let output = run(twin.folder.path(), &["restore", copies.to_str().expect("it is text")], &settings).await;
        assert!(output.status.success(), "{output:?}");
        assert_eq!(twin.value("SELECT count(*) FROM sessions").await, "0");
        service.stop().await;
    })
    .await;
}
