//! The lists of the read API, used as a dashboard uses them.

use buzon::domain::time::timestamp::Timestamp;
use buzon::http::stream::streams::StreamPace;
use serde_json::{Value, json};

use crate::support::clients::raw_http;
use crate::support::database::world::{Backend, World, on_both, record};
use crate::support::events::{SECRET, ack, event, reaction, received, sent};
use crate::support::program::service::{Answer, Service, answer};

async fn get(service: &Service, path: &str) -> Answer {
    answer(service.get(path).bearer_auth(service.token())).await
}

/// Returns the ids of a page.
fn ids(answer: &Answer, name: &str) -> Vec<String> {
    assert_eq!(answer.status.as_u16(), 200, "{answer:?}");
    let rows = answer.body["data"].as_array().expect("a list has data");
    rows.iter().map(|row| row[name].as_str().expect("the value is text").to_owned()).collect()
}

/// Starts a service with a conversation of three messages, another chat that waits, and a group.
async fn conversation(service: &Service) {
    for body in [
        received("A", json!({"body": "¿Tienen menú?", "timestamp": 1_724_716_800})),
        sent("B", json!({"timestamp": 1_724_716_890, "quoted_message_id": "A", "media_url": "/menu.jpg"})),
        received("C", json!({"timestamp": 1_724_716_950, "type": "location", "latitude": 4.7, "longitude": -74.1})),
        received(
            "D",
            json!({"chat_id": "573004445566@c.us", "from": "573004445566@c.us", "sender_name": "José Peña",
            "timestamp": 1_724_716_700}),
        ),
        received(
            "E",
            json!({"chat_id": "120363@g.us", "from": "120363@g.us", "group_sender": "573004445566@c.us",
            "is_group": 1, "timestamp": 1_724_717_000}),
        ),
        sent("F", json!({"timestamp": 1_724_716_960})),
        ack("B", "read"),
        reaction("B", "573001112233@c.us", json!("👍"), json!(1_724_717_000)),
    ] {
        let answer = service.deliver("/webhook/123", body).await;
        assert!(!answer.accepted());
    }
}

#[test]
async fn a_message_has_the_fields_of_the_provider_and_those_of_buzon() {
    on_both(async |world| {
        let service = Service::start_with(
            &world,
            &[("BUZON_WEBHOOK_SECRET", crate::support::events::SECRET), ("BUZON_MEDIA_DOWNLOADS", "0")],
        )
        .await;
        conversation(&service).await;
        let one = get(&service, "/api/v1/messages/123/B").await;
        let message = one.body.clone();
        let expected = json!({
            "instance_id": "123", "id": "B", "chat_id": "573001112233@c.us", "from": "573009998877@c.us",
            "to": "573001112233@c.us", "author": "573009998877@c.us", "contact": "573001112233", "from_me": true,
            "sender_name": null, "body": "¡Hola!", "type": "text", "timestamp": 1_724_716_890,
            "sent_at": "2024-08-27T00:01:30Z", "occurred_at": "2024-08-27T00:01:30Z", "kind": "person",
            "is_group": false,
            "quoted_message_id": "A", "reaction": null, "location": null, "vcard": null, "status": "sent",
            "ack": "read", "group_sender": null,
        });
        for (name, value) in expected.as_object().expect("the value is an object") {
            assert_eq!(message[name], *value, "{name}");
        }
        assert_eq!(message["media"]["state"], "pending");
        assert_eq!(message["media"]["url"], Value::Null);
        assert_eq!(message["reactions"][0]["reaction"], "👍");
        assert_eq!(message["reactions"][0]["reacted_at"], "2024-08-27T00:03:20Z");
        assert_eq!(message["acks"][0]["ack"], "read");
        assert_eq!(message["quoted_message"]["body"], "¿Tienen menú?");
        let listed = get(&service, "/api/v1/messages?contact=%2B57%20300%20111%202233").await;
        assert_eq!(ids(&listed, "id"), ["F", "C", "B", "A"]);
        assert_eq!(listed.body["data"][1]["location"], json!({"latitude": 4.7, "longitude": -74.1}));
        let group = get(&service, "/api/v1/messages/123/E").await.body;
        assert_eq!((&group["author"], &group["contact"]), (&json!("573004445566@c.us"), &Value::Null));
        service.stop().await;
    })
    .await;
}

