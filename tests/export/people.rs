//! Exports for people: a conversation, and everything about one person.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{ANA, GROUP, HOSTILE, LUIS, export, exported, fill, objects, python};
use crate::media::{JPEG, all_end, deliver_as, key, service};
use crate::support::clients::browser;
use crate::support::clock::ARRIVAL;
use crate::support::database::world::{Backend, World, on_both, record};
use crate::support::events::{event, reaction, received};
use crate::support::gateway::file_server::{FileServer, Reply};

/// Returns the names in a ZIP and the text of one of its files.
async fn in_zip(folder: &Path, zip: &str, file: &str) -> (BTreeSet<String>, String) {
    let script = "import sys, zipfile, json\nz = zipfile.ZipFile(sys.argv[1])\nassert z.testzip() is None\n\
                  assert {entry.date_time for entry in z.infolist()} == {(1980, 1, 1, 0, 0, 0)}\n\
                  print(json.dumps([z.namelist(), z.read(sys.argv[2]).decode()]))";
    let said: Value = serde_json::from_str(&python(folder, &["-c", script, zip, file]).await).expect("it is JSON");
    let names = said[0].as_array().expect("it is a list").iter().filter_map(Value::as_str).map(str::to_owned).collect();
    (names, said[1].as_str().expect("it is text").to_owned())
}

#[test]
async fn a_conversation_opens_from_a_disk_shows_everything_and_runs_nothing() {
    let world = World::new(Backend::Sqlite).await;
    fill(&world).await;
    exported(&world, &["conversation", "573001112233", "ana"]).await;
    let folder = world.folder.path().join("ana");
    let page = fs::read_to_string(folder.join("conversation.html")).expect("it is there");
    assert!(!page.contains("<script") && page.contains("default-src 'none'"), "{page}");
    let shown = browser::open(&format!("file://{}", folder.join("conversation.html").display())).await;
    let shown = shown.expect("the browser shows it");
    assert_eq!(shown.matches("<article").count(), 2 * HOSTILE.len(), "{shown}");
    assert!(shown.contains("&lt;script&gt;") && shown.contains("2024-08-26 19:00:00"), "{shown}");
    let text = fs::read_to_string(folder.join("conversation.txt")).expect("it is there");
    assert!(text.starts_with("[2024-08-26 19:00:00] Juan Pérez: =HYPERLINK"), "{text}");
    assert!(text.is_char_boundary(0) && !text.contains('\u{202e}'), "{text}");
    let again = export(&world, &["conversation", "573001112233", "ana"]).await;
    assert_eq!(again.status.code(), Some(1), "a folder is not overwritten");
    let unknown = export(&world, &["conversation", "1", "nobody"]).await;
    assert!(!unknown.status.success() && !world.folder.path().join("nobody").exists());
}

#[test(flavor = "multi_thread")]
async fn the_files_of_a_conversation_are_beside_it_under_harmless_names() {
    on_both(async |world| {
        let gateway = FileServer::start().await;
        let service = service(&world, &gateway, &[]).await;
        let page: &[u8] = b"<!doctype html><html><script>document.title='bad'</script></html>";
        for (id, path, bytes) in [("A", "/a.jpg", JPEG), ("B", "/b.html", page), ("C", "/c.jpg", JPEG)] {
            gateway.reply(path, Reply::file(bytes));
            deliver_as(&service, id, "document", path).await;
        }
        all_end(&world).await;
        service.stop().await;
        let chat = world.value("SELECT DISTINCT chat_id FROM messages").await;
        let settings = [("BUZON_DATABASE_URL", world.url.as_str())];
        let data = world.data_dir();
        let arguments = ["export", "conversation", &chat, "c.zip", "--data-dir", data.to_str().expect("it is text")];
        let output = crate::support::program::process::run(world.folder.path(), &arguments, &settings).await;
        assert!(output.status.success(), "{output:?}");
        let (names, html) = in_zip(world.folder.path(), "c.zip", "conversation.html").await;
        let expected = ["conversation.html".to_owned(), "conversation.txt".to_owned()];
        let files = [format!("media/{}.jpg", key(JPEG)), format!("media/{}.txt", key(page))];
        assert_eq!(names, expected.into_iter().chain(files.clone()).collect());
        assert!(html.contains(&format!("<img src=\"{}\"", files[0])), "{html}");
        assert!(html.contains(&format!("<a href=\"{}\"", files[1])), "{html}");
    })
    .await;
}

