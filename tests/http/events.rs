//! The ledger, its feed and the instances over HTTP.

use serde_json::{Value, json};

use crate::support::clock::{ARRIVAL, later};
use crate::support::database::tokens::token;
use crate::support::database::world::{World, on_both, record};
use crate::support::events::{SECRET, ack, event, received, sent};
use crate::support::program::service::{Answer, Service, answer};

async fn get(service: &Service, token: &str, path: &str) -> Answer {
    answer(service.get(path).bearer_auth(token)).await
}

/// Starts a service with some events, and makes a token for instance 7.
async fn start(world: &World, settings: &[(&str, &str)]) -> (Service, String) {
    let store = world.open().await;
    let broken = [b"{\"a\": \"".to_vec(), vec![b'x'; 16 * 1024 - 8], "ñ\u{0}".as_bytes().to_vec()].concat();
    for (instance, body, millis) in [
        ("7", sent("A", json!({})), 0),
        ("8", received("B", json!({})), 1),
        ("-", ack("A", "read"), 2),
        ("7", broken, 3),
        ("8", b"\xff\xfe".to_vec(), 4),
    ] {
        record(&store, &[event(instance, body, later(millis))]).await;
    }
    let seven = token(world, &["7"]).await.text().to_owned();
    (Service::start_on(world, store.clone(), store, settings), seven)
}

fn seqs(answer: &Answer) -> Vec<i64> {
    let data = answer.body["data"].as_array().unwrap_or_else(|| panic!("{answer:?}"));
    data.iter().map(|event| event["seq"].as_i64().expect("the event has a number")).collect()
}

#[test]
async fn the_ledger_is_a_list_that_includes_events_that_are_not_applied() {
    on_both(async |world| {
        let (service, seven) = start(&world, &[("BUZON_WEBHOOK_SECRET", SECRET)]).await;
        let owner = service.token();
        let all = get(&service, &owner, "/api/v1/events").await;
        assert_eq!((seqs(&all), &all.body["next_cursor"]), (vec![5, 4, 3, 2, 1], &Value::Null));
        let expected = json!({
            "seq": 1, "instance_id": "7", "event_type": "message_sent", "message_id": "A",
            "chat_id": "573001112233@c.us", "timestamp": 1724717200, "received_at": "2024-08-27T00:06:40.004Z",
            "last_received_at": "2024-08-27T00:06:40.004Z", "deliveries": 1, "signed": true, "state": "applied",
            "reason": null, "size": sent("A", json!({})).len(), "body": null, "body_truncated": false,
        });
        assert_eq!(all.body["data"][4], expected);
        let cut = &all.body["data"][1];
        let body = cut["body"].as_str().expect("it is quarantined");
        assert_eq!((body.len(), body.ends_with('x'), &cut["body_truncated"]), (16 * 1024 - 1, true, &json!(true)));
        assert_eq!(all.body["data"][0]["body"], "\u{fffd}\u{fffd}");
        assert_eq!(all.body["data"][0]["body_truncated"], false);
        let first = get(&service, &seven, "/api/v1/events?limit=1&state=quarantined").await;
        assert_eq!((seqs(&first), &first.body["next_cursor"]), (vec![4], &Value::Null));
        let page = get(&service, &owner, "/api/v1/events?limit=2&order=asc&event_type=").await;
        let cursor = page.body["next_cursor"].as_str().expect("there are more");
        let page = get(&service, &owner, &format!("/api/v1/events?limit=2&order=asc&cursor={cursor}")).await;
        assert_eq!(seqs(&page), [3, 4]);
        for (path, known) in [
            ("/api/v1/events?state=erased", "state: expected applied, ignored or quarantined"),
            ("/api/v1/events?cursor=x", "cursor: expected a cursor"),
            ("/api/v1/events?since_seq=-1", "since_seq: expected a number of the feed"),
            ("/api/v1/events?since_seq=1&order=asc", "order: it does not go with since_seq"),
            ("/api/v1/events?since_seq=1&state=ignored", "state: it does not go with since_seq"),
            ("/api/v1/events?since_seq=1&cursor=x", "cursor: it does not go with since_seq"),
            ("/api/v1/events?since_seq=1&until=5", "until: it does not go with since_seq"),
        ] {
            let refused = get(&service, &owner, path).await;
            assert_eq!((refused.status.as_u16(), refused.code()), (400, "invalid_parameter"));
            let detail = refused.body["detail"].as_str().expect("it has a detail");
            assert!(detail.starts_with(known), "{detail}");
        }
        service.stop().await;
    })
    .await;
}

