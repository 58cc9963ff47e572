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

/// Returns the places of the events of an answer in the ledger, of which the first is 1.
async fn places(world: &World, answer: &Answer) -> Vec<usize> {
    let ids = world.event_ids().await;
    let data = answer.body["data"].as_array().unwrap_or_else(|| panic!("{answer:?}"));
    let place = |event: &Value| ids.iter().position(|id| event["id"] == **id).expect("the event has an id") + 1;
    data.iter().map(place).collect()
}

#[test]
async fn the_ledger_is_a_list_that_includes_events_that_are_not_applied() {
    on_both(async |world| {
        let (service, seven) = start(&world, &[("BUZON_WEBHOOK_SECRET", SECRET)]).await;
        let owner = service.token();
        let all = get(&service, &owner, "/api/v1/events").await;
        assert_eq!((places(&world, &all).await, &all.body["next_cursor"]), (vec![5, 4, 3, 2, 1], &Value::Null));
        let expected = json!({
            "id": world.event_ids().await[0], "instance_id": "7", "event_type": "message_sent", "message_id": "A",
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
        assert_eq!((places(&world, &first).await, &first.body["next_cursor"]), (vec![4], &Value::Null));
        let page = get(&service, &owner, "/api/v1/events?limit=2&order=asc&event_type=").await;
        let cursor = page.body["next_cursor"].as_str().expect("there are more");
        let page = get(&service, &owner, &format!("/api/v1/events?limit=2&order=asc&cursor={cursor}")).await;
        assert_eq!(places(&world, &page).await, [3, 4]);
        for (path, known) in [
            ("/api/v1/events?state=lost", "state: expected applied, ignored, quarantined, erased or expired"),
            ("/api/v1/events?cursor=x", "cursor: expected a cursor"),
            ("/api/v1/events?after=1", "after: expected a position that the feed or the stream gave"),
            ("/api/v1/events?after=beginning&order=asc", "order: it does not go with after"),
            ("/api/v1/events?after=beginning&state=ignored", "state: it does not go with after"),
            ("/api/v1/events?after=beginning&cursor=x", "cursor: it does not go with after"),
            ("/api/v1/events?after=beginning&until=5", "until: it does not go with after"),
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
        let ids = world.event_ids().await;
        let path = |number: usize| format!("/api/v1/events/{}", ids[number - 1]);
        let text = get(&service, &seven, &path(1)).await;
        assert_eq!(
            text.body["body"].as_str(),
            Some(std::str::from_utf8(&sent("A", json!({}))).expect("the value is text"))
        );
        assert_eq!(text.body["body_base64"], Value::Null);
        let long = get(&service, &seven, &path(4)).await;
        assert!(long.body["body"].as_str().is_some_and(|body| body.ends_with("xñ\u{0}")));
        let bytes = get(&service, &owner, &path(5)).await;
        assert_eq!((&bytes.body["body"], &bytes.body["body_base64"]), (&Value::Null, &json!("//4=")));
        let of_another = path(1).replace("/7/", "/8/");
        let (nowhere, capitals) =
            (path(1).replace("/7/", "/nowhere/"), path(1).to_uppercase().replace("/API/V1/EVENTS", "/api/v1/events"));
        for (token, path) in [
            (&seven, &path(2)),
            (&seven, &path(3)),
            (&seven, &path(5)),
            (&owner, &of_another),
            (&owner, &nowhere),
            (&owner, &capitals),
            (&owner, &"/api/v1/events/7/1".to_owned()),
        ] {
            let unknown = get(&service, token, path).await;
            assert_eq!((unknown.status.as_u16(), unknown.code()), (404, "not_found"), "{path}");
            assert_eq!(unknown.body["detail"], "there is no event with this id");
        }
        let etag = text.header("etag");
        let again = service.get(&path(1)).bearer_auth(&seven).header("If-None-Match", etag).send().await;
        assert_eq!(again.expect("the server answers").status().as_u16(), 304);
        service.stop().await;
    })
    .await;
}

#[test]
async fn the_feed_continues_after_a_position() {
    on_both(async |world| {
        let (service, seven) = start(&world, &[("BUZON_WEBHOOK_SECRET", SECRET)]).await;
        let first = get(&service, &seven, "/api/v1/events?after=beginning&limit=1").await;
        let (position, ids) = (world.position(1).await, world.event_ids().await);
        assert_eq!(
            (places(&world, &first).await, &first.body["next_after"], &first.body["more"]),
            (vec![1], &json!(position), &json!(true))
        );
        let rest = get(&service, &seven, &format!("/api/v1/events?after={position}")).await;
        assert_eq!(
            rest.body,
            json!({
                "data": [
                    {
                        "kind": "event", "id": ids[2], "instance_id": "-", "event_type": "ack_update", "chat_id": null, "state": "applied",
                        "timestamp": 1724717200, "received_at": "2024-08-27T00:06:40.006Z",
                        "changes": [{"instance_id": "7", "message_id": "A"}],
                    },
                    {
                        "kind": "event", "id": ids[3], "instance_id": "7", "event_type": null, "chat_id": null, "state": "quarantined",
                        "timestamp": 1724717200, "received_at": "2024-08-27T00:06:40.007Z", "changes": [],
                    },
                ],
                "next_after": world.position(5).await, "more": false,
            })
        );
        let owner = service.token();
        let acks = get(&service, &owner, "/api/v1/events?after=beginning&event_type=ack_update&instance_id=7").await;
        assert_eq!(places(&world, &acks).await, [3]);
        service.stop().await;
    })
    .await;
}

/// Another database, a restored one, and one that lost numbers have other histories.
#[test]
async fn a_position_of_another_history_is_refused_by_the_feed_and_the_stream() {
    on_both(async |world| {
        let (service, seven) = start(&world, &[("BUZON_WEBHOOK_SECRET", SECRET)]).await;
        let (before, ahead) = (world.position(2).await, world.position(6).await);
        assert_eq!(get(&service, &seven, &format!("/api/v1/events?after={before}")).await.status.as_u16(), 200);
        let other = World::new(world.backend).await.position(2).await;
        world.execute("UPDATE installation SET epoch = 'another'").await;
        for position in [&before, &ahead, &other] {
            for path in [format!("/api/v1/events?after={position}"), format!("/api/v1/stream?after={position}")] {
                let refused = get(&service, &seven, &path).await;
                assert_eq!((refused.status.as_u16(), refused.code()), (400, "position_of_another_history"), "{path}");
            }
            let reconnecting = service.get("/api/v1/stream").bearer_auth(&seven).header("Last-Event-ID", position);
            assert_eq!(answer(reconnecting).await.code(), "position_of_another_history");
        }
        let begun = get(&service, &seven, "/api/v1/events?after=beginning").await;
        assert_eq!(begun.body["next_after"], world.position(5).await);
        let ahead = get(&service, &seven, &format!("/api/v1/events?after={}", world.position(6).await)).await;
        assert_eq!(ahead.code(), "position_of_another_history", "the number was not assigned yet");
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
        let ids = world.event_ids().await;
        let place = |number: usize, millis| json!({"id": ids[number - 1], "timestamp": 1724717200, "received_at": later(millis).to_rfc3339()});
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
