//! The rows of every list in every format, compared with the tables.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{export, exported, fill, objects, python};
use crate::support::database::world::{World, on_both};

/// The lists, each with a query that has the same rows: the columns that are compared, and those of the table.
const LISTS: [(&str, &[&str], &str); 6] = [
    (
        "messages",
        &["instance_id", "id", "chat_id", "from", "body", "from_me", "occurred_at", "quoted_message_id", "ack"],
        "SELECT instance_id, id, chat_id, from_id, body, from_me, occurred_at, quoted_message_id, ack FROM messages",
    ),
    (
        "chats",
        &["instance_id", "chat_id", "contact", "message_count", "last_message_at", "last_message_id"],
        "SELECT instance_id, chat_id, contact, message_count, last_message_at, last_message_id FROM chats",
    ),
    (
        "reactions",
        &["instance_id", "message_id", "from_number", "reaction", "reacted_at", "received_at"],
        "SELECT instance_id, message_id, from_number, reaction, reacted_at, received_at FROM message_reactions",
    ),
    (
        "acks",
        &["instance_id", "message_id", "ack", "received_at", "last_received_at"],
        "SELECT instance_id, message_id, ack, received_at, last_received_at FROM message_acks",
    ),
    (
        "media",
        &["instance_id", "message_id", "state", "source_sha256", "occurred_at"],
        "SELECT instance_id, message_id, state, source_sha256, occurred_at FROM media",
    ),
    (
        "events",
        &["instance_id", "event_type", "message_id", "state", "deliveries", "signed", "body_sha256"],
        "SELECT instance_id, event_type, message_id, state, deliveries, signed, body_sha256 FROM events",
    ),
];