#[test]
async fn an_event_is_shown_with_its_whole_body_to_tokens_for_its_instance() {
    on_both(async |world| {
        let (service, seven) = start(&world, &[("BUZON_WEBHOOK_SECRET", SECRET)]).await;
        let owner = service.token();
        let text = get(&service, &seven, "/api/v1/events/1").await;
        assert_eq!(
            text.body["body"].as_str(),
            Some(std::str::from_utf8(&sent("A", json!({}))).expect("the value is text"))
        );
        assert_eq!(text.body["body_base64"], Value::Null);
        let long = get(&service, &seven, "/api/v1/events/4").await;
        assert!(long.body["body"].as_str().is_some_and(|body| body.ends_with("xñ\u{0}")));
        let bytes = get(&service, &owner, "/api/v1/events/5").await;
        assert_eq!((&bytes.body["body"], &bytes.body["body_base64"]), (&Value::Null, &json!("//4=")));
        for (token, seq) in [(&seven, "2"), (&seven, "3"), (&seven, "5"), (&owner, "6"), (&owner, "x")] {
            let unknown = get(&service, token, &format!("/api/v1/events/{seq}")).await;
            assert_eq!((unknown.status.as_u16(), unknown.code()), (404, "not_found"));
            assert_eq!(unknown.body["detail"], "there is no event with this number");
        }
        let etag = text.header("etag");
        let again = service.get("/api/v1/events/1").bearer_auth(&seven).header("If-None-Match", etag).send().await;
        assert_eq!(again.expect("the server answers").status().as_u16(), 304);
        service.stop().await;
    })
    .await;
}

#[test]
async fn the_feed_continues_after_a_number() {
    on_both(async |world| {
        let (service, seven) = start(&world, &[("BUZON_WEBHOOK_SECRET", SECRET)]).await;
        let first = get(&service, &seven, "/api/v1/events?since_seq=0&limit=1").await;
        assert_eq!(
            (seqs(&first), &first.body["next_since_seq"], &first.body["more"]),
            (vec![1], &json!(1), &json!(true))
        );
        let rest = get(&service, &seven, "/api/v1/events?since_seq=1").await;
        assert_eq!(
            rest.body,
            json!({
                "data": [
                    {
                        "kind": "event", "seq": 3, "instance_id": "-", "event_type": "ack_update", "chat_id": null, "state": "applied",
                        "timestamp": 1724717200, "received_at": "2024-08-27T00:06:40.006Z",
                        "changes": [{"instance_id": "7", "message_id": "A"}],
                    },
                    {
                        "kind": "event", "seq": 4, "instance_id": "7", "event_type": null, "chat_id": null, "state": "quarantined",
                        "timestamp": 1724717200, "received_at": "2024-08-27T00:06:40.007Z", "changes": [],
                    },
                ],
                "next_since_seq": 5, "more": false,
            })
        );
        let owner = service.token();
        let acks = get(&service, &owner, "/api/v1/events?since_seq=0&event_type=ack_update&instance_id=7").await;
        assert_eq!(seqs(&acks), [3]);
        service.stop().await;
    })
    .await;
}

#[test]
async fn the_instances_are_those_with_events_and_the_configured_ones() {
    on_both(async |world| {
        let file = world.folder.path().join("buzon.toml");
        let text = "[[instances]]\nid = \"7\"\nname = \"Ventas\"\n[[instances]]\nid = \"new\"\nname = \"Soporte\"\n";
        std::fs::write(&file, text).expect("the file can be written");
        let file = file.to_str().expect("the value is text");
        let (service, seven) = start(&world, &[("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_CONFIG", file)]).await;
        let all = get(&service, &service.token(), "/api/v1/instances").await;
        let names: Vec<_> = all.body["data"].as_array().expect("the value is a list").iter().collect();
        let names: Vec<_> = names.iter().map(|it| (it["instance_id"].as_str(), it["name"].as_str())).collect();
        let expected =
            [(Some("-"), None), (Some("7"), Some("Ventas")), (Some("8"), None), (Some("new"), Some("Soporte"))];
        assert_eq!(names, expected);
        let today = json!({"incoming": 0, "outgoing": 0});
        assert_eq!(
            all.body["data"][3],
            json!({
                "instance_id": "new", "name": "Soporte", "first_event": null, "last_event": null,
                "last_message_at": null, "today": today, "quarantined": 0,
            })
        );
        let theirs = get(&service, &seven, "/api/v1/instances").await;
        assert_eq!(theirs.body["time_zone"], "UTC");
        let place =
            |seq, millis| json!({"seq": seq, "timestamp": 1724717200, "received_at": later(millis).to_rfc3339()});
        assert_eq!(ARRIVAL.millis() / 1_000, 1724717200);
        assert_eq!(
            theirs.body["data"],
            json!([{
                "instance_id": "7", "name": "Ventas", "first_event": place(1, 0), "last_event": place(4, 3),
                "last_message_at": "2024-08-27T00:01:30Z", "today": today, "quarantined": 1,
            }])
        );
        service.stop().await;
    })
    .await;
}

/// Days are those of the zone, so a message of this moment is one of today.
#[test]
async fn messages_of_today_are_counted() {
    on_both(async |world| {
        let service = Service::start(&world).await;
        service.deliver("/webhook/7", received("A", json!({"timestamp": null}))).await.accepted();
        service.deliver("/webhook/7", sent("B", json!({"timestamp": null}))).await.accepted();
        let answer = get(&service, &service.token(), "/api/v1/instances").await;
        assert_eq!(answer.body["data"][0]["today"], json!({"incoming": 1, "outgoing": 1}));
        service.stop().await;
    })
    .await;
}
