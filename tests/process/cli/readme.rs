//! The README is true: its commands are run, and its queries give the answers that it shows.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use crate::support::database::postgres;
use crate::support::database::world::{Backend, World, on_both_empty};
use crate::support::program::process::Buzon;

const README: &str = include_str!("../../../README.md");
const MEDIA: &str = include_str!("../../../docs/media.md");

/// Returns the README's code blocks in their order, each with its language.
fn blocks() -> Vec<(&'static str, &'static str)> {
    let fenced = README.split("```").skip(1).step_by(2);
    fenced.filter_map(|block| block.split_once('\n')).collect()
}

/// Runs a block as a person would, against this server, and returns the answers.
async fn run(folder: &Path, buzon: &Buzon, script: &str) -> Vec<Value> {
    let script = script.replace("127.0.0.1:8080", &buzon.address.to_string());
    let output = Command::new("bash")
        .args(["-c", &format!("set -euo pipefail\n{script}")])
        .current_dir(folder)
        .stderr(Stdio::inherit())
        .output()
        .await
        .expect("bash is there");
    let answers = serde_json::Deserializer::from_slice(&output.stdout).into_iter();
    answers.collect::<Result<_, _>>().expect("the answers are JSON")
}

fn curl_blocks() -> (Vec<&'static str>, Vec<&'static str>) {
    let curls = blocks().into_iter().filter(|(language, _)| *language == "sh").map(|(_, script)| script);
    curls
        .filter(|script| script.contains("curl -X POST http://127.0.0.1:8080"))
        .partition(|script| !script.contains("openssl"))
}

#[test]
async fn its_commands_work_and_its_queries_give_the_answers_that_it_shows() {
    on_both_empty(async |world| {
        let (unsigned, signed) = curl_blocks();
        assert_eq!((unsigned.len(), signed.len()), (3, 1));
        deliver(&world, &unsigned).await;
        let (make_secret, _) = secret_block().split_once("buzon serve").expect("the service is started after it");
        let made = Command::new("bash").args(["-c", make_secret]).current_dir(world.folder.path()).status().await;
        assert!(made.expect("bash is there").success());
        deliver(&world, &signed).await;
        assert_eq!(world.rows("SELECT signed FROM events ORDER BY seq").await, ["0", "0", "0", "0", "0", "1"]);
        let mut queries = 0;
        for ((language, query), (answer_language, answer)) in blocks().into_iter().zip(blocks().into_iter().skip(1)) {
            if (language, answer_language) == ("sql", "text") {
                let shown: Vec<&str> = answer.lines().collect();
                // sqlite3 prints nothing for NULL.
                let rows = world.rows(query).await;
                let rows: Vec<String> = rows.iter().map(|row| row.replace("NULL", "")).collect();
                assert_eq!(rows, shown, "{query}");
                queries += 1;
            }
        }
        assert_eq!(queries, 6);
    })
    .await;
}

#[test]
async fn the_examples_of_media_stores_are_taken() {
    let world = World::empty(crate::support::database::world::Backend::Sqlite).await;
    let examples = MEDIA.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let examples: Vec<&str> = examples.filter(|example| example.contains("media_store")).collect();
    assert_eq!(examples.len(), 4);
    for example in examples {
        let example = example.replace("ACCOUNT_ID", "0123456789abcdef");
        std::fs::write(world.folder.path().join("buzon.toml"), example).expect("it can be written");
        let keys = [("BUZON_S3_ACCESS_KEY_ID", "a-key"), ("BUZON_S3_SECRET_ACCESS_KEY", "its secret")];
        let output = crate::support::program::process::run(world.folder.path(), &["check-config"], &keys).await;
        assert!(String::from_utf8_lossy(&output.stdout).contains("s3://my-bucket/buzon"), "{output:?}");
    }
}

fn secret_block() -> &'static str {
    let blocks: Vec<_> = blocks().into_iter().filter(|(_, script)| script.contains("> buzon.toml")).collect();
    assert_eq!(blocks.len(), 1);
    blocks[0].1
}

async fn deliver(world: &World, scripts: &[&str]) {
    let buzon = Buzon::serve(world, &[]).await;
    for script in scripts {
        for duplicate in [false, true] {
            let answers = run(world.folder.path(), &buzon, script).await;
            let expected = serde_json::json!({"ok": true, "duplicate": duplicate});
            assert_eq!(answers, vec![expected; script.matches("curl").count()], "{script}");
        }
    }
    buzon.kill().await;
}

