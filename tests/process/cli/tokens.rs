//! `buzon token`, as a person uses it beside the running service.

use std::process::Output;

use serde_json::json;

use crate::support::client;
use crate::support::clock::ARRIVAL;
use crate::support::database::world::{Backend, World, on_both_empty, record};
use crate::support::events::{SECRET, event, received};
use crate::support::program::process::{Buzon, run};

const SIGNED: &[(&str, &str)] = &[("BUZON_WEBHOOK_SECRET", SECRET)];

async fn token(world: &World, arguments: &[&str]) -> Output {
    let settings = [("BUZON_DATABASE_URL", world.url.as_str())];
    run(world.folder.path(), &[&["token"], arguments].concat(), &settings).await
}

async fn done(world: &World, arguments: &[&str]) -> String {
    let output = token(world, arguments).await;
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("it is text")
}

/// Returns the exit code and the line with the reason.
async fn refused(world: &World, arguments: &[&str]) -> (i32, String) {
    let output = token(world, arguments).await;
    assert!(output.stdout.is_empty(), "{output:?}");
    (output.status.code().expect("it ends by itself"), String::from_utf8(output.stderr).expect("it is text"))
}

async fn create(world: &World, arguments: &[&str]) -> String {
    done(world, &[&["create"], arguments].concat()).await.trim_end().to_owned()
}

async fn status(buzon: &Buzon, token: &str) -> u16 {
    let request = client().get(format!("http://{}/api/v1/nothing", buzon.address)).bearer_auth(token);
    request.send().await.expect("it answers").status().as_u16()
}

#[test(flavor = "multi_thread")]
async fn a_token_is_shown_once_listed_without_itself_and_ends_at_a_word() {
    on_both_empty(async |world| {
        let buzon = Buzon::serve(&world, SIGNED).await;
        let made = token(&world, &["create", "--name", "panel", "--instance", "7", "--instance", "8"]).await;
        let panel = String::from_utf8(made.stdout).expect("it is text");
        let panel = panel.strip_suffix('\n').expect("it is a line");
        let digits = panel.strip_prefix("buzon_").expect("it begins so");
        assert!(digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()), "{panel}");
        let told = String::from_utf8(made.stderr).expect("it is text");
        assert!(told.contains("7, 8") && told.contains("without an end") && !told.contains(digits), "{told}");
        let ana = create(&world, &["--name", "Ana", "--expires", "30d"]).await;
        assert_ne!(ana, panel);
        for token in [panel, &ana] {
            assert_eq!(status(&buzon, token).await, 404);
        }
        let list = done(&world, &["list"]).await;
        let lines: Vec<&str> = list.lines().collect();
        assert_eq!(lines.len(), 3, "{list}");
        let words = |line: &str| line.split("  ").map(str::trim).filter(|word| !word.is_empty()).count();
        assert!(lines.iter().all(|line| words(line) == 9), "{list}");
        assert!(lines[1].contains("Ana") && lines[1].contains("everything") && lines[1].ends_with("active"), "{list}");
        assert!(lines[2].contains(&panel[..14]) && lines[2].contains("7, 8") && lines[2].contains("never"), "{list}");
        assert!(!list.contains(panel) && !list.contains(&ana), "{list}");
        for (which, token, id) in [("Ana", &ana, "2"), (&panel[..14], &panel.to_owned(), "1")] {
            assert!(done(&world, &["revoke", which]).await.starts_with(&format!("token {id} ")));
            assert_eq!(status(&buzon, token).await, 401);
        }
        let list = done(&world, &["list"]).await;
        assert_eq!(list.matches("revoked").count(), 2, "{list}");
        let rows = world.rows("SELECT * FROM api_tokens").await.join("\n");
        assert!(!rows.contains(digits), "{rows}");
        buzon.kill().await;
    })
    .await;
}

#[test]
async fn a_token_is_found_by_id_name_beginning_or_itself_and_only_if_one_is_meant() {
    let world = World::empty(Backend::Sqlite).await;
    run(world.folder.path(), &["migrate"], &[("BUZON_DATABASE_URL", world.url.as_str())]).await;
    create(&world, &["--name", "a"]).await;
    create(&world, &["--name", "1"]).await;
    let whole = create(&world, &["--name", "c"]).await;
    let (code, line) = refused(&world, &["revoke", "1"]).await;
    assert_eq!((code, line.contains("more than one"), line.lines().count()), (2, true, 1), "{line}");
    for unknown in ["b", "", "99", "buzon_"] {
        let (code, line) = refused(&world, &["revoke", unknown]).await;
        assert_eq!((code, line.contains("there is no token")), (1, true), "{line}");
    }
    done(&world, &["revoke", &whole]).await;
    let (code, line) = refused(&world, &["revoke", "c"]).await;
    assert_eq!((code, line.contains("revoked before")), (1, true), "{line}");
    // The name of the revoked token is free, and now refers to the new one.
    create(&world, &["--name", "c"]).await;
    assert_eq!(done(&world, &["revoke", "c"]).await, "token 4 (c) is revoked\n");
    assert_eq!(world.rows("SELECT id FROM api_tokens WHERE revoked_at IS NULL ORDER BY id").await, ["1", "2"]);
}

