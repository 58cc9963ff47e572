//! Exports: their rows against the tables, and what other programs and people see of them.

mod jobs;
mod killed;
mod lists;
mod people;

use std::path::Path;
use std::process::Output;

use buzon::domain::event::Event;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::clock::ARRIVAL;
use crate::support::database::world::{World, record};
use crate::support::events::{ack, event, reaction, received, sent};
use crate::support::program::process::run;

/// A number that nobody else has.
const ANA: &str = "573001112233@c.us";
const LUIS: &str = "573004445566@c.us";
const GROUP: &str = "120363041234567890@g.us";

/// Runs `buzon export` on the world's database, in its folder.
async fn export(world: &World, arguments: &[&str]) -> Output {
    let settings = [("BUZON_DATABASE_URL", world.url.as_str()), ("BUZON_TIME_ZONE", "America/Bogota")];
    run(world.folder.path(), &[&["export"], arguments].concat(), &settings).await
}

/// Runs `buzon export`, which must succeed, and returns what it printed.
async fn exported(world: &World, arguments: &[&str]) -> String {
    let output = export(world, arguments).await;
    assert!(output.status.success(), "{arguments:?} {output:?}");
    String::from_utf8(output.stdout).expect("it is text")
}

/// Returns the objects of JSON lines.
fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

/// Runs Python, and returns what it printed.
async fn python(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("python3").args(arguments).current_dir(folder).output().await.expect("Python is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it is text")
}

/// Text that formats, spreadsheets and pages can trip over.
const HOSTILE: [&str; 7] = [
    "=HYPERLINK(\"http://evil.example\",\"x\")",
    "a;b,\"c\"\r\n+1\t@d",
    "</p><script>alert(1)</script>",
    "ñandú 👩‍👩‍👧 \u{202e}abc",
    "001234567890123456789",
    "_x0041_",
    "mailto:ana@example.com",
];

/// Returns events of everything that can be exported, in two instances.
fn traffic() -> Vec<Event> {
    let mut events = vec![];
    for (number, text) in (0_i64..).zip(HOSTILE) {
        let at = 1_724_716_800 + 60 * number;
        events.push(event("7", received(&format!("IN{number}"), json!({"body": text, "timestamp": at})), ARRIVAL));
        let fields = json!({"body": text, "timestamp": at + 30, "quoted_message_id": format!("IN{number}")});
        events.push(event("7", sent(&format!("OUT{number}"), fields), ARRIVAL));
    }
    events.push(event("7", ack("OUT1", "read"), ARRIVAL));
    events.push(event("7", reaction("OUT1", ANA, json!("👍"), json!(1_724_717_000)), ARRIVAL));
    events.push(event("8", received("THEIRS", json!({"chat_id": LUIS, "from": LUIS, "body": "of eight"})), ARRIVAL));
    events.push(event("7", b"not an event \xFF", ARRIVAL));
    let media = json!({"type": "image", "media_url": "/uploads/a.jpg", "chat_id": LUIS, "from": LUIS});
    events.push(event("7", received("WITHFILE", media), ARRIVAL));
    events
}

/// Fills a world, and leaves its database closed.
async fn fill(world: &World) {
    let store = world.open().await;
    record(&store, &traffic()).await;
    store.close().await;
}