/// Returns the block that contains this text.
fn block_with(part: &str) -> &'static str {
    let found: Vec<_> = blocks().into_iter().filter(|(_, script)| script.contains(part)).collect();
    assert_eq!(found.len(), 1, "{part}");
    found[0].1
}

#[test]
fn it_installs_what_was_tested_with_a_compiler_that_can() {
    let manifest: toml::Table = include_str!("../../../Cargo.toml").parse().expect("it is TOML");
    let wanted = manifest["workspace"]["package"]["rust-version"].as_str().expect("it is stated");
    assert!(README.contains(&format!("Rust {wanted} or newer")), "{wanted}");
    let lines: Vec<&str> = block_with("git clone").lines().collect();
    // The README cannot know the URL of the repository, so it has a placeholder.
    let start = "cargo run --release --locked -- serve";
    assert_eq!(lines, ["git clone URL-OF-THIS-REPOSITORY buzon", "cd buzon", start]);
    assert!(README.contains("`cargo install --locked --path .`"));
    assert!(README.contains("in the place of `URL-OF-THIS-REPOSITORY`"));
}

#[test]
async fn its_database_of_postgresql_is_made_and_taken() {
    let server = url::Url::parse(postgres::server()).expect("the server has a URL");
    let name = format!("buzon_readme_{}", uuid::Uuid::now_v7().simple());
    let world = World::empty(Backend::Sqlite).await;
    let script = block_with("sudo -u postgres createuser").replace("template0 buzon", &format!("template0 {name}"));
    // The URL names the new user, because the system user is the superuser here; `serve` would not end, so `migrate` runs.
    let script = script.replace("postgres:///buzon ", &format!("postgres:///{name}?user={name} "));
    let around = format!(
        "set -euo pipefail\nsudo() {{ [ \"$1 $2\" = '-u postgres' ]; shift 2; \"$@\"; }}\n\
         buzon() {{ [ \"$1\" = serve ]; {} migrate; }}\n{script}\ntimeout 60 dropdb {name} && dropuser {name} || true\n",
        env!("CARGO_BIN_EXE_buzon")
    );
    let output = Command::new("bash")
        .args(["-c", &around])
        .env("USER", &name)
        .env("PGUSER", server.username())
        .env("PGPASSWORD", server.password().unwrap_or_default())
        .env("PGHOST", server.host_str().expect("it has a host"))
        .env("PGPORT", server.port().unwrap_or(5432).to_string())
        .current_dir(world.folder.path())
        .output();
    let output = output.await.expect("bash is there");
    assert!(output.status.success(), "{output:?}");
}

/// An error answer must not be saved as if it were a picture.
#[test]
async fn its_command_for_a_file_saves_nothing_where_there_is_none() {
    let world = World::in_folder("data/buzon.db");
    let buzon = Buzon::serve_default(&world, &[]).await;
    let script = block_with("-o picture.jpg").replace("127.0.0.1:8080", &buzon.address.to_string());
    let output = Command::new("bash").args(["-euc", &script]).current_dir(world.folder.path()).output().await;
    let output = output.expect("bash is there");
    assert_eq!(output.status.code(), Some(22), "curl says that there was an error: {output:?}");
    assert!(!world.folder.path().join("picture.jpg").exists());
    buzon.kill().await;
}

#[test]
async fn its_examples_of_settings_are_taken() {
    let world = World::empty(crate::support::database::world::Backend::Sqlite).await;
    let examples = blocks().into_iter().filter(|(language, _)| *language == "toml").map(|(_, example)| example);
    let examples: String = examples.collect();
    assert!(examples.contains("gateway_url") && examples.contains("[[instances]]"), "{examples}");
    let examples = examples.replace("YOUR-GATEWAY", "gateway.example.com").replace("TOKEN_OF_THE_INSTANCE", "a-token");
    std::fs::write(world.folder.path().join("buzon.toml"), examples).expect("it can be written");
    let output = crate::support::program::process::run(world.folder.path(), &["check-config"], &[]).await;
    assert!(String::from_utf8_lossy(&output.stdout).contains("123 \"Ventas\" (2 secrets of its own)"), "{output:?}");
}

