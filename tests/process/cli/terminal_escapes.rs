//! Text from events has no effect on the terminal of a person who reads it.

use buzon::platform::clock::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::support::clock::ARRIVAL;
use crate::support::database::world::{Backend, World, on_both_empty, record};
use crate::support::events::{event, received};
use crate::support::gateway::file_server::{FileServer, Reply};
use crate::support::program::process::{run, run_at_terminal};

/// Text that clears the screen twice, rings the bell, reverses the direction of text, and hides a part of it.
const EVIL: &str = "a\u{1b}[2J\u{9b}2J\u{7}\u{202e}gpj\u{2066}\u{200b}z";
const SHOWN: &str = "a\\u{1b}[2J\\u{9b}2J\\u{7}\\u{202e}gpj\\u{2066}\\u{200b}z";
const OBEYED: [char; 6] = ['\u{1b}', '\u{9b}', '\u{7}', '\u{202e}', '\u{2066}', '\u{200b}'];

/// Fills a database in which every name and text contains such sequences.
async fn shop(world: &World) {
    let store = world.open().await;
    let fields = json!({"body": EVIL, "sender_name": EVIL, "media_url": "/a.jpg", "type": "image"});
    record(&store, &[event(EVIL, received(EVIL, fields), ARRIVAL)]).await;
    store.close().await;
}

#[track_caller]
fn is_harmless(said: &str, what: &dyn std::fmt::Debug) {
    assert!(said.contains(SHOWN), "{what:?}: {said:?}");
    assert!(!said.contains(OBEYED), "{what:?}: {said:?}");
}

#[test]
async fn what_people_read_is_escaped_wherever_it_goes() {
    on_both_empty(async |world| {
        shop(&world).await;
        let folder = world.folder.path();
        let settings = [("BUZON_DATABASE_URL", world.url.as_str()), ("BUZON_LISTEN", "127.0.0.1:1")];
        let named = ["token", "create", "--name", "\u{202e}x", "--instance", EVIL];
        let made = run(folder, &named, &settings).await;
        assert!(made.status.success() && !String::from_utf8_lossy(&made.stderr).contains(OBEYED), "{made:?}");
        world.execute("DELETE FROM messages").await;
        let query = "SELECT convert_from(body, 'UTF8')::json ->> 'body' AS body FROM events";
        let query = if world.backend == Backend::Sqlite { "SELECT body ->> 'body' AS body FROM events" } else { query };
        let missing = format!("SELECT \"{EVIL}\" FROM v_messages");
        for arguments in [
            &["sql", query][..],
            &["sql", &missing],
            &["media", "list"],
            &["token", "list"],
            &["token", "revoke", EVIL],
            &["rebuild", "--check"],
            &["backup", "list", EVIL],
            &["send", EVIL],
            &["check-config", "--data-dir", EVIL],
            &["doctor", "--data-dir", EVIL],
        ] {
            let output = run(folder, arguments, &settings).await;
            let said = [output.stdout, output.stderr].concat();
            is_harmless(&String::from_utf8(said).expect("it is text"), &arguments);
        }
        // clap itself reports errors of the command line, and leaves out some of the text.
        let refused = run(folder, &["media", "list", "--state", EVIL], &settings).await;
        let said = String::from_utf8(refused.stderr).expect("it is text");
        assert!(said.contains("it is one of pending") && !said.contains(OBEYED), "{said:?}");
    })
    .await;
}

#[test]
async fn what_programs_read_is_escaped_at_a_terminal_alone() {
    on_both_empty(async |world| {
        shop(&world).await;
        let (folder, settings) = (world.folder.path(), [("BUZON_DATABASE_URL", world.url.as_str())]);
        for format in ["csv", "json", "ndjson"] {
            let arguments = ["sql", "SELECT body FROM v_messages", "--format", format];
            let piped = String::from_utf8(run(folder, &arguments, &settings).await.stdout).expect("it is text");
            assert!(piped.contains("\u{9b}2J") && piped.contains("\u{202e}gpj"), "{format}: {piped:?}");
            assert_eq!(piped.contains('\u{1b}'), format == "csv", "JSON has its own form for that: {piped:?}");
            let shown = run_at_terminal(folder, &arguments, &settings).await;
            assert!(!shown.contains(OBEYED), "{format}: {shown:?}");
            if format == "csv" {
                assert_eq!(shown, format!("body\n{SHOWN}\n"));
            } else {
                let [piped, shown] = [&piped, &shown].map(|json| serde_json::from_str::<Value>(json).expect("JSON"));
                assert_eq!(shown, piped, "{format}");
            }
        }
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn what_the_gateway_says_of_a_failed_delivery_is_escaped() {
    let world = World::empty(Backend::Sqlite).await;
    let gateway = FileServer::start().await;
    let list = json!([{"id": EVIL, "created_at": SystemClock.now().to_rfc3339(), "last_error": EVIL}]).to_string();
    let path = "/api/webhook-dlq?instanceId=7&token=of-the-instance&limit=50";
    gateway.reply(path, Reply::with_headers("Content-Type: application/json\r\n", list.as_bytes()));
    let folder = world.folder.path();
    std::fs::write(folder.join("token"), "of-the-instance\n").expect("it can be written");
    let settings = [("BUZON_GATEWAY_URL", gateway.url("")), ("BUZON_DATABASE_URL", world.url.clone())];
    let settings = crate::support::borrowed(&settings);
    let arguments = ["gateway", "failed", "7", "--token-file", "token"];
    let output = run(folder, &arguments, &settings).await;
    is_harmless(&String::from_utf8(output.stdout).expect("it is text"), &output.stderr);
    let arguments = [&arguments[..], &["--json"]].concat();
    let shown = run_at_terminal(folder, &arguments, &settings).await;
    assert!(!shown.contains(OBEYED), "{shown:?}");
    assert_eq!(serde_json::from_str::<Value>(&shown).expect("it is JSON")[0]["last_error"], EVIL);
}