#[test]
async fn each_parameter_narrows_the_list() {
    on_both(async |world| {
        let service = Service::start(&world).await;
        conversation(&service).await;
        for (query, expected) in [
            ("", &["E", "F", "C", "B", "A", "D"][..]),
            ("order=asc", &["D", "A", "B", "C", "F", "E"]),
            ("instance_id=123&limit=2", &["E", "F"]),
            ("instance_id=124", &[]),
            ("chat_id=573004445566%40c.us", &["D"]),
            ("chat_id=573004445566:7@s.whatsapp.net", &["D"]),
            ("contact=573004445566", &["D"]),
            ("from=573009998877%40c.us", &["F", "B"]),
            ("from=573009998877:1@c.us&to=573001112233:2%40s.whatsapp.net", &["F", "B"]),
            ("to=573001112233%40c.us", &["F", "B"]),
            ("author=573004445566%40c.us", &["E", "D"]),
            ("author=573009998877%40c.us&has_media=true", &["B"]),
            ("from_me=true", &["F", "B"]),
            ("from_me=0&is_group=0", &["C", "A", "D"]),
            ("type=location", &["C"]),
            ("ack=read", &["B"]),
            ("ack=pending&from_me=1", &["F"]),
            ("status=received&is_group=true", &["E"]),
            ("kind=group", &["E"]),
            ("kind=group,person&is_group=false&from_me=true", &["F", "B"]),
            ("kind=group&is_group=false", &[]),
            ("kind=channel,status", &[]),
            ("kind=person&q=hola", &["F", "C", "B", "D"]),
            ("kind=group&chat_id=573004445566%40c.us", &[]),
            ("has_media=true", &["B"]),
            ("quoted_message_id=A", &["B"]),
            ("since=1724716890&until=1724716960", &["C", "B"]),
            ("since=2024-08-27T00:01:30Z&until=2024-08-26T19:02:40-05:00", &["C", "B"]),
            ("since=2024-08-26T19:01:30+-05:00", &[]),
            ("time=received&order=asc", &["A", "B", "C", "D", "E", "F"]),
            ("chat_id=&type=", &["E", "F", "C", "B", "A", "D"]),
            ("since=-62135596800&until=99999999999999999", &["E", "F", "C", "B", "A", "D"]),
            ("chat_id=a%00b", &[]),
        ] {
            let answer = get(&service, &format!("/api/v1/messages?{query}")).await;
            if query.contains("+-") {
                assert_eq!(answer.code(), "invalid_parameter");
            } else {
                assert_eq!(ids(&answer, "id"), expected, "{query}");
            }
        }
        service.stop().await;
    })
    .await;
}

