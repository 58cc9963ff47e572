//! `buzon media`, as a person uses it beside the running service.

use serde_json::json;

use crate::support::database::world::{Backend, World, on_both_at_once};
use crate::support::events::{SECRET, received};
use crate::support::eventually;
use crate::support::gateway::file_server::{FileServer, Reply};
use crate::support::program::process::{Buzon, run};

async fn said(world: &World, arguments: &[&str]) -> String {
    let settings = [("BUZON_DATABASE_URL", world.url.as_str())];
    let output = run(world.folder.path(), &[&["media"], arguments].concat(), &settings).await;
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).expect("it is text")
}

async fn deliver(buzon: &Buzon, id: &str, path: &str) {
    let body = received(id, json!({"type": "image", "media_url": path}));
    buzon.deliver(body).await.accepted();
}

#[test(flavor = "multi_thread")]
async fn a_person_sees_what_became_of_each_file_and_puts_chosen_ones_back() {
    on_both_at_once(async |world| {
        let gateway = FileServer::start().await;
        let origin = gateway.url("");
        let settings = [("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_GATEWAY_URL", origin.as_str())];
        let buzon = Buzon::serve(&world, &settings).await;
        assert_eq!(said(&world, &["list"]).await, "no message came with a file\n");
        gateway.reply("/menu.pdf", Reply::file(b"%PDF-1.7\n%\x00"));
        gateway.reply("/later.jpg", Reply::status_with(429, "Retry-After: 3600\r\n"));
        deliver(&buzon, "A", "/menu.pdf").await;
        deliver(&buzon, "B", "/gone.jpg").await;
        deliver(&buzon, "C", "/later.jpg").await;
        let counts = "SELECT count(*) FROM media WHERE state <> 'pending' OR reason LIKE '%429%'";
        eventually("each was tried", async || world.value(counts).await == "3").await;
        let hash = world.value("SELECT object_key FROM media WHERE message_id = 'A'").await;
        let next = world.value("SELECT next_attempt_at FROM media WHERE message_id = 'C'").await;
        let at = "2024-08-27T00:00:00.000Z instance 7 message";
        let of_b =
            format!("expired    {at} B\n           1 attempt: the gateway no longer has the file (it answered 404)\n");
        let expected = format!(
            "expired             1\npending             1\nstored              1\n\n\
             pending    {at} C\n           1 attempt: the server answered 429 Too Many Requests; next {next}\n\n\
             {of_b}\n\
             stored     {at} A\n           11 bytes, application/pdf, menu.pdf, {hash}\n"
        );
        assert_eq!(said(&world, &["list"]).await, expected);
        let only = said(&world, &["list", "--state", "expired"]).await;
        assert!(only.ends_with(&format!("stored              1\n\n{of_b}")), "{only}");
        gateway.reply("/gone.jpg", Reply::file(b"\x00back again"));
        gateway.reply("/later.jpg", Reply::file(b"\x00at last"));
        let retried = said(&world, &["retry", "--state", "expired"]).await;
        assert_eq!(retried, "files to be fetched again, by the service if it runs: 1\n");
        assert!(said(&world, &["retry", "--message", "C", "--instance", "8"]).await.ends_with(": 0\n"));
        said(&world, &["retry", "--message", "C"]).await;
        let stored = "SELECT count(*) FROM media WHERE state = 'stored'";
        eventually("all are stored", async || world.value(stored).await == "3").await;
        assert!(said(&world, &["retry", "--all"]).await.ends_with(": 0\n"));
        gateway.reply("/menu.pdf", Reply::file(b"%PDF-1.7\n%\x00 of today"));
        gateway.reply("/gone.jpg", Reply::status(410));
        let (of_a, of_b) = (["retry", "--stored", "--message", "A"], ["retry", "--stored", "--message", "B"]);
        assert!(said(&world, &of_a).await.ends_with(": 1\n") && said(&world, &of_b).await.ends_with(": 1\n"));
        let row = async |id: &str| {
            world.value(&format!("SELECT state, size, reason FROM media WHERE message_id = '{id}'")).await
        };
        let kept = "stored|11|the gateway no longer has the file (it answered 410)";
        eventually("one is fetched anew, and the other kept", async || {
            row("A").await == "stored|20|NULL" && row("B").await == kept
        })
        .await;
        assert!(said(&world, &["retry", "--stored", "--all"]).await.ends_with(": 3\n"));
        buzon.kill().await;
    })
    .await;
}

#[test]
async fn what_a_terminal_would_obey_is_not_printed() {
    on_both_at_once(async |world| {
        let settings = [("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_MEDIA_DOWNLOADS", "0")];
        let buzon = Buzon::serve(&world, &settings).await;
        deliver(&buzon, "A\u{1b}[2J\nstored     B", "/a.jpg").await;
        let list = said(&world, &["list"]).await;
        assert!(list.contains("message A\\u{1b}[2J\\u{a}stored     B\n"), "{list:?}");
        buzon.kill().await;
    })
    .await;
}

#[test]
async fn a_wrong_use_is_refused_in_one_line_and_changes_nothing() {
    let world = World::empty(Backend::Sqlite).await;
    let settings = [("BUZON_DATABASE_URL", world.url.as_str())];
    for arguments in
        [&["media", "retry"][..], &["media", "retry", "--stored"], &["media", "list", "--state", "lost"], &["media"]]
    {
        let output = run(world.folder.path(), arguments, &settings).await;
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {output:?}");
    }
    let output = run(world.folder.path(), &["media", "list"], &settings).await;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 1, "{output:?}");
    assert_eq!(std::fs::read_dir(world.folder.path()).expect("it is there").count(), 0, "no database is made");
}