#[test]
async fn a_wrong_use_makes_no_token() {
    let world = World::empty(Backend::Sqlite).await;
    run(world.folder.path(), &["migrate"], &[("BUZON_DATABASE_URL", world.url.as_str())]).await;
    create(&world, &["--name", "panel"]).await;
    let long = "x".repeat(101);
    for (arguments, said) in [
        (&["--name", "panel"][..], "active token named \"panel\""),
        (&[], "--name"),
        (&["--name", ""], "1 to 100 characters"),
        (&["--name", &long], "1 to 100 characters"),
        (&["--name", "a\nb"], "control character"),
        (&["--name", "x", "--instance", "-"], "leave --instance out"),
        (&["--name", "x", "--instance", ""], "1 to 64 bytes"),
        (&["--name", "x", "--expires", "soon"], "such as 2027-01-31"),
        (&["--name", "x", "--expires", "2024-01-31"], "over already"),
        (&["--name", "x", "--expires", "99999999w"], "too far"),
    ] {
        let (code, line) = refused(&world, &[&["create"], arguments].concat()).await;
        assert_eq!((code, line.contains(said)), (2, true), "{arguments:?} {line}");
    }
    assert_eq!(world.value("SELECT count(*) FROM api_tokens").await, "1");
}

#[test]
async fn a_token_for_an_instance_that_nobody_knows_of_is_made_with_a_warning() {
    on_both_empty(async |world| {
        let store = world.open().await;
        let warned = async |instances: &[&str]| {
            let name = uuid::Uuid::now_v7().to_string();
            let instances = instances.iter().flat_map(|id| ["--instance", *id]);
            let arguments: Vec<&str> = ["create", "--name", name.as_str()].into_iter().chain(instances).collect();
            let output = token(&world, &arguments).await;
            assert!(output.status.success() && output.stdout.starts_with(b"buzon_"), "{output:?}");
            let said = String::from_utf8(output.stderr).expect("it is text");
            said.lines().filter(|line| line.contains("warning")).map(str::to_owned).collect::<Vec<_>>()
        };
        let unknown = "buzon: warning: nothing is known of instance nope; ";
        assert_eq!(warned(&["nope"]).await, [format!("{unknown}no instance is known yet")]);
        std::fs::write(world.folder.path().join("buzon.toml"), "[[instances]]\nid = \"7\"\n").expect("it is ours");
        let bodies = ["8", "-"].map(|id| event(id, received("A", json!({})), ARRIVAL));
        record(&store, &bodies).await;
        assert_eq!(warned(&["7", "nope", "8"]).await, [format!("{unknown}known are: 7, 8")]);
        assert_eq!(warned(&["7", "8"]).await, [""; 0]);
        assert_eq!(warned(&[]).await, [""; 0]);
        let many: Vec<_> = (100..110).map(|id| event(&id.to_string(), received("A", json!({})), ARRIVAL)).collect();
        record(&store, &many).await;
        assert_eq!(warned(&["nope"]).await, [format!("{unknown}12 others are known")]);
        store.close().await;
    })
    .await;
}

#[test]
async fn a_day_on_which_a_token_ends_is_one_of_the_time_zone() {
    let world = World::empty(Backend::Sqlite).await;
    std::fs::write(world.folder.path().join("buzon.toml"), "time_zone = \"America/Bogota\"\n").expect("it is written");
    run(world.folder.path(), &["migrate"], &[("BUZON_DATABASE_URL", world.url.as_str())]).await;
    let made = token(&world, &["create", "--name", "panel", "--expires", "2999-01-31"]).await;
    let told = String::from_utf8(made.stderr).expect("it is text");
    assert!(told.contains("until 2999-02-01T04:59:59.999Z"), "{told}");
    assert_eq!(world.value("SELECT expires_at FROM api_tokens").await, "2999-02-01T04:59:59.999Z");
}

#[test]
async fn without_a_database_there_is_no_token_and_none_is_made() {
    let world = World::empty(Backend::Sqlite).await;
    for arguments in [&["list"][..], &["create", "--name", "x"], &["revoke", "x"]] {
        let (code, line) = refused(&world, arguments).await;
        assert_eq!((code, line.lines().count()), (2, 1), "{line}");
    }
    assert_eq!(std::fs::read_dir(world.folder.path()).expect("it is there").count(), 0, "no database is made");
}

#[test(flavor = "multi_thread")]
async fn the_readmes_lines_work() {
    let world = World::in_folder("data/buzon.db");
    let buzon = Buzon::serve_default(&world, &[]).await;
    let readme = include_str!("../../../README.md");
    let (_, section) = readme.split_once("\n## Tokens\n").expect("there is a section");
    let (section, _) = section.split_once("\n## ").expect("others follow");
    let blocks: Vec<&str> = section.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(blocks.len(), 2);
    let script = blocks.concat().replace("127.0.0.1:8080", &buzon.address.to_string());
    let script = format!(
        "set -euo pipefail\nbuzon() {{ {} \"$@\"; }}\ntoken=$(cat data/api-token)\n{script}",
        env!("CARGO_BIN_EXE_buzon")
    );
    let output = tokio::process::Command::new("bash").args(["-c", &script]).current_dir(world.folder.path()).output();
    let output = output.await.expect("bash is there");
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).expect("it is text");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 5, "{said}");
    assert!(lines[0].starts_with("buzon_") && lines[3] == "token 1 (panel) is revoked", "{said}");
    let keys = |text: &str| {
        let json: serde_json::Value = serde_json::from_str(text).expect("it is JSON");
        json.as_object().expect("it is an object").keys().cloned().collect::<Vec<_>>()
    };
    let shown = section.split("```json\n").nth(1).and_then(|rest| rest.lines().next()).expect("it is shown");
    assert_eq!(keys(lines[4]), keys(shown));
    buzon.kill().await;
}