/// Bogotá is five hours behind UTC. Santiago has no midnight on that day: its clocks go from 23:59:59 to 01:00.
#[test]
async fn a_date_is_the_moment_at_which_it_begins_in_the_time_zone() {
    for (zone, date, next, begins) in [
        ("America/Bogota", "2024-08-27", "2024-08-28", "2024-08-27T05:00:00Z"),
        ("America/Santiago", "2024-09-08", "2024-09-09", "2024-09-08T04:00:00Z"),
        ("UTC", "2024-08-27", "2024-08-28", "2024-08-27T00:00:00Z"),
    ] {
        let world = World::new(Backend::Sqlite).await;
        let store = world.open().await;
        let begins = Timestamp::from_rfc3339(begins).expect("the value is a time");
        for (id, millis) in [("before", -1_000), ("first", 0)] {
            let at = Timestamp::from_millis(begins.millis() + millis);
            let fields = json!({"timestamp": at.seconds(), "media_url": format!("/{id}.jpg"), "ack": "read"});
            record(&store, &[event("7", received(id, fields), at)]).await;
            let from = reaction(id, "57300", json!("👍"), json!(at.seconds()));
            record(&store, &[event("7", from, at)]).await;
        }
        let settings = [("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_TIME_ZONE", zone)];
        let service = Service::start_paced(&world, store, &settings, StreamPace::default());
        for (list, id) in [
            ("messages?", "id"),
            ("messages?time=received&", "id"),
            ("chats/7/573001112233@c.us/messages?", "id"),
            ("acks?", "message_id"),
            ("reactions?", "message_id"),
            ("media?", "message_id"),
        ] {
            let asked = async |range: &str| ids(&get(&service, &format!("/api/v1/{list}{range}")).await, id);
            assert_eq!(asked(&format!("since={date}")).await, ["first"], "{zone} {list}");
            assert_eq!(asked(&format!("until={date}")).await, ["before"], "{zone} {list}");
            assert_eq!(asked(&format!("since={date}&until={next}")).await, ["first"], "{zone} {list}");
        }
        let events = get(&service, &format!("/api/v1/events?since={date}")).await;
        assert_eq!(events.body["data"].as_array().expect("the value is a list").len(), 2, "{zone}");
        let chats = get(&service, &format!("/api/v1/chats?until={date}")).await;
        assert_eq!(chats.body["data"], json!([]), "its latest message is of that day");
        service.stop().await;
    }
}

#[test]
async fn an_invalid_parameter_is_refused_by_name() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start(&world).await;
    for (path, code, named) in [
        ("messages?limit=0", "invalid_parameter", "limit"),
        ("messages?limit=201", "invalid_parameter", "limit"),
        ("messages?limit=ten", "invalid_parameter", "limit"),
        ("messages?limit=1&limit=2", "invalid_parameter", "limit"),
        ("messages?order=up", "invalid_parameter", "order"),
        ("messages?time=now", "invalid_parameter", "time"),
        ("messages?since=yesterday", "invalid_parameter", "since"),
        ("messages?since=2024-02-30", "invalid_parameter", "since: expected seconds"),
        ("acks?until=2024-8-27", "invalid_parameter", "a date such as 2024-08-27"),
        ("media?since=2024-08-27&until=2024-08-27", "invalid_parameter", "since: it must be before until"),
        ("events?since=1724716801&until=1724716800", "invalid_parameter", "since: it must be before until"),
        ("messages?until=1e3", "invalid_parameter", "until"),
        ("messages?limit=", "invalid_parameter", "limit"),
        ("messages?from_me=maybe", "invalid_parameter", "from_me"),
        ("messages?contact=Juan", "invalid_parameter", "contact"),
        ("messages?cursor=abc", "invalid_parameter", "cursor"),
        ("messages?chatid=1", "unknown_parameter", "chatid"),
        ("messages?Limit=1", "unknown_parameter", "Limit"),
        ("messages/123/A?x=1", "unknown_parameter", "x"),
        ("chats?state=stored", "unknown_parameter", "state"),
        ("media?state=lost", "invalid_parameter", "state"),
        ("media?min_size=-1", "invalid_parameter", "min_size"),
    ] {
        let refused = get(&service, &format!("/api/v1/{path}")).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (400, code), "{path}");
        assert!(refused.body["detail"].as_str().expect("the value is text").contains(named), "{refused:?}");
    }
    let foreign = get(&service, "/api/v1/messages?order=asc").await;
    assert_eq!(foreign.body, json!({"data": [], "next_cursor": null, "prev_cursor": null}));
    service.stop().await;
}