#[test]
async fn every_setting_that_it_lists_exists_and_every_one_that_exists_is_listed() {
    let world = World::empty(crate::support::database::world::Backend::Sqlite).await;
    let output = crate::support::program::process::run(world.folder.path(), &["check-config"], &[]).await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut known: Vec<&str> =
        said.lines().take_while(|line| !line.is_empty()).filter_map(|line| line.split_whitespace().next()).collect();
    let (_, settings) = README.split_once("\n## Settings\n").expect("there is a section");
    let rows = settings.lines().filter_map(|line| line.strip_prefix("| `"));
    let mut listed: Vec<&str> = rows.filter_map(|row| row.split('`').next()).collect();
    known.sort();
    listed.sort();
    assert_eq!(listed, known);
    for key in listed {
        assert!(README.contains(&format!("`BUZON_{}`", key.to_uppercase())), "{key}");
    }
}

/// The block depends on the section before it, which sets up a secret in `buzon.toml`.
#[test(flavor = "multi_thread")]
async fn what_it_shows_to_be_tried_out_works() {
    on_both_empty(async |world| {
        let (make_secret, _) = secret_block().split_once("buzon serve").expect("the service is started after it");
        let made = Command::new("bash").args(["-c", make_secret]).current_dir(world.folder.path()).status().await;
        assert!(made.expect("bash is there").success());
        let buzon = Buzon::serve(&world, &[]).await;
        let (_, section) = README.split_once("\n## Try it out\n").expect("there is a section");
        let (section, _) = section.split_once("\n## ").expect("others follow");
        let scripts: Vec<&str> = section.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert_eq!(scripts.len(), 2);
        for (script, said) in scripts.into_iter().zip(["200\n{\"ok\":true,\"duplicate\":false}", "accepted"]) {
            let program = env!("CARGO_BIN_EXE_buzon");
            let script =
                format!("set -euo pipefail\nbuzon() {{ {program} \"$@\"; }}\n{}", script.replace(" 10s", " 1s"));
            let output = Command::new("bash")
                .args(["-c", &script])
                .env("BUZON_LISTEN", buzon.address.to_string())
                .current_dir(world.folder.path())
                .output();
            let output = output.await.expect("bash is there");
            assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains(said), "{output:?}");
        }
        assert_eq!(world.rows("SELECT DISTINCT signed FROM events").await, ["1"]);
        buzon.kill().await;
    })
    .await;
}

/// The backup is restored into another place, which is empty.
#[test(flavor = "multi_thread")]
async fn its_backup_is_made_and_restored() {
    on_both_empty(async |world| {
        let buzon = Buzon::serve(&world, &[]).await;
        buzon.deliver(crate::support::events::received("A", serde_json::json!({}))).await.accepted();
        let (_, section) = README.split_once("\n## Back it up\n").expect("there is a section");
        let (section, _) = section.split_once("\n## ").expect("others follow");
        let scripts: Vec<&str> = section.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert_eq!(scripts.len(), 2);
        let twin = World::empty(world.backend).await;
        let said = [(&world, "is as it was written"), (&twin, "every table is what the ledger says")];
        for (script, (world, said)) in scripts.into_iter().zip(said) {
            let program = env!("CARGO_BIN_EXE_buzon");
            let script =
                script.replace("/mnt/backup/buzon", twin.folder.path().join("backups").to_str().expect("it is text"));
            let output = Command::new("bash")
                .args(["-c", &format!("set -euo pipefail\nbuzon() {{ {program} \"$@\"; }}\n{script}")])
                .env("BUZON_DATABASE_URL", &world.url)
                .current_dir(world.folder.path())
                .output();
            let output = output.await.expect("bash is there");
            assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains(said), "{output:?}");
        }
        assert_eq!(twin.rows("SELECT id FROM messages").await, ["A"]);
        buzon.kill().await;
    })
    .await;
}

#[test]
fn every_problem_of_the_webhook_is_listed() {
    let source = include_str!("../../../src/http/problem.rs");
    let codes = source.lines().filter(|line| line.contains("=> ")).filter_map(|line| line.split('"').nth(1));
    let codes = codes.filter(|code| code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
    let codes: Vec<&str> = codes.filter(|code| !code.starts_with("token_") && *code != "not_ready").collect();
    assert!(codes.len() > 10, "{codes:?}");
    for code in codes {
        assert!(README.contains(&format!("`{code}`")), "{code}");
    }
}
