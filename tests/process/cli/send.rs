//! `buzon send`: one event, signed as the gateway signs it.

use std::process::Output;

use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::support::database::world::{Backend, World, on_both_empty};
use crate::support::events::{SECRET, received};
use crate::support::program::process::{Buzon, command, run};

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("it is text")
}

async fn send(world: &World, arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    run(world.folder.path(), &[&["send"], arguments].concat(), settings).await
}

#[test]
async fn a_body_is_signed_sent_and_answered() {
    on_both_empty(async |world| {
        let file = "[[instances]]\nid = 7\nsecrets = ['the secret of seven alone']\n";
        std::fs::write(world.folder.path().join("buzon.toml"), file).expect("it can be written");
        let buzon = Buzon::serve(&world, &[("BUZON_WEBHOOK_SECRET", SECRET)]).await;
        let address = buzon.address.to_string();
        let settings = [("BUZON_LISTEN", address.as_str()), ("BUZON_WEBHOOK_SECRET", SECRET)];
        let body = |id: &str, fields| std::fs::write(world.folder.path().join(id), received(id, fields));
        body("A", json!({})).expect("it can be written");
        body("B", json!({"instance_id": 7})).expect("it can be written");
        for (arguments, duplicate) in [
            (&["A", "--instance", "7"][..], false),
            (&["A", "--instance", "7"], true),
            (&["A", "--instance", "8"], false),
            // The event's own instance determines the secret with which it is signed.
            (&["B"], false),
        ] {
            let output = send(&world, arguments, &settings).await;
            assert!(output.status.success(), "{output:?}");
            assert_eq!(text(&output.stdout), format!("200\n{{\"ok\":true,\"duplicate\":{duplicate}}}\n"));
        }
        assert_eq!(world.rows("SELECT instance_id, id FROM messages ORDER BY 1, 2").await, ["7|A", "7|B", "8|A"]);
        assert_eq!(world.rows("SELECT DISTINCT signed FROM events").await, ["1"]);
        buzon.kill().await;
    })
    .await;
}

#[test]
async fn standard_input_is_sent_byte_for_byte_and_a_refusal_is_a_failure() {
    let world = World::empty(Backend::Sqlite).await;
    let buzon = Buzon::serve(&world, &[("BUZON_WEBHOOK_SECRET", SECRET)]).await;
    let to = format!("http://localhost:{}", buzon.address.port());
    for (settings, status, code) in [(&[("BUZON_WEBHOOK_SECRET", SECRET)][..], "200\n", 0), (&[], "401\n", 1)] {
        let mut command = command(world.folder.path(), &["send", "-", "--to", &to], settings);
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        command.stderr(std::process::Stdio::piped());
        let mut child = command.spawn().expect("the program can be started");
        let mut stdin = child.stdin.take().expect("it is piped");
        stdin.write_all(b" \xff no event \n").await.expect("it reads");
        drop(stdin);
        let output = child.wait_with_output().await.expect("it ends");
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(text(&output.stdout).starts_with(status), "{output:?}");
        if code == 1 {
            assert!(text(&output.stderr).contains("sent unsigned"), "{output:?}");
            assert!(text(&output.stderr).contains("not taken: 401 signature_missing"), "{output:?}");
        }
    }
    assert_eq!(world.rows("SELECT body FROM events").await, [hex::encode(b" \xff no event \n")]);
    buzon.kill().await;
}

#[test]
async fn nothing_is_sent_to_another_machine_that_was_not_named() {
    let world = World::empty(Backend::Sqlite).await;
    std::fs::write(world.folder.path().join("A"), "{}").expect("it can be written");
    for (arguments, settings) in [
        (&["A", "--to", "https://buzon.example.com"][..], &[][..]),
        (&["A", "--to", "http://10.0.0.1", "--allow-remote", "10.0.0.2"], &[]),
        (&["A"], &[("BUZON_LISTEN", "10.0.0.1:8080")]),
    ] {
        let output = send(&world, arguments, settings).await;
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(text(&output.stderr).contains("is not this machine; to send there nevertheless"), "{output:?}");
        let simulated = [&["simulate"], &arguments[1..]].concat();
        let output = run(world.folder.path(), &simulated, settings).await;
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
    let away = crate::support::gateway::file_server::StoppedFileServer::new();
    let output = send(&world, &["A", "--to", &format!("http://{}", away.address())], &[]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("gives no answer: the server 127.0.0.1:"), "{output:?}");
}