#[test]
async fn cursors_lead_forth_and_back_and_belong_to_their_list() {
    on_both(async |world| {
        let service = Service::start(&world).await;
        conversation(&service).await;
        let first = get(&service, "/api/v1/messages?limit=2").await;
        assert_eq!(
            (ids(&first, "id"), &first.body["prev_cursor"]),
            (vec!["E".to_owned(), "F".to_owned()], &Value::Null)
        );
        let next = first.body["next_cursor"].as_str().expect("there is more");
        let second = get(&service, &format!("/api/v1/messages?limit=2&cursor={next}")).await;
        assert_eq!(ids(&second, "id"), ["C", "B"]);
        let previous = second.body["prev_cursor"].as_str().expect("there is a page before");
        let back = get(&service, &format!("/api/v1/messages?limit=2&cursor={previous}")).await;
        assert_eq!(ids(&back, "id"), ["E", "F"]);
        for list in ["chats", "acks", "reactions", "media", "messages?time=received"] {
            let sign = if list.contains('?') { '&' } else { '?' };
            let refused = get(&service, &format!("/api/v1/{list}{sign}cursor={next}")).await;
            assert_eq!(refused.code(), "invalid_parameter", "{list}");
        }
        service.stop().await;
    })
    .await;
}

#[test]
async fn chats_show_who_waits_and_are_found_by_name_and_number() {
    on_both(async |world| {
        let service = Service::start(&world).await;
        conversation(&service).await;
        let chats = get(&service, "/api/v1/chats").await;
        assert_eq!(ids(&chats, "chat_id"), ["120363@g.us", "573001112233@c.us", "573004445566@c.us"]);
        let answered = &chats.body["data"][1];
        assert_eq!(answered["last_message"]["id"], "F");
        assert_eq!(answered["unanswered_since"], Value::Null);
        assert_eq!((&answered["name"], &answered["message_count"]), (&json!("Juan Pérez"), &json!(4)));
        for (query, expected) in [
            ("unanswered=true", &["573004445566@c.us"][..]),
            ("is_group=true", &["120363@g.us"]),
            ("kind=person", &["573001112233@c.us", "573004445566@c.us"]),
            ("kind=status,channel", &[]),
            ("kind=group,channel&contact=573004445566", &[]),
            ("kind=group,person&contact=573004445566", &["573004445566@c.us"]),
            ("q=pena", &["573004445566@c.us"]),
            ("q=PEÑA", &["573004445566@c.us"]),
            ("q=11122", &["573001112233@c.us"]),
            ("q=%25", &[]),
            ("contact=%28300%29", &[]),
            ("contact=573004445566&unanswered=1", &["573004445566@c.us"]),
            ("limit=1&order=asc", &["573004445566@c.us"]),
        ] {
            assert_eq!(ids(&get(&service, &format!("/api/v1/chats?{query}")).await, "chat_id"), expected, "{query}");
        }
        let one = get(&service, "/api/v1/chats/123/573004445566%40c.us").await;
        assert_eq!(one.body["unanswered_since"], "2024-08-26T23:58:20Z");
        let same = get(&service, "/api/v1/chats/123/573004445566:2@s.whatsapp.net").await;
        assert_eq!(same.body["chat_id"], "573004445566@c.us");
        let messages = get(&service, "/api/v1/chats/123/573001112233@c.us/messages?limit=3").await;
        assert_eq!(ids(&messages, "id"), ["F", "C", "B"]);
        assert_eq!(get(&service, "/api/v1/chats/124/573001112233@c.us").await.code(), "not_found");
        let none = get(&service, "/api/v1/chats/124/573001112233@c.us/messages").await;
        assert_eq!(ids(&none, "id"), Vec::<String>::new());
        service.stop().await;
    })
    .await;
}

