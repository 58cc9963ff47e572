//! docs/sql.md is true: each of its queries gives the answer that it shows, on both databases.

use buzon::domain::event::Event;
use buzon::domain::time::timestamp::Timestamp;
use buzon::domain::time::zone::Zone;
use buzon::platform::clock::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::support::database::world::{Backend, World, on_both_empty, record};
use crate::support::events::{event, reaction, received, sent};
use crate::support::program::process::run;

const DOCUMENT: &str = include_str!("../../../docs/sql.md");
const GROUP: &str = "120363000000000000@g.us";
const ZONE: &str = "America/Bogota";

/// Returns the queries, each with the answer below it.
fn questions() -> Vec<(&'static str, &'static str)> {
    let (_, section) = DOCUMENT.split_once("\n## Two dozen questions\n").expect("there is a section");
    let (section, _) = section.split_once("\n## ").expect("another follows");
    let blocks: Vec<_> = section.split("```").skip(1).step_by(2).filter_map(|block| block.split_once('\n')).collect();
    let pairs = blocks.chunks(2).map(|pair| {
        assert_eq!((pair[0].0, pair[1].0), ("sql", "text"), "{pair:?}");
        (pair[0].1, pair[1].1)
    });
    pairs.collect()
}

/// Returns an event of instance 123 that arrives as soon as it was sent.
fn now_or_then(body: Vec<u8>, at: Timestamp) -> Event {
    event("123", body, at)
}

/// Parses a time in Bogotá.
fn local(text: &str) -> Timestamp {
    Timestamp::from_rfc3339(&format!("{text}-05:00")).expect("it is a time")
}

/// Returns a message from or to a person, with `fields` laid over it.
fn said(id: &str, (name, number): (&str, &str), at: Timestamp, body: &str, fields: Value) -> Event {
    let chat = format!("{number}@c.us");
    let outgoing = fields["out"] == true;
    let mut own = json!({"chat_id": chat, "body": body, "timestamp": at.millis() / 1_000});
    if !outgoing {
        own["from"] = json!(chat);
        own["sender_name"] = json!(name);
    }
    for (key, value) in fields.as_object().expect("they are fields").iter().filter(|(key, _)| *key != "out") {
        own[key] = value.clone();
    }
    now_or_then(if outgoing { sent(id, own) } else { received(id, own) }, at)
}

fn in_group(id: &str, (name, number): (&str, &str), at: Timestamp, body: &str) -> Event {
    let sender = format!("{number}@c.us");
    let hidden = format!("17{number}@lid");
    let fields =
        json!({"chat_id": GROUP, "from": GROUP, "group_sender": sender, "participant_lid": hidden, "is_group": 1});
    said(id, (name, number), at, body, fields)
}

fn ack(id: &str, word: &str, at: Timestamp) -> Event {
    let body = json!({"event_type": "ack_update", "instance_id": "123", "id": id, "ack": word});
    now_or_then(body.to_string().into_bytes(), at)
}

fn deletion(id: &str, at: Timestamp) -> Event {
    let body = json!({"event_type": "message_revoked", "id": id, "timestamp": at.seconds()});
    now_or_then(body.to_string().into_bytes(), at)
}

