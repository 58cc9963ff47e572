//! Secrets that other users of the machine can see are named, at the start and by `buzon doctor`.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::support::database::world::{Backend, World};
use crate::support::events::SECRET;
use crate::support::program::process::{Buzon, run};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const URL: &str = "postgres://shop:of-the-shop@127.0.0.1:1/shop";

fn write(folder: &Path, name: &str, text: &str, mode: u32) {
    let path = folder.join(name);
    fs::write(&path, text).expect("it can be written");
    fs::set_permissions(&path, Permissions::from_mode(mode)).expect("it is ours");
}

/// Returns the warnings of doctor under `secrets` and `api_token`, with the remedies.
async fn warnings(world: &World, arguments: &[&str]) -> Vec<String> {
    let arguments = [&["doctor", "--json"], arguments].concat();
    // These settings cause no other warning.
    let settings = [("BUZON_WEBHOOK_ALLOW_FROM", "127.0.0.1"), ("BUZON_LISTEN", "127.0.0.1:1")];
    let output = run(world.folder.path(), &arguments, &settings).await;
    let said = String::from_utf8(output.stdout).expect("it is text");
    assert!(!said.contains("of-the-shop") && !said.contains(TOKEN), "{said}");
    let report: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    let lines = report["checks"].as_array().expect("there are checks").iter();
    let text = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
    lines
        .filter(|line| ["secrets", "api_token"].map(Some).contains(&line["check"].as_str()) && line["status"] != "ok")
        .map(|line| format!("{}; {}", text(line, "detail"), text(line, "remedy")))
        .filter(|line| line.contains("every user of this machine"))
        .collect()
}

#[test]
async fn a_file_with_a_secret_that_everybody_can_read_is_named_with_the_remedy() {
    let here = "data_dir = \"data\"\n";
    let secret = format!("webhook_secret = \"{SECRET}\"\n");
    let instance =
        |fields: &str| format!("gateway_url = \"http://127.0.0.1:1\"\n[[instances]]\nid = \"7\"\n{fields}\n");
    let inline = instance(&format!("secrets = [\"{SECRET}\"]"));
    for (settings, kept, text) in [
        (secret.clone(), "buzon.toml", secret.as_str()),
        (format!("database_url = \"{URL}\"\n"), "buzon.toml", ""),
        (inline.clone(), "buzon.toml", ""),
        (instance(&format!("secret_files = [\"kept\"]\ntoken = \"{TOKEN}\"")), "buzon.toml", SECRET),
        ("webhook_secret_file = \"kept\"\n".to_owned(), "kept", SECRET),
        ("api_token_file = \"kept\"\n".to_owned(), "kept", TOKEN),
        ("ticket_key_file = \"kept\"\n".to_owned(), "kept", TOKEN),
        ("database_url_file = \"kept\"\n".to_owned(), "kept", URL),
        (instance("secret_files = [\"kept\"]"), "kept", SECRET),
        (instance("token_file = \"kept\""), "kept", TOKEN),
        (here.to_owned(), "data/api-token", TOKEN),
        (here.to_owned(), "data/ticket-key", TOKEN),
    ] {
        let world = World::in_folder("data/buzon.db");
        let folder = world.folder.path();
        buzon::platform::private_folder::make(&world.data_dir()).expect("it can be made");
        for (mode, expected) in [(0o600, 0), (0o640, 0), (0o644, 1), (0o642, 1)] {
            write(folder, "buzon.toml", &settings, if kept == "buzon.toml" { mode } else { 0o600 });
            let other = if kept == "buzon.toml" { ("kept", 0o600) } else { (kept, mode) };
            write(folder, other.0, if text.is_empty() { SECRET } else { text }, other.1);
            let said = warnings(&world, &[]).await;
            assert_eq!(said.len(), expected, "{settings} {mode:o}: {said:?}");
            assert!(said.iter().all(|line| line.contains(&format!("run: chmod o-rwx {kept}"))), "{said:?}");
        }
    }
}

#[test]
async fn files_without_secrets_are_for_everybody() {
    let world = World::in_folder("data/buzon.db");
    let folder = world.folder.path();
    let settings = "public_url = \"https://buzon.example.com\"\nwebhook_secret_file = \"kept\"\n\
                    database_url_file = \"url\"\n[[instances]]\nid = \"7\"\nname = \"Ventas\"\n";
    write(folder, "buzon.toml", settings, 0o644);
    write(folder, "url", "postgres://shop@127.0.0.1:1/shop", 0o644);
    write(folder, "kept", SECRET, 0o640);
    assert_eq!(warnings(&world, &[]).await, [""; 0]);
}

#[test]
async fn the_start_warns_in_the_log_and_serves() {
    let world = World::in_folder("data/buzon.db");
    let said = async || {
        Buzon::serve_default(&world, &[]).await.kill().await;
        let log = Buzon::log(&world).await;
        log.lines().filter(|line| line.contains("WARN") && line.contains("chmod o-rwx")).count()
    };
    let secret = format!("webhook_secret = \"{SECRET}\"\n");
    write(world.folder.path(), "buzon.toml", &secret, 0o640);
    assert_eq!(said().await, 0);
    write(world.folder.path(), "buzon.toml", &secret, 0o644);
    assert_eq!(said().await, 1);
}

#[test]
async fn a_password_on_the_command_line_is_warned_of_and_not_repeated() {
    let world = World::empty(Backend::Sqlite).await;
    for (url, expected) in [(URL, true), ("postgres://shop@127.0.0.1:1/shop", false), (&world.url, false)] {
        for arguments in [&["sql", "SELECT 1"][..], &["token", "list"], &["migrate"], &["serve"]] {
            let arguments = [arguments, &["--database-url", url, "--listen", "127.0.0.1:0"]].concat();
            if arguments[0] == "serve" && url == world.url {
                continue;
            }
            let output = run(world.folder.path(), &arguments, &[]).await;
            let said = String::from_utf8(output.stderr).expect("it is text");
            let warns = said.contains("in the list of processes") && said.contains("set BUZON_DATABASE_URL");
            assert_eq!(warns, expected, "{arguments:?}: {said}");
            assert!(!said.contains("of-the-shop"), "{said}");
        }
        assert_eq!(!warnings(&world, &["--database-url", url]).await.is_empty(), expected, "{url}");
    }
}