/// Somebody else's number and words, which must not be in the file of Ana.
const LUIS_WORDS: &str = "only Luis wrote this";

#[test]
async fn the_file_of_a_person_has_all_of_theirs_and_nothing_of_others() {
    on_both(async |world| {
        let store = world.open().await;
        let lid = "77000111@lid";
        let card = "BEGIN:VCARD\nVERSION:3.0\nFN:Dr. Pérez\nTEL;waid=573007778899:+57 300 7778899\nEND:VCARD";
        let in_group = |id: &str, who: &str, body: &str| {
            let fields = json!({
                "chat_id": GROUP, "from": GROUP, "is_group": 1, "group_sender": who, "body": body,
                "quoted_message_id": format!("false_{GROUP}_Q_{LUIS}"),
            });
            event("7", received(id, fields), ARRIVAL)
        };
        let events = [
            event(
                "7",
                received("A1", json!({"body": "hola, soy Ana", "timestamp": 1_700_000_000, "sender_pn": ANA, "from": lid, "chat_id": lid})),
                ARRIVAL,
            ),
            event("7", received("A2", json!({"body": "", "type": "vcard", "vcard": card})), ARRIVAL),
            event(
                "7",
                received("A3", json!({"body": "a minute later", "timestamp": 1_724_716_860, "sender_name": "Otra"})),
                ARRIVAL,
            ),
            in_group(&format!("false_{GROUP}_G1_{ANA}"), ANA, "Ana in the group"),
            in_group(&format!("false_{GROUP}_G2_{LUIS}"), LUIS, LUIS_WORDS),
            event("7", reaction(&format!("false_{GROUP}_G2_{LUIS}"), ANA, json!("👍"), json!(1_724_717_000)), ARRIVAL),
            event("7", received("L1", json!({"chat_id": LUIS, "from": LUIS, "body": LUIS_WORDS})), ARRIVAL),
        ];
        record(&store, &events).await;
        store.close().await;
        let output = export(&world, &["person", "573001112233", "ana.zip"]).await;
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("days") && said.contains("the name changed") && said.contains("--since"), "{said}");
        let folder = world.folder.path();
        let (names, explained) = in_zip(folder, "ana.zip", "LEEME.txt").await;
        for name in ["messages.ndjson", "reactions.ndjson", "conversation-1.html", "groups-1.txt", "LEEME.txt"] {
            assert!(names.contains(name), "{names:?}");
        }
        assert!(names.iter().all(|name| name.is_ascii()), "{names:?}");
        for part in [ANA, lid, "stated", "3 mensajes", "1 mensajes propios en grupos", "Otra", "Nadie"] {
            assert!(explained.contains(part), "{part}: {explained}");
        }
        let (_, rows) = in_zip(folder, "ana.zip", "messages.ndjson").await;
        assert_eq!(objects(&rows).len(), 4, "{rows}");
        assert!(rows.contains("Dr. Pérez"), "{rows}");
        for name in &names {
            let (_, text) = in_zip(folder, "ana.zip", name).await;
            for foreign in ["573004445566", LUIS_WORDS, "7778899"] {
                assert!(!text.contains(foreign), "{name} has {foreign}: {text}");
            }
        }
        let since = export(&world, &["person", "573001112233", "later.zip", "--since", "2024-08-01"]).await;
        let said = String::from_utf8_lossy(&since.stderr).into_owned();
        assert!(said.starts_with("2 messages") && !said.contains("warning"), "{said}");
        let nobody = export(&world, &["person", "571", "nobody.zip"]).await;
        assert!(!nobody.status.success() && !folder.join("nobody.zip").exists(), "{nobody:?}");
        let audit = world.rows("SELECT action, subject_hmac FROM audit ORDER BY seq").await;
        assert!(audit[0].starts_with("export person|") && audit[0] == audit[1] && audit[1] != audit[2], "{audit:?}");
    })
    .await;
}