/// Returns the week of a small shop, with one person who wrote yesterday and one who is new.
fn events() -> Vec<Event> {
    let (ana, juan) = (("Ana", "573004445566"), ("Juan Pérez", "573001112233"));
    let (luisa, pedro, marta) = (("Luisa", "573007778899"), ("Pedro", "573002223344"), ("Marta", "573005556677"));
    let out = || json!({"out": true});
    let at = local;
    let now = SystemClock.now();
    let zone = Zone::parse(ZONE).expect("it is a zone");
    let today = jiff::Timestamp::from_millisecond(now.millis()).expect("it is a time").to_zoned(zone.as_jiff().clone());
    let noon = format!("{}T12:00:00", today.date().yesterday().expect("there is one"));
    let picture = |url: &str| json!({"type": "image", "media_url": url});
    let reacted = |id: &str, (_, number): (&str, &str), emoji: &str, at: Timestamp| {
        now_or_then(reaction(id, &format!("{number}@c.us"), json!(emoji), json!(at.millis() / 1_000)), at)
    };
    vec![
        said("A1", juan, at("2024-08-26T19:10:00"), "Hola, ¿abren mañana?", json!({})),
        said("A2", juan, at("2024-08-26T19:12:30"), "Sí, desde las 8", json!({"out": true, "quoted_message_id": "A1"})),
        ack("A2", "delivered", at("2024-08-26T19:12:32")),
        ack("A2", "read", at("2024-08-26T19:20:30")),
        reacted("A2", juan, "👍", at("2024-08-26T19:21:00")),
        said("B1", ana, at("2024-08-27T09:00:00"), "¿Qué precio tiene el menú?", json!({})),
        said("B2", ana, at("2024-08-27T09:30:00"), "18.000 pesos", out()),
        ack("B2", "delivered", at("2024-08-27T09:30:04")),
        ack("B2", "read", at("2024-08-27T09:45:00")),
        reacted("B2", ana, "❤️", at("2024-08-27T09:46:00")),
        said("B3", ana, at("2024-08-27T09:50:00"), "Llegamos a las 12", json!({})),
        said("B4", ana, at("2024-08-27T10:00:00"), "Los esperamos", out()),
        ack("B4", "delivered", at("2024-08-27T10:00:03")),
        ack("B4", "read", at("2024-08-27T13:00:00")),
        reacted("B4", ana, "👍", at("2024-08-27T13:01:00")),
        said("C1", luisa, at("2024-08-27T09:15:00"), "Buenas, ¿tienen domicilio?", json!({})),
        said(
            "C2",
            luisa,
            at("2024-08-27T09:16:00"),
            "",
            json!({"latitude": 4.711, "longitude": -74.0721, "type": "location"}),
        ),
        said("D1", juan, at("2024-08-28T14:00:00"), "Así quedó la mesa", picture("/uploads/mesa.jpg")),
        said("D2", juan, at("2024-08-28T14:01:00"), "Y el comprobante", picture("/uploads/pago.jpg")),
        deletion("D2", at("2024-08-28T14:03:00")),
        said("D3", juan, at("2024-08-28T14:05:00"), "¡Gracias!", out()),
        ack("D3", "failed", at("2024-08-28T14:05:09")),
        in_group("G1", ana, at("2024-08-29T20:00:00"), "¿Quién lleva el postre?"),
        in_group("G2", juan, at("2024-08-29T20:01:00"), "Yo"),
        in_group("G3", ana, at("2024-08-29T20:02:00"), "Perfecto"),
        said("E1", pedro, at("2024-08-30T11:00:00"), "¿Precio por mayor?", json!({})),
        said("E2", pedro, at("2024-08-30T11:00:45"), "Le escribo por correo", out()),
        event("123", b"{\"event_type\": \"message_received\"", at("2024-08-30T11:30:00")),
        event("123", json!({"event_type": "ack_update", "id": "Z"}).to_string(), at("2024-08-30T11:31:00")),
        said("E3", pedro, local(&noon), "No me llego el coreo", json!({})),
        said("E3", pedro, local(&noon), "No me llegó el correo", json!({})),
        said("F1", marta, now, "Hola, soy Marta", json!({})),
    ]
}

/// Statements that record what the media worker would have done.
const FILES: [&str; 2] = [
    "UPDATE media SET state = 'stored', content_type = 'image/jpeg', size = 48213, file_name = 'mesa.jpg', \
     object_key = '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08', \
     stored_at = '2024-08-28T19:00:01.000Z' WHERE source_url LIKE '%mesa.jpg'",
    "UPDATE media SET state = 'expired', reason = 'status:404' WHERE source_url LIKE '%pago.jpg'",
];

async fn shop(world: &World) {
    let store = world.open().await;
    store.set_time_zone(&Zone::parse(ZONE).expect("it is a zone")).await.expect("it is set");
    record(&store, &events()).await;
    store.close().await;
    for statement in FILES {
        world.execute(statement).await;
    }
}

/// Returns the query for this database under the heading "Words by the index".
fn by_the_index(backend: Backend) -> &'static str {
    let (_, section) = DOCUMENT.split_once("\n### Words by the index\n").expect("there is a section");
    let name = match backend {
        Backend::Sqlite => "\nSQLite:\n\n```sql\n",
        Backend::Postgres => "\nPostgreSQL:\n\n```sql\n",
    };
    let (_, query) = section.split_once(name).expect("its query stands there");
    query.split("```").next().expect("it ends")
}

/// Returns the questions whose answers differ from those that the document shows.
async fn differences(world: &World) -> String {
    let mut differences = String::new();
    for (query, shown) in questions() {
        let settings = [("BUZON_DATABASE_URL", world.url.as_str())];
        let output = run(world.folder.path(), &["sql", query], &settings).await;
        assert!(output.status.success(), "{query} {output:?}");
        let answer = String::from_utf8(output.stdout).expect("it is text");
        if answer != shown {
            differences += &format!("{query}{answer}\n");
        }
    }
    differences
}

#[test]
async fn each_question_has_the_answer_that_the_document_shows() {
    assert_eq!(questions().len(), 32);
    on_both_empty(async |mut world| {
        // The run is repeated if the day changes in the middle of it.
        loop {
            shop(&world).await;
            let today = world.value("SELECT today FROM v_today").await;
            let differences = differences(&world).await;
            let found = world.rows(by_the_index(world.backend)).await;
            assert_eq!(found, ["2024-08-27|Ana|¿Qué precio tiene el menú?"]);
            if today == world.value("SELECT today FROM v_today").await {
                assert!(differences.is_empty(), "{differences}");
                break;
            }
            world = World::empty(world.backend).await;
        }
    })
    .await;
}