/// Returns a value as `World::rows` writes it.
fn as_row(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Bool(flag) => u8::from(*flag).to_string(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

async fn table(world: &World, query: &str) -> Vec<String> {
    let mut rows = world.rows(query).await;
    rows.sort();
    rows
}

fn compared(objects: &[Value], columns: &[&str]) -> Vec<String> {
    let row = |object: &Value| columns.iter().map(|column| as_row(&object[*column])).collect::<Vec<_>>().join("|");
    let mut rows: Vec<String> = objects.iter().map(row).collect();
    rows.sort();
    rows
}

#[test]
async fn each_list_has_the_rows_of_its_table_in_every_format() {
    on_both(async |world| {
        fill(&world).await;
        for (list, columns, query) in LISTS {
            let rows = objects(&exported(&world, &[list]).await);
            assert!(!rows.is_empty(), "{list}");
            assert_eq!(compared(&rows, columns), table(&world, query).await, "{list}");
            // The three formats have the same rows in the same order.
            exported(&world, &[list, "out.csv"]).await;
            exported(&world, &[list, "out.xlsx"]).await;
            let script =
                "import csv, json, sys\nfor row in csv.DictReader(open('out.csv', newline='')): print(json.dumps(row))";
            let csv = objects(&python(world.folder.path(), &["-c", script]).await);
            let plain = |value: &Value| match value {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            assert_eq!(csv.len(), rows.len(), "{list}");
            for (csv, row) in csv.iter().zip(&rows) {
                for (name, value) in row.as_object().expect("it is an object") {
                    assert_eq!(csv[name], plain(value), "{list} {name}");
                }
            }
            let reader = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/read_xlsx.py");
            let sheet = python(world.folder.path(), &[reader, "out.xlsx"]).await;
            let mut sheet = sheet.lines().map(|line| serde_json::from_str::<Vec<Value>>(line).expect("it is JSON"));
            let header = sheet.next().expect("there are names");
            assert_eq!(sheet.clone().count(), rows.len(), "{list}");
            for (cells, row) in sheet.zip(&rows) {
                let cells: BTreeMap<&str, &Value> = header.iter().filter_map(Value::as_str).zip(&cells).collect();
                for (name, value) in row.as_object().expect("it is an object") {
                    let cell = cells.get(name.as_str()).copied().unwrap_or(&Value::Null);
                    match (cell, value) {
                        (Value::Object(time), _) => assert!(time["time"].as_f64().is_some_and(|it| it > 45_000.0)),
                        (cell, Value::Number(number)) => assert_eq!(cell.as_f64(), number.as_f64(), "{list} {name}"),
                        (cell, value) => assert_eq!(cell, value, "{list} {name}"),
                    }
                }
            }
        }
    })
    .await;
}

#[test]
async fn a_workbook_has_local_times_and_a_csv_is_guarded_on_demand() {
    on_both(async |world| {
        fill(&world).await;
        exported(&world, &["messages", "out.xlsx", "--q", "ñandu"]).await;
        let reader = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/read_xlsx.py");
        let sheet = python(world.folder.path(), &[reader, "out.xlsx"]).await;
        let lines: Vec<Vec<Value>> =
            sheet.lines().map(|line| serde_json::from_str(line).expect("it is JSON")).collect();
        let column = lines[0].iter().position(|name| name == "occurred_at").expect("it is there");
        // 2024-08-27 00:03:00 in UTC is the evening before in Bogotá.
        let days = lines[1][column]["time"].as_f64().expect("it is a moment");
        let expected = 45_530.0 + (19.0 * 60.0 + 3.0) / 1_440.0;
        assert!((days - expected).abs() < 1e-6, "{days}");
        let raw = exported(&world, &["messages", "--format", "csv"]).await;
        assert!(raw.contains("\"=HYPERLINK"), "{raw}");
        let guarded = exported(&world, &["messages", "--format", "csv", "--guard"]).await;
        assert!(!guarded.contains("\"=HYPERLINK") && guarded.contains("\"'=HYPERLINK"), "{guarded}");
    })
    .await;
}

#[test]
async fn the_filters_of_the_lists_narrow_an_export_and_a_second_one_has_the_same_bytes() {
    on_both(async |world| {
        fill(&world).await;
        for (arguments, count) in [
            (&["messages", "--chat-id", "573001112233"][..], 0),
            (&["messages", "--chat-id", "573001112233@c.us"], 14),
            (&["messages", "--contact", "573001112233", "--from-me", "true"], 7),
            (&["messages", "--instance", "8"], 1),
            (&["messages", "--since", "2024-08-27T00:05:00Z"], 4),
            (&["messages", "--type", "image"], 1),
            (&["chats", "--unanswered", "true"], 2),
            (&["acks", "--ack", "read", "--instance", "7"], 1),
            (&["events", "--state", "quarantined"], 1),
            (&["media", "--state", "pending"], 1),
            (&["reactions", "--from-number", "573001112233@c.us"], 1),
        ] {
            let first = exported(&world, arguments).await;
            assert_eq!(objects(&first).len(), count, "{arguments:?} {first}");
            assert_eq!(first, exported(&world, arguments).await);
        }
        for name in ["a.xlsx", "b.xlsx"] {
            exported(&world, &["messages", name]).await;
        }
        let book = |name: &str| std::fs::read(world.folder.path().join(name)).expect("it is there");
        assert!(book("a.xlsx") == book("b.xlsx"), "the same rows are the same workbook");
        for (wrong, said) in [
            (&["messages", "--since", "yesterday"][..], "since"),
            (&["messages", "--format", "xlsx"], "name one"),
            (&["chats", "--kind", "friend"], "kind"),
        ] {
            let refused = export(&world, wrong).await;
            assert_eq!(refused.status.code(), Some(2), "{refused:?}");
            assert!(String::from_utf8_lossy(&refused.stderr).contains(said), "{refused:?}");
        }
        let audit = world.rows("SELECT actor, action, detail FROM audit").await;
        assert!(audit.iter().all(|row| row.starts_with("command|export ")), "{audit:?}");
        assert!(!audit.join("").contains("573001112233") && audit.len() > 20, "{audit:?}");
    })
    .await;
}

/// An event keeps its bytes also where they are no text.
#[test]
async fn the_body_of_an_event_that_is_no_text_is_whole() {
    on_both(async |world| {
        fill(&world).await;
        let rows = objects(&exported(&world, &["events", "--state", "quarantined"]).await);
        assert_eq!(rows[0]["body_is_base64"], json!(true));
        assert_eq!(rows[0]["body"], json!("bm90IGFuIGV2ZW50IP8="));
    })
    .await;
}
