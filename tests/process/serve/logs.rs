//! The lines that are logged, and the secrets and texts that never are.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::database::world::{Backend, World, on_both_empty};
use crate::support::events::{SECRET, received, sign};
use crate::support::eventually;
use crate::support::gateway::file_server::{FileServer, Reply};
use crate::support::program::process::Buzon;
use crate::support::program::service::answer;
use crate::support::s3::{S3Server, SECRET_ACCESS_KEY};

const CANARY_TEXT: &str = "canary-text-of-a-message";
const CANARY_PERSON: &str = "573001234567";

#[test]
async fn no_secret_no_text_and_no_number_is_logged_at_any_level() {
    on_both_empty(async |world| {
        let token = "0123456789abcdef-canary-token-89abcdef";
        let (gateway, s3) = (FileServer::start().await, S3Server::start().await);
        let name = format!("Content-Disposition: attachment; filename=\"{CANARY_TEXT}.jpg\"\r\n");
        gateway.reply(&format!("/{CANARY_TEXT}"), Reply::redirect(&format!("/{CANARY_PERSON}?token={CANARY_TEXT}")));
        gateway.reply(&format!("/{CANARY_PERSON}?token={CANARY_TEXT}"), Reply::with_headers(&name, b"\x00a file"));
        let mut settings = s3.settings();
        settings.extend([
            ("BUZON_WEBHOOK_SECRET", SECRET.to_owned()),
            ("BUZON_API_TOKEN", token.to_owned()),
            ("BUZON_LOG", "trace".to_owned()),
            ("BUZON_GATEWAY_URL", gateway.url("")),
        ]);
        let settings = crate::support::borrowed(&settings);
        let buzon = Buzon::serve(&world, &settings).await;
        let client = crate::support::client();
        let url = |path: &str| format!("http://{}{path}", buzon.address);
        let fields = json!({
            "body": CANARY_TEXT, "sender_name": CANARY_TEXT, "chat_id": format!("{CANARY_PERSON}@c.us"),
            "from": format!("{CANARY_PERSON}@c.us"), "media_url": format!("/{CANARY_TEXT}"),
        });
        // The events are applied, repeated, quarantined, and refused.
        let good = received("A", fields.clone());
        let bad = format!("{CANARY_TEXT} {CANARY_PERSON}").into_bytes();
        let deliveries =
            [(&good, SECRET, 200), (&good, SECRET, 200), (&bad, SECRET, 200), (&good, "another secret, not ours", 401)];
        for (body, secret, status) in deliveries {
            let signature = sign(secret, body);
            let request = client.post(url("/webhook/7")).header("X-Whapi-Signature", signature).body(body.clone());
            assert_eq!(request.send().await.expect("it answers").status(), status);
        }
        // One file is refused by the guard, and the other does not exist.
        for (id, file) in [("B", format!("http://10.0.0.1/{CANARY_TEXT}")), ("C", format!("/{CANARY_TEXT}-gone"))] {
            let body = received(id, json!({"media_url": file}));
            let post = client.post(url("/webhook/7")).header("X-Whapi-Signature", sign(SECRET, &body));
            assert_eq!(post.body(body).send().await.expect("it answers").status(), 200);
        }
        let pending = "SELECT count(*) FROM media WHERE state = 'pending'";
        eventually("every job ends", async || world.value(pending).await == "0").await;
        let file = client.get(url("/api/v1/messages/7/A/media")).bearer_auth(token).send().await.expect("it answers");
        assert_eq!(file.bytes().await.expect("it is whole").as_ref(), b"\x00a file");
        for (path, status) in [
            (format!("messages/7/{CANARY_TEXT}"), 404),
            (format!("messages?q={CANARY_TEXT}&contact={CANARY_PERSON}"), 200),
            (format!("messages?since={CANARY_TEXT}&{CANARY_PERSON}=1"), 400),
            (format!("chats/7/{CANARY_PERSON}?q={CANARY_TEXT}"), 400),
        ] {
            let read = client.get(url(&format!("/api/v1/{path}"))).bearer_auth(token).send().await;
            assert_eq!(read.expect("it answers").status(), status, "{path}");
        }
        eventually("the log is written", async || Buzon::log(&world).await.contains("signature_mismatch")).await;
        buzon.kill().await;
        let log = Buzon::log(&world).await;
        for canary in [CANARY_TEXT, CANARY_PERSON, SECRET, token, SECRET_ACCESS_KEY] {
            let line = log.lines().find(|line| line.contains(canary));
            assert_eq!(line, None, "{canary}");
        }
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn no_token_and_no_ticket_is_logged_at_any_level() {
    on_both_empty(async |world| {
        let owners = "0123456789abcdef-canary-token-89abcdef";
        let settings = [("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_API_TOKEN", owners), ("BUZON_LOG", "trace")];
        let cors = ("BUZON_CORS_ORIGINS", "https://panel.example.com");
        let buzon = Buzon::serve(&world, &[&settings[..], &[cors]].concat()).await;
        let known = crate::support::database::tokens::token(&world, &["7"]).await;
        let client = crate::support::client();
        let url = |path: &str| format!("http://{}{path}", buzon.address);
        let mut canaries = vec![owners.to_owned(), known.text().to_owned()];
        canaries.extend(["a-canary-for-a-ticket".to_owned(), hex::encode(known.token.digest().as_bytes())]);
        for token in [owners, known.text()] {
            let made = answer(client.post(url("/api/v1/tickets")).bearer_auth(token)).await;
            let ticket = made.body["ticket"].as_str().expect("it is text").to_owned();
            canaries.push(ticket.rsplit_once('.').expect("it has parts").1.to_owned());
            canaries.push(ticket);
        }
        let hash = "0".repeat(64);
        for secret in canaries.clone() {
            for path in [&format!("/api/v1/media/{hash}"), "/api/v1/messages/7/A/media", "/api/v1/stream", "/api/v1/x"]
            {
                for name in ["ticket", "token", "bearer"] {
                    let get = client.get(url(&format!("{path}?{name}={secret}"))).header("Accept-Encoding", "gzip");
                    get.header("Origin", cors.1).send().await.expect("it answers");
                }
                client.get(url(path)).bearer_auth(&secret).send().await.expect("it answers");
                let asked = client.request(reqwest::Method::OPTIONS, url(&format!("{path}?ticket={secret}")));
                let asked = asked.header("Origin", cors.1).header("Access-Control-Request-Method", "GET");
                asked.send().await.expect("it answers");
            }
        }
        let used = async || world.value("SELECT last_used_at FROM api_tokens").await != "NULL";
        eventually("the use is noted", used).await;
        buzon.kill().await;
        let log = Buzon::log(&world).await;
        assert!(log.contains("TRACE") && log.contains("/api/v1/media/{sha256}"), "it tells everything else");
        for canary in canaries {
            assert_eq!(log.lines().find(|line| line.contains(&canary)), None, "{canary}");
        }
    })
    .await;
}

#[test]
async fn an_event_that_is_too_large_is_warned_of_once_with_what_is_known_of_it() {
    on_both_empty(async |world| {
        let settings = [("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_MAX_BODY", "1MiB")];
        let mut buzon = Buzon::serve(&world, &settings).await;
        let client = crate::support::client();
        let send = async |length: usize| {
            let body = received("A", json!({"body": "x".repeat(length)}));
            let request = client.post(format!("http://{}/webhook/77", buzon.address));
            let request = request.header("X-Whapi-Signature", sign(SECRET, &body)).body(body);
            request.send().await.map(|answer| answer.status().as_u16())
        };
        assert_eq!(send(1 << 19).await.expect("it answers"), 200);
        for _ in 0..3 {
            // The connection may break off while the rest of the body is still on its way.
            assert!(send(1 << 20).await.map_or(true, |status| status == 413));
        }
        buzon.signal(Signal::TERM);
        assert!(buzon.wait().await.success());
        let log = Buzon::log(&world).await;
        let warnings: Vec<Value> = log
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .filter(|line: &Value| line["level"] == "WARN")
            .collect();
        assert_eq!(warnings.len(), 1, "{log}");
        let fields = &warnings[0]["fields"];
        assert_eq!((&fields["instance.claimed"], &fields["body.signed"]), (&json!("77"), &json!(true)));
        assert_eq!(fields["body.limit"], json!(1 << 20));
        assert!(fields["body.size"].as_u64().is_some_and(|size| size > 1 << 20), "{log}");
        assert!(fields["message"].as_str().is_some_and(|message| message.contains("BUZON_MAX_BODY")), "{log}");
        assert_eq!(world.value("SELECT count(*) FROM events").await, "1");
    })
    .await;
}

#[test]
async fn a_refused_signature_is_warned_of_once_with_the_claimed_instance_and_the_remedy() {
    on_both_empty(async |world| {
        let mut buzon = Buzon::serve(&world, &[("BUZON_WEBHOOK_SECRET", SECRET)]).await;
        let client = crate::support::client();
        for n in 0..5 {
            let body = received(&n.to_string(), json!({"instance_id": "77"}));
            let request = client.post(format!("http://{}/webhook", buzon.address)).body(body);
            request.header("X-Whapi-Signature", "a".repeat(64)).send().await.expect("it answers");
        }
        buzon.signal(Signal::TERM);
        assert!(buzon.wait().await.success());
        let log = Buzon::log(&world).await;
        let warnings: Vec<Value> = log
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .filter(|line: &Value| line["level"] == "WARN")
            .collect();
        assert_eq!(warnings.len(), 1, "{log}");
        let fields = &warnings[0]["fields"];
        assert_eq!((&fields["refused.count"], &fields["instance.claimed"]), (&json!(1), &json!("77")));
        assert!(
            fields["message"].as_str().is_some_and(|message| message.contains("set the same secret on both sides"))
        );
    })
    .await;
}

#[test]
async fn a_test_webhook_is_reported_with_what_its_signature_was() {
    on_both_empty(async |world| {
        for (settings, said) in [(&[("BUZON_WEBHOOK_SECRET", SECRET)][..], "signature valid"), (&[], "unsigned")] {
            let buzon = Buzon::serve(&world, settings).await;
            let body = br#"{"event_type":"test_webhook","instance_id":"123","message":"This is a test"}"#;
            let request = crate::support::client().post(format!("http://{}/webhook", buzon.address)).body(&body[..]);
            let request = request.header("X-Whapi-Signature", sign(SECRET, body));
            assert_eq!(request.send().await.expect("it answers").status(), 200);
            let reported = async || {
                let log = Buzon::log(&world).await;
                let line = log.lines().find(|line| line.contains(&format!("stored ({said})")));
                line.is_some_and(|line| line.contains(r#""client.address":"127.0.0.1""#))
            };
            eventually("the test is reported with who has sent it", reported).await;
            buzon.kill().await;
        }
        assert_eq!(world.value("SELECT count(*) FROM messages").await, "0");
    })
    .await;
}

#[test]
async fn a_contradiction_is_warned_of_with_both_ids() {
    on_both_empty(async |world| {
        let buzon = Buzon::serve(&world, &[("BUZON_WEBHOOK_SECRET", SECRET)]).await;
        let body = received("A", json!({"instance_id": "other\ninstance"}));
        let request = crate::support::client().post(format!("http://{}/webhook/seven", buzon.address));
        let request = request.header("X-Whapi-Signature", sign(SECRET, &body)).body(body);
        assert_eq!(request.send().await.expect("it answers").status(), 200);
        eventually("it is warned of", async || {
            let log = Buzon::log(&world).await;
            log.lines().any(|line| line.contains("seven") && line.contains("other\\\\ninstance"))
        })
        .await;
        buzon.kill().await;
    })
    .await;
}

/// Returns the lines that contain this text.
fn lines<'l>(log: &'l str, said: &str) -> Vec<&'l str> {
    log.lines().filter(|line| line.contains(said)).collect()
}

#[test]
async fn behind_a_trusted_proxy_a_test_webhook_is_reported_with_the_address_of_who_has_sent_it() {
    let world = World::empty(Backend::Sqlite).await;
    let settings = [("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_TRUSTED_PROXIES", "127.0.0.1")];
    let buzon = Buzon::serve(&world, &settings).await;
    let body = br#"{"event_type":"test_webhook"}"#;
    let post = crate::support::client().post(format!("http://{}/webhook/7", buzon.address)).body(&body[..]);
    let post = post.header("X-Whapi-Signature", sign(SECRET, body)).header("X-Forwarded-For", "6.6.6.6, 203.0.113.9");
    assert_eq!(post.send().await.expect("it answers").status(), 200);
    let named = async || Buzon::log(&world).await.contains(r#""client.address":"203.0.113.9""#);
    eventually("it is named", named).await;
    buzon.kill().await;
}

#[test]
async fn a_warning_that_repeats_is_written_once_and_its_repetitions_are_counted() {
    let world = World::empty(Backend::Sqlite).await;
    let mut buzon = Buzon::serve(&world, &[("BUZON_WEBHOOK_SECRET", SECRET)]).await;
    for n in 0..20 {
        buzon.deliver(format!("no event {n}").into_bytes()).await.accepted();
    }
    buzon.signal(Signal::TERM);
    assert!(buzon.wait().await.success());
    let log = Buzon::log(&world).await;
    let warnings = lines(&log, "an event cannot be used");
    assert_eq!(warnings.len(), 2, "{log}");
    assert!(warnings[1].starts_with(r#"{"repeated":19,"#), "{}", warnings[1]);
}

#[test]
async fn a_process_with_few_files_says_so_once_and_not_at_each_try() {
    let world = World::empty(Backend::Sqlite).await;
    let settings = [("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_LOG", "info,actix_server=debug")];
    // Each of actix's workers has some files of its own.
    let few = 48 + 8 * std::thread::available_parallelism().map_or(1, usize::from);
    let limit = format!("ulimit -n {few}; exec \"$@\"");
    let buzon = Buzon::serve_under("sh", &["-c", limit.as_str(), "sh"], &world, &settings).await;
    let mut clients = Vec::new();
    eventually("it has tried a few times", async || {
        if clients.len() < few {
            clients.extend(std::net::TcpStream::connect(buzon.address));
        }
        lines(&Buzon::log(&world).await, "resume accepting connections").len() > 3
    })
    .await;
    let log = Buzon::log(&world).await;
    assert_eq!(lines(&log, "Too many open files").len(), 1, "{log}");
    assert_eq!(lines(&log, "this process may open few files").len(), 1, "{log}");
    drop(clients);
    eventually("it goes on", async || buzon.deliver(received("A", json!({}))).await.status == 200).await;
    buzon.kill().await;
}

#[test]
async fn a_clock_that_makes_most_times_unusable_is_warned_of_with_the_remedy() {
    let world = World::empty(Backend::Sqlite).await;
    let buzon = Buzon::serve(&world, &[("BUZON_WEBHOOK_SECRET", SECRET)]).await;
    let in_2100 = 4_102_444_800_u64;
    let deliver = async |id: &str, timestamp: u64| {
        buzon.deliver(received(id, json!({"timestamp": timestamp}))).await.accepted();
    };
    tokio::join!(deliver("A", in_2100), deliver("B", in_2100), deliver("C", in_2100), deliver("D", 1_724_716_800));
    let warned = async || {
        let log = Buzon::log(&world).await;
        let line = log.lines().find(|line| line.contains("timedatectl"));
        line.is_some_and(|line| line.contains("\"WARN\"") && line.contains("\"clock\":\"20"))
    };
    eventually("it is warned of", warned).await;
    let log = Buzon::log(&world).await;
    let [stored] = lines(&log, "events were stored")[..] else { panic!("{log}") };
    let stored: Value = serde_json::from_str(stored).expect("it is JSON");
    assert_eq!((&stored["level"], &stored["fields"]["messages"]), (&json!("INFO"), &json!(4)));
    buzon.kill().await;
}
