//! Both databases store whatever the decoder accepts, in the same way, and no input keeps them busy for ever.

use buzon::domain::event::Event;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::clock::later;
use crate::support::database::world::{Backend, World, record};
use crate::support::events::event;

/// Names of fields that events have, and one that they do not have.
pub const FIELDS: [&str; 26] = [
    "event_type",
    "id",
    "instance_id",
    "chat_id",
    "from",
    "to",
    "from_me",
    "sender_name",
    "body",
    "type",
    "timestamp",
    "is_group",
    "quoted_message_id",
    "reaction",
    "media_url",
    "latitude",
    "longitude",
    "vcard",
    "vCards",
    "media_base64",
    "status",
    "ack",
    "group_sender",
    "message_id",
    "from_number",
    "unheard_of",
];

/// Generates JSON text that is not always valid: fragments that have broken other decoders, and arbitrary characters.
fn value() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| format!("{number:e}")),
        Just("1e400".to_owned()),
        Just("-0.0".to_owned()),
        Just("123456789012345678901234567890".to_owned()),
        (-200.0..200.0).prop_map(|number: f64| number.to_string()),
        (1_724_000_000..1_725_000_000_i64).prop_map(|number| number.to_string()),
    ];
    let escapes = r#"(\\u[0-9a-fA-F]{4}|\\u0000|\\ud83d|\\udc4d|\\n|[^"\\[:cntrl:]]){0,20}"#;
    let text = prop_oneof![
        4 => escapes.prop_map(|text| format!("\"{text}\"")),
        2 => any::<String>().prop_map(|text| serde_json::Value::from(text).to_string()),
        1 => (0..700_usize).prop_map(|length| format!("\"{}\"", "ñ".repeat(length / 2))),
    ];
    let other = prop_oneof![
        Just("null"),
        Just("true"),
        Just("{}"),
        Just("[[\"x\"]]"),
        Just("\"1\""),
        Just(r#"{"low":1724716800,"high":0}"#),
        Just(r#"["A",{"vcard":"B\u0000"}]"#),
        Just(r#""data:image/jpeg;base64,aG9sYQ==""#),
    ];
    prop_oneof![4 => text, 2 => number, 2 => other.prop_map(str::to_owned)]
}

/// Generates a body: an event of a known type with any fields, one that is cut off, or arbitrary bytes.
fn body() -> impl Strategy<Value = Vec<u8>> {
    const KINDS: [&str; 5] = ["message_received", "message_sent", "ack_update", "message_reaction", "test_webhook"];
    let fields = || prop::collection::vec((prop::sample::select(&FIELDS[..]), value()), 0..12);
    let object = || {
        (prop::sample::select(&KINDS[..]), fields()).prop_map(|(kind, fields)| {
            let fields: String = fields.iter().map(|(name, value)| format!(",\"{name}\":{value}")).collect();
            let needed = "\"id\":\"A\",\"message_id\":\"A\",\"from_number\":\"5\",\"ack\":\"read\"";
            format!("{{\"event_type\":\"{kind}\",{needed}{fields}}}").into_bytes()
        })
    };
    let cut = (object(), any::<prop::sample::Index>()).prop_map(|(body, at)| body[..at.index(body.len())].to_vec());
    prop_oneof![8 => object(), 1 => cut, 1 => prop::collection::vec(any::<u8>(), 0..200)]
}

#[test]
fn a_batch_of_arbitrary_values_is_recorded_and_both_databases_hold_the_same() {
    let runtime = tokio::runtime::Runtime::new().expect("there is a runtime");
    let worlds = runtime.block_on(async { [World::new(Backend::Sqlite).await, World::new(Backend::Postgres).await] });
    let stores = runtime.block_on(async { [worlds[0].open().await, worlds[1].open().await] });
    let mut runner = TestRunner::new(Config { cases: 100, failure_persistence: None, ..Config::default() });
    let batches = prop::collection::vec((prop::sample::select(&["7", "8", "-"][..]), body(), 0..50_i64), 1..60);
    let outcome = runner.run(&batches, |batch| {
        let events: Vec<Event> =
            batch.iter().map(|(instance, body, millis)| event(instance, body, later(*millis))).collect();
        for store in &stores {
            runtime.block_on(record(store, &events));
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    let [sqlite, postgres] = [runtime.block_on(worlds[0].dump()), runtime.block_on(worlds[1].dump())];
    assert!(sqlite.len() > 1_000, "{}", sqlite.len());
    for (one, other) in sqlite.iter().zip(&postgres) {
        assert_eq!(one, other);
    }
    assert_eq!(sqlite.len(), postgres.len());
    let applied = runtime.block_on(worlds[0].value("SELECT count(*) FROM events WHERE state = 'applied'"));
    assert!(applied.parse::<usize>().expect("it is a number") > 300, "most bodies are events: {applied}");
}