/// The stories of all contacts are not Bruno, and a channel is nobody who waits.
#[test]
async fn stories_broadcasts_and_channels_are_told_apart_from_people() {
    on_both(async |world| {
        let service = Service::start(&world).await;
        let chats = [
            ("status@broadcast", "status", "Ana"),
            ("status@broadcast", "status", "Bruno"),
            ("120363168033477807@newsletter", "channel", "Canal Noticias"),
            ("1724716800@broadcast", "broadcast", "Bruno"),
            ("anything", "other", "Bruno"),
            ("123456789012345@lid", "person", "Bruno Díaz"),
            ("120363@g.us", "group", "Bruno"),
        ];
        for (n, (chat, _, name)) in chats.iter().enumerate() {
            let fields = json!({"chat_id": chat, "from": chat, "sender_name": name, "timestamp": 1_724_716_800 + n});
            assert!(!service.deliver("/webhook/123", received(&format!("M{n}"), fields)).await.accepted());
        }
        for (path, expected) in [
            ("chats", &["120363@g.us", "123456789012345@lid"][..]),
            ("chats?is_group=false", &["123456789012345@lid"]),
            ("chats?q=bruno", &["123456789012345@lid"]),
            ("chats?q=bruno&kind=person,group,status,broadcast,channel,other", &["123456789012345@lid"]),
            ("chats?kind=status", &["status@broadcast"]),
            ("chats?kind=channel,status", &["120363168033477807@newsletter", "status@broadcast"]),
            ("chats?kind=broadcast,other", &["anything", "1724716800@broadcast"]),
            ("chats?unanswered=true", &["123456789012345@lid"]),
            ("chats?unanswered=true&kind=other,channel", &["anything"]),
            ("messages?kind=status", &["status@broadcast", "status@broadcast"]),
            ("messages?limit=3", &["120363@g.us", "123456789012345@lid", "anything"]),
        ] {
            let answer = get(&service, &format!("/api/v1/{path}")).await;
            assert_eq!(ids(&answer, "chat_id"), expected, "{path}");
            for row in answer.body["data"].as_array().expect("there are rows") {
                let kind = chats.iter().find(|(chat, ..)| row["chat_id"] == *chat).map(|(_, kind, _)| *kind);
                assert_eq!(row["kind"].as_str(), kind, "{path}");
            }
        }
        let first = get(&service, "/api/v1/chats?limit=1").await;
        let next = first.body["next_cursor"].as_str().expect("there is more");
        let same = get(&service, &format!("/api/v1/chats?limit=1&kind=group,person&cursor={next}")).await;
        assert_eq!(ids(&same, "chat_id"), ["123456789012345@lid"]);
        for refused in [format!("kind=person&cursor={next}"), "kind=people".to_owned(), "kind=".to_owned()] {
            assert_eq!(
                get(&service, &format!("/api/v1/chats?{refused}")).await.code(),
                "invalid_parameter",
                "{refused}"
            );
        }
        let counted = async |kind: &str| {
            let path = format!("/api/v1/stats/messages?since=2024-08-27&until=2024-08-28{kind}");
            get(&service, &path).await.body["data"][0]["incoming"].clone()
        };
        assert_eq!(counted("").await, 2);
        assert_eq!(counted("&kind=status").await, 2);
        assert_eq!(counted("&kind=person,group,status,broadcast,channel,other").await, 7);
        assert_eq!(world.value("SELECT messages FROM v_daily").await, "2");
        let views = "SELECT v_chats.kind, v_chats.contact_name, v_chats.is_group, v_messages.kind FROM v_chats \
                     INNER JOIN v_messages ON v_messages.id = v_chats.last_message_id ORDER BY v_chats.last_message_at";
        let expected = [
            "status|NULL|0",
            "channel|NULL|0",
            "broadcast|NULL|0",
            "other|NULL|0",
            "person|Bruno Díaz|0",
            "group|NULL|1",
        ];
        let of_messages = expected.map(|row| format!("{row}|{}", row.split('|').next().expect("there is a kind")));
        assert_eq!(world.rows(views).await, of_messages);
        service.stop().await;
    })
    .await;
}

