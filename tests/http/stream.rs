//! The stream, with a client that reads every line of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use buzon::domain::page::position::Position;
use buzon::http::stream::streams::StreamPace;
use buzon::store::Store;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::timeout;

use crate::media::JPEG;
use crate::support::clients::sse::Stream;
use crate::support::clock::ARRIVAL;
use crate::support::database::tokens::{revoke, token};
use crate::support::database::world::{Backend, World, on_both, record};
use crate::support::events::{SECRET, ack, event, received, sent};
use crate::support::gateway::file_server::{FileServer, Reply};
use crate::support::program::service::{Service, answer};
use crate::support::{PATIENCE, eventually};

const SIGNED: &[(&str, &str)] = &[("BUZON_WEBHOOK_SECRET", SECRET)];

async fn open(service: &Service, query: &str) -> Stream {
    Stream::open(service.get(&format!("/api/v1/stream{query}")).bearer_auth(service.token())).await
}

async fn start(world: &World, pace: StreamPace) -> (Service, Arc<dyn Store>) {
    let store = world.open().await;
    (Service::start_paced(world, store.clone(), SIGNED, pace), store)
}

async fn deliver(service: &Service, id: &str) {
    service.deliver("/webhook/7", sent(id, json!({}))).await.accepted();
}

#[test]
async fn a_committed_event_is_streamed_at_once_with_its_position() {
    on_both(async |world| {
        // The ledger is not polled by the clock.
        let pace = StreamPace { poll: Duration::from_secs(3_600), ..StreamPace::default() };
        let (service, _) = start(&world, pace).await;
        deliver(&service, "before").await;
        let mut stream = open(&service, "").await;
        let headers = ["content-type", "cache-control", "x-accel-buffering", "content-encoding"];
        let headers = headers.map(|name| stream.header(name).to_owned());
        assert_eq!(headers, ["text/event-stream", "no-store", "no", "identity"]);
        let first = stream.frame().await.expect("the stream begins");
        assert_eq!((first.retry.as_deref(), first.id, first.data), (Some("2000"), Some(1), None));
        deliver(&service, "A").await;
        let event = stream.event().await;
        assert_eq!((event.id, event.event.as_deref()), (Some(2), Some("event")));
        let data = event.data.expect("the event has data");
        assert_eq!(data["changes"], json!([{"instance_id": "7", "message_id": "A"}]));
        let feed = answer(
            service.get(&format!("/api/v1/events?after={}", world.position(1).await)).bearer_auth(service.token()),
        )
        .await;
        assert_eq!(feed.body["data"], json!([data]));
        service.stop().await;
    })
    .await;
}