#[test]
async fn acks_reactions_and_files_can_be_filtered() {
    on_both(async |world| {
        let settings = [("BUZON_WEBHOOK_SECRET", crate::support::events::SECRET), ("BUZON_MEDIA_DOWNLOADS", "0")];
        let service = Service::start_with(&world, &settings).await;
        conversation(&service).await;
        for (path, name, expected) in [
            ("acks?ack=read", "message_id", &["B"][..]),
            ("acks?ack=read&instance_id=124", "message_id", &[]),
            ("acks?message_id=B&since=2000-01-01T00:00:00Z", "ack", &["read"]),
            ("reactions", "reaction", &["👍"]),
            ("reactions?message_id=A", "reaction", &[]),
            ("reactions?from_number=573001112233@c.us&until=1724717001", "message_id", &["B"]),
            ("reactions?from_number=573001112233:3@s.whatsapp.net", "message_id", &["B"]),
            ("media", "message_id", &["B"]),
            ("media?state=pending&message_id=B", "state", &["pending"]),
            ("media?state=stored", "state", &[]),
            ("media?contact=573001112233", "message_id", &["B"]),
            ("media?contact=573004445566", "message_id", &[]),
            ("media?chat_id=573001112233@c.us&state=pending", "message_id", &["B"]),
            ("media?chat_id=573001112233@c.us&message_id=B&type=image", "message_id", &[]),
            ("media?chat_id=120363@g.us", "message_id", &[]),
            ("media?type=image", "state", &[]),
            ("media?kind=person,channel", "message_id", &["B"]),
            ("media?kind=group", "message_id", &[]),
            ("media?min_size=1&max_size=2", "state", &[]),
        ] {
            assert_eq!(ids(&get(&service, &format!("/api/v1/{path}")).await, name), expected, "{path}");
        }
        service.stop().await;
    })
    .await;
}

#[test]
async fn a_client_that_has_the_message_already_is_answered_304() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start(&world).await;
    conversation(&service).await;
    let one = get(&service, "/api/v1/messages/123/A").await;
    let etag = one.header("etag").to_owned();
    let again = async |etag: &str| {
        let request = service.get("/api/v1/messages/123/A").bearer_auth(service.token());
        request.header("If-None-Match", etag).send().await.expect("the server answers").status().as_u16()
    };
    assert_eq!(again(&etag).await, 304);
    assert_eq!(again("W/\"other\"").await, 200);
    assert!(!service.deliver("/webhook/123", ack("A", "played")).await.accepted());
    let hearted = reaction("A", "573001112233@c.us", json!("❤️"), json!(1_724_717_100));
    assert!(!service.deliver("/webhook/123", hearted).await.accepted());
    assert_eq!(again(&etag).await, 200);
    service.stop().await;
}

#[test]
async fn a_search_of_any_size_is_answered_or_refused_clearly() {
    on_both(async |world| {
        let service = Service::start(&world).await;
        conversation(&service).await;
        let words = |count| format!("/api/v1/messages?q={}", "menu+".repeat(count));
        assert_eq!(ids(&get(&service, &words(16)).await, "id"), ["B", "A"]);
        let many = get(&service, &words(10_000)).await;
        assert_eq!((many.status.as_u16(), many.code()), (400, "invalid_parameter"));
        for (query, detail) in [
            ("me*", "q: a * needs at least 3 letters or digits before it, or a syllable of Hangul"),
            ("menu*+hoy*", "q: only one word of a search can end in *"),
        ] {
            let refused = get(&service, &format!("/api/v1/messages?q={query}")).await;
            assert_eq!((refused.code(), refused.body["detail"].as_str()), ("invalid_parameter", Some(detail)));
        }
        assert_eq!(ids(&get(&service, "/api/v1/messages?q=men*").await, "id"), ["B", "A"]);
        // A URL of this length does not reach the service. The HTTP library answers it with a status and nothing more.
        let request = format!("GET {} HTTP/1.1\r\nhost: x\r\n\r\n", words(13_200));
        let refusal = String::from_utf8(raw_http::exchange(service.address, request).await).expect("the value is text");
        assert!(["HTTP/1.1 400 ", "HTTP/1.1 431 "].iter().any(|status| refusal.starts_with(status)), "{refusal}");
        assert_eq!(ids(&get(&service, &words(1)).await, "id"), ["B", "A"]);
        service.stop().await;
    })
    .await;
}