/// A browser has handlers of its own for some event names, and a line break would begin another field.
#[test]
async fn no_event_chooses_the_name_under_which_it_is_sent() {
    on_both(async |world| {
        let service = Service::start(&world).await;
        let mut stream = open(&service, "").await;
        for kind in ["error", "open", "message", "media", "a\nb\rdata: c"] {
            service.deliver("/webhook/7", json!({"event_type": kind}).to_string()).await.accepted();
            let event = stream.event().await;
            let data = event.data.expect("the event has data");
            assert_eq!((event.event.as_deref(), &data["kind"]), (Some("event"), &json!("event")));
            assert_eq!(data["event_type"], kind);
        }
        service.deliver("/webhook/7", b"not json").await.accepted();
        let event = stream.event().await;
        let data = event.data.expect("the event has data");
        assert_eq!((event.event.as_deref(), &data["event_type"]), (Some("event"), &json!(null)));
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn the_stream_has_the_states_of_files_and_repeats_them_to_clients_that_reconnect() {
    on_both(async |world| {
        let gateway = FileServer::start().await;
        gateway.reply("/menu.jpg", Reply::file(JPEG));
        let origin = gateway.url("");
        let settings = [("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_GATEWAY_URL", origin.as_str())];
        let service = Service::start_with(&world, &settings).await;
        let eight = token(&world, &["8"]).await;
        let mut stream = open(&service, "?event=media").await;
        let mut theirs = Stream::open(service.get("/api/v1/stream").bearer_auth(eight.text())).await;
        let picture = |id: &str, url: &str| received(id, json!({"type": "image", "media_url": url}));
        service.deliver("/webhook/7", picture("A", "/menu.jpg")).await.accepted();
        let first = stream.event().await;
        assert_eq!(first.event.as_deref(), Some("media"));
        let expected = json!({
            "kind": "media", "instance_id": "7", "message_id": "A", "state": "stored",
            "reason": null, "changes": [{"instance_id": "7", "message_id": "A"}],
        });
        assert_eq!(first.data, Some(expected));
        drop(stream);
        service.deliver("/webhook/7", picture("B", "https://elsewhere.example.com/x.jpg")).await.accepted();
        let request = service.get("/api/v1/stream?event=media").bearer_auth(service.token());
        let mut stream = Stream::open(
            request.header("Last-Event-ID", world.position(first.id.expect("the event has a position")).await),
        )
        .await;
        let second = stream.event().await.data.expect("the event has data");
        assert_eq!((&second["message_id"], &second["state"]), (&json!("B"), &json!("refused")));
        assert!(second["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{second}");
        service.deliver("/webhook/8", sent("C", json!({}))).await.accepted();
        let seen = theirs.event().await.data.expect("the event has data");
        assert_eq!(
            seen["changes"],
            json!([{"instance_id": "8", "message_id": "C"}]),
            "a stream has no files of other instances"
        );
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_client_that_reconnects_again_and_again_misses_and_repeats_nothing() {
    on_both(async |world| {
        let service = Arc::new(Service::start(&world).await);
        let sent = Arc::new(AtomicUsize::new(0));
        let deliveries = tokio::spawn({
            let (service, sent) = (service.clone(), sent.clone());
            async move {
                for n in 0..120 {
                    deliver(&service, &format!("A{n}")).await;
                    sent.fetch_add(1, Ordering::Release);
                }
            }
        });
        let (mut seen, mut last) = (Vec::new(), 0);
        while seen.len() < 120 {
            // The position in the URL is older than the one in the header.
            let request = service.get("/api/v1/stream?after=beginning").bearer_auth(service.token());
            let mut stream = Stream::open(request.header("Last-Event-ID", world.position(last).await)).await;
            for _ in 0..7 {
                if seen.len() < 120 {
                    last = stream.event().await.id.expect("the event has a number");
                    seen.push(last);
                }
            }
        }
        deliveries.await.expect("the task does not panic");
        let numbers = world.rows("SELECT seq FROM events ORDER BY seq").await;
        assert_eq!(seen.iter().map(i64::to_string).collect::<Vec<_>>(), numbers);
        Arc::into_inner(service).expect("nobody else uses the service").stop().await;
    })
    .await;
}

#[test]
async fn a_stream_shows_only_what_its_token_and_its_filter_allow() {
    on_both(async |world| {
        let (service, store) = start(&world, StreamPace::default()).await;
        let seven = token(&world, &["7"]).await;
        let theirs = |query: &str| service.get(&format!("/api/v1/stream{query}")).bearer_auth(seven.text());
        for (instance, body) in [
            ("7", sent("A", json!({}))),
            ("8", sent("B", json!({}))),
            ("-", ack("A", "read")),
            ("-", ack("B", "read")),
            ("7", received("C", json!({}))),
            ("8", received("D", json!({}))),
        ] {
            record(&store, &[event(instance, body, ARRIVAL)]).await;
        }
        assert_eq!(Stream::open(theirs("?after=beginning")).await.numbers_to(5).await, [1, 3, 5]);
        let ticketed = theirs("?after=beginning&event=message_received,%20ack_update&ticket=");
        assert_eq!(Stream::open(ticketed).await.numbers_to(5).await, [3, 5]);
        assert_eq!(open(&service, "?after=beginning&instance_id=8,nowhere").await.numbers_to(6).await, [2, 4, 6]);
        let mut silent = Stream::open(theirs("?after=beginning&instance_id=8")).await;
        assert_eq!(silent.frame().await.expect("the stream begins").id, Some(0));
        service.stop().await;
        silent.end().await;
    })
    .await;
}

/// A client with a narrow filter must not begin from the start of the ledger again.
#[test]
async fn a_stream_without_matching_events_reports_its_progress() {
    on_both(async |world| {
        let (service, store) = start(&world, StreamPace::default()).await;
        let seven = token(&world, &["7"]).await;
        for batch in 0..10 {
            let acks: Vec<_> = (0..250).map(|n| event("-", ack(&format!("B{batch}-{n}"), "read"), ARRIVAL)).collect();
            record(&store, &acks).await;
        }
        let mut stream = Stream::open(service.get("/api/v1/stream?after=beginning").bearer_auth(seven.text())).await;
        let mut ids = Vec::new();
        while ids.last() != Some(&Some(2_000)) {
            let frame = stream.frame().await.expect("the stream does not end");
            assert_eq!(frame.data, None);
            ids.push(frame.id);
        }
        assert_eq!(ids, [Some(0), Some(1_000), Some(2_000)]);
        service.stop().await;
    })
    .await;
}

#[test]
async fn a_stream_without_events_sends_heartbeats_with_its_position() {
    on_both(async |world| {
        let pace = StreamPace { heartbeat: Duration::from_millis(10), ..StreamPace::default() };
        let (service, _) = start(&world, pace).await;
        let mut stream = open(&service, "?event=nothing").await;
        assert_eq!(stream.frame().await.expect("the stream begins").comment, None);
        let beat = stream.frame().await.expect("the stream continues");
        assert_eq!((beat.comment.as_deref(), beat.id, beat.data), (Some("still here"), Some(0), None));
        deliver(&service, "A").await;
        let mut id = Some(0);
        while id == Some(0) {
            id = stream.frame().await.expect("the stream continues").id;
        }
        assert_eq!(id, Some(1), "an event that is not shown advances the position too");
        service.stop().await;
    })
    .await;
}

#[test]
async fn a_revoked_token_ends_its_streams_and_no_others() {
    on_both(async |world| {
        let pace = StreamPace { recheck: Duration::from_millis(10), ..StreamPace::default() };
        let (service, _) = start(&world, pace).await;
        let seven = token(&world, &["7"]).await;
        let eight = token(&world, &["8"]).await;
        let request = |token: &str| service.get("/api/v1/stream").bearer_auth(token);
        let mut ends = Stream::open(request(seven.text())).await;
        let mut goes_on = Stream::open(request(eight.text())).await;
        deliver(&service, "A").await;
        assert_eq!(ends.event().await.id, Some(1));
        revoke(&world, &seven).await;
        ends.end().await;
        service.deliver("/webhook/8", sent("B", json!({}))).await.accepted();
        assert_eq!(goes_on.event().await.id, Some(2));
        assert_eq!(answer(request(seven.text())).await.code(), "token_invalid");
        service.stop().await;
    })
    .await;
}

/// Tokens are checked again every four seconds, so that a revoked one ends its stream within five.
#[test]
fn the_default_pace_keeps_the_documented_times() {
    let pace = StreamPace::default();
    assert!(pace.recheck <= Duration::from_secs(4));
    assert_eq!((pace.heartbeat, pace.patience, pace.streams), (Duration::from_secs(15), Duration::from_secs(30), 256));
}

#[test]
async fn a_client_that_does_not_read_is_disconnected_and_frees_its_stream() {
    on_both(async |world| {
        let pace = StreamPace { patience: Duration::from_millis(50), streams: 1, ..StreamPace::default() };
        let (service, store) = start(&world, pace).await;
        let socket = TcpSocket::new_v4().expect("a socket can be opened");
        socket.set_recv_buffer_size(1_024).expect("the socket accepts the option");
        let mut slow = socket.connect(service.api_address).await.expect("the server listens");
        let token = service.token();
        let head = format!("GET /api/v1/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
        slow.write_all(head.as_bytes()).await.expect("the server reads");
        slow.readable().await.expect("the server answers");
        let another = || service.get("/api/v1/stream").bearer_auth(&token);
        let refused = answer(another()).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (503, "too_many_streams"));
        assert!(!refused.header("retry-after").is_empty());
        // This is more than all buffers on the way can hold.
        let long = |n: usize| format!("{n:0>500}");
        let sender = tokio::spawn({
            let store = store.clone();
            async move {
                for batch in 0.. {
                    let ids = (0..200).map(|n| long(batch * 200 + n));
                    let events = ids.map(|id| event("7", sent(&id, json!({"chat_id": long(0)})), ARRIVAL));
                    record(&store, &events.collect::<Vec<_>>()).await;
                }
            }
        });
        eventually("there is room for another", async || {
            another().send().await.expect("the server answers").status() == 200
        })
        .await;
        sender.abort();
        let mut rest = Vec::new();
        let read =
            timeout(PATIENCE, slow.read_to_end(&mut rest)).await.expect("the stream of the slow client has ended");
        read.expect("the writer ends without an error");
        assert!(rest.ends_with(b"\r\n0\r\n\r\n"), "sent data arrives, and then the end");
        service.stop().await;
    })
    .await;
}

#[test]
async fn a_token_has_a_quarter_of_the_streams_and_a_quarter_is_reserved_for_the_owner() {
    on_both(async |world| {
        // Nothing is sent, so that a failed write cannot reveal that a client has gone.
        let silent = Duration::from_secs(3_600);
        let pace = StreamPace { streams: 8, heartbeat: silent, poll: silent, ..StreamPace::default() };
        let (service, _) = start(&world, pace).await;
        let mut tokens = Vec::new();
        for _ in 0..4 {
            tokens.push(token(&world, &["7"]).await);
        }
        let request = |token: &str| service.get("/api/v1/stream").bearer_auth(token);
        let mut streams = Vec::new();
        for token in &tokens[..3] {
            for _ in 0..2 {
                streams.push(Stream::open(request(token.text())).await);
            }
            assert_eq!(
                answer(request(token.text())).await.code(),
                "too_many_streams",
                "the token has used its quarter"
            );
        }
        let refused = answer(request(tokens[3].text())).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (503, "too_many_streams"));
        assert!(!refused.header("retry-after").is_empty());
        // A ticket counts as its token.
        let ticket = answer(service.post("/api/v1/tickets", "").bearer_auth(tokens[0].text())).await;
        let ticket = ticket.body["ticket"].as_str().expect("the value is text").to_owned();
        let ticketed = service.get(&format!("/api/v1/stream?ticket={ticket}"));
        assert_eq!(answer(ticketed).await.code(), "too_many_streams");
        let owners = [open(&service, "").await, open(&service, "").await];
        assert_eq!(answer(request(&service.token())).await.code(), "too_many_streams");
        drop(streams.swap_remove(0));
        eventually("a stream that has ended frees its place", async || {
            request(tokens[3].text()).send().await.expect("the server answers").status() == 200
        })
        .await;
        drop((streams, owners));
        service.stop().await;
    })
    .await;
}

#[test]
async fn a_chunk_has_at_most_32_kib_and_the_next_one_continues_after_it() {
    on_both(async |world| {
        let (service, store) = start(&world, StreamPace::default()).await;
        let long = |n: usize| format!("{n:0>500}");
        let events: Vec<_> =
            (0..200).map(|n| event("7", sent(&long(n), json!({"chat_id": long(0)})), ARRIVAL)).collect();
        record(&store, &events).await;
        let response = service.get("/api/v1/stream?after=beginning").bearer_auth(service.token()).send().await;
        let mut response = response.expect("the server answers");
        let (mut text, mut events) = (String::new(), 0);
        while events < 200 {
            let chunk = timeout(PATIENCE, response.chunk())
                .await
                .expect("there is more")
                .expect("the stream does not break off");
            let chunk = chunk.expect("the stream does not end");
            assert!(chunk.len() <= 40 * 1024, "{}", chunk.len());
            text.push_str(std::str::from_utf8(&chunk).expect("the value is text"));
            events = text.matches("\ndata: ").count();
        }
        let numbers: Vec<i64> = text
            .lines()
            .filter_map(|line| Position::decode(line.strip_prefix("id: ")?).ok())
            .map(|it| it.seq)
            .collect();
        assert_eq!(numbers, Vec::from_iter(0..=200));
        service.stop().await;
    })
    .await;
}

#[test]
async fn the_service_ends_all_streams_when_it_stops() {
    on_both(async |world| {
        let service = Service::start(&world).await;
        let mut streams = Vec::new();
        for _ in 0..3 {
            streams.push(open(&service, "").await);
        }
        service.stop().await;
        for mut stream in streams {
            stream.end().await;
        }
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn events_that_one_service_commits_are_in_the_streams_of_another() {
    let world = World::new(Backend::Postgres).await;
    let services = [Service::start(&world).await, Service::start(&world).await];
    let mut streams = [open(&services[0], "").await, open(&services[1], "").await];
    let count = 40;
    for n in 0..count {
        deliver(&services[n % 2], &format!("A{n}")).await;
    }
    let numbers = world.rows("SELECT seq FROM events ORDER BY seq").await;
    let numbers: Vec<i64> = numbers.iter().map(|seq| seq.parse().expect("the value is a number")).collect();
    assert_eq!(numbers.len(), count);
    for stream in &mut streams {
        assert_eq!(stream.numbers_to(numbers[count - 1]).await, numbers);
    }
    for service in services {
        service.stop().await;
    }
}

#[test]
async fn an_invalid_parameter_of_a_stream_is_refused_by_name() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start(&world).await;
    let request = |query: &str| service.get(&format!("/api/v1/stream{query}")).bearer_auth(service.token());
    let bad_id = answer(request("").header("Last-Event-ID", "x")).await;
    assert_eq!((bad_id.code(), bad_id.status.as_u16()), ("invalid_parameter", 400));
    assert!(bad_id.body["detail"].as_str().is_some_and(|detail| detail.starts_with("Last-Event-ID: ")));
    assert_eq!(answer(request("?after=x")).await.code(), "invalid_parameter");
    assert_eq!(answer(request(&format!("?instance_id={}", "7".repeat(65)))).await.code(), "invalid_parameter");
    assert_eq!(answer(request("?limit=5")).await.code(), "unknown_parameter");
    assert_eq!(answer(service.get("/api/v1/stream")).await.code(), "token_missing");
    let head = crate::support::client().head(format!("http://{}/api/v1/stream", service.api_address));
    let head = head.bearer_auth(service.token()).send().await.expect("the server answers");
    assert_eq!((head.status().as_u16(), head.text().await.expect("it ends")), (200, String::new()));
    service.stop().await;
}
