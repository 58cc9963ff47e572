//! `buzon gateway`, as a person uses it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::database::world::{Backend, World, on_both_empty};
use crate::support::events::{SECRET, received, sign};
use crate::support::eventually;
use crate::support::gateway::fake_gateway::{FakeGateway, TOKEN, answer};
use crate::support::gateway::file_server::StoppedFileServer;
use crate::support::program::process::{Buzon, run};

const OLD: &str = "the old secret of instance seven";

/// Returns a folder with the settings of a buzon whose gateway this is, with further settings of the instance at the end.
fn folder(gateway: &FakeGateway, instance: &str) -> World {
    let world = World::in_folder("data/buzon.db");
    write(world.folder.path(), &(gateway.settings() + instance));
    world
}

fn write(folder: &Path, settings: &str) {
    std::fs::write(folder.join("buzon.toml"), settings).expect("it can be written");
}

async fn run_gateway(world: &World, arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    // No server listens on this port.
    let away = StoppedFileServer::new();
    let listen = away.address().to_string();
    let base = [("BUZON_LISTEN", listen.as_str()), ("BUZON_LOG", "trace")];
    let output = run(world.folder.path(), &[&["gateway"], arguments].concat(), &[&base, settings].concat()).await;
    for said in [&output.stdout, &output.stderr] {
        assert!(!String::from_utf8_lossy(said).contains(TOKEN), "{output:?}");
    }
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("it is text")
}

/// Returns the program's own messages, without its log.
fn said(output: &Output) -> String {
    text(&output.stderr).lines().filter(|line| !line.starts_with('{')).collect::<Vec<_>>().join("\n")
}

#[test(flavor = "multi_thread")]
async fn what_the_gateway_could_not_deliver_is_listed_and_sent_again() {
    on_both_empty(async |world| {
        let gateway = FakeGateway::start().await;
        for n in 0..4 {
            assert!(!gateway.deliver(received(&format!("A{n}"), json!({}))).await);
        }
        write(world.folder.path(), &gateway.settings());
        let listed = run_gateway(&world, &["failed", "7"], &[]).await;
        let table = text(&listed.stdout);
        assert!(table.contains("(4 rows)") && table.contains("connect ECONNREFUSED"), "{table}");
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[2].starts_with("| 1 ") && lines[5].starts_with("| 4 "), "the oldest first: {table}");
        let listed = run_gateway(&world, &["failed", "7", "--json", "--limit", "3"], &[]).await;
        let json: Value = serde_json::from_slice(&listed.stdout).expect("it is JSON");
        assert_eq!((json.as_array().map(Vec::len), &json[0]["attempts"]), (Some(3), &json!(1)));
        assert!(said(&listed).contains("--limit NUMBER"), "{listed:?}");

        let off = [("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_GATEWAY_REPLAY", "false")];
        let buzon = Buzon::serve(&world, &off).await;
        gateway.set_buzon(Some(buzon.address));
        let one = run_gateway(&world, &["replay", "7", "3", "99"], &[]).await;
        assert!(one.status.success(), "{one:?}");
        assert_eq!(text(&one.stdout), "sent again 1, not there any more 1, failed 0\n");
        assert_eq!(world.rows("SELECT id FROM messages").await, ["A2"]);
        let stuck = gateway.keep_stuck();
        let all = run_gateway(&world, &["replay", "7", "--all"], &[]).await;
        assert_eq!(text(&all.stdout), "sent again 3, not there any more 0, failed 1\n");
        assert!(
            said(&all).contains(&format!("delivery {stuck}: the gateway has a problem of its own (502")),
            "{all:?}"
        );
        assert_eq!((all.status.code(), gateway.kept()), (Some(1), 1));
        assert_eq!(world.value("SELECT count(*) FROM messages").await, "4");
        buzon.kill().await;
    })
    .await;
}

#[test]
async fn whatever_the_gateway_answers_instead_is_one_clear_line() {
    let gateway = FakeGateway::start().await;
    let world = folder(&gateway, "");
    let json = "Content-Type: application/json\r\n";
    for (reply, line) in [
        (answer(401, json, "{}"), "the gateway refuses the token of instance 7"),
        (answer(403, "", ""), "the gateway refuses the token of instance 7"),
        (answer(404, json, "{}"), "the gateway knows no instance 7"),
        (answer(429, "Retry-After: 3600\r\n", ""), "asked too often (429); try again in 3600 seconds"),
        (answer(500, json, "{}"), "a problem of its own (500 Internal Server Error)"),
        (answer(302, "Location: /login\r\n", ""), "answers with a redirect (302 Found); set BUZON_GATEWAY_URL"),
        (answer(200, "Content-Type: text/html; charset=utf-8\r\n", "<html>"), "it sends text/html instead of JSON"),
        (answer(200, json, "{\"x\": 1}"), "has a form that this version of buzon does not know"),
        (
            answer(200, json, &format!("{{\"success\": false, \"error\": \"bad\\n{TOKEN}\"}}")),
            "refuses the request (200 OK): bad ***",
        ),
        (answer(400, json, "{\"message\": \"no limit\"}"), "refuses the request (400 Bad Request): no limit"),
        (
            "HTTP/1.1 200 X\r\nContent-Length: 10\r\nConnection: close\r\n\r\n{".to_owned(),
            "the gateway gives no answer: ",
        ),
        ("nothing of the kind".to_owned(), "the gateway gives no answer: "),
    ] {
        gateway.script(&[reply]);
        let output = run_gateway(&world, &["failed", "7"], &[]).await;
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]), "{output:?}");
        let said = said(&output);
        assert!(said.starts_with("buzon: ") && said.lines().count() == 1 && said.contains(line), "{line}: {said}");
    }
    let away = StoppedFileServer::new();
    let url = format!("http://{}", away.address());
    let output = run_gateway(&world, &["failed", "7"], &[("BUZON_GATEWAY_URL", url.as_str())]).await;
    let line = format!(
        "buzon: the gateway gives no answer: the server {} cannot be reached: Connection refused (os error 111)",
        away.address()
    );
    assert_eq!(said(&output), line);
}

#[test]
async fn a_gateway_that_is_asked_too_often_is_asked_again_when_it_says() {
    let gateway = FakeGateway::start().await;
    let world = folder(&gateway, "");
    let list = answer(200, "Content-Type: application/json\r\n", "[]");
    gateway.script(&[answer(429, "Retry-After: 1\r\n", ""), list]);
    let output = run_gateway(&world, &["failed", "7"], &[]).await;
    assert!(output.status.success() && text(&output.stdout).contains("(0 rows)"), "{output:?}");
    assert!(said(&output).contains("going on in 1 seconds"), "{output:?}");
    assert_eq!(gateway.asked("GET /api/webhook-dlq"), 2);
}

#[test]
async fn a_wrong_use_asks_the_gateway_for_nothing() {
    let gateway = FakeGateway::start().await;
    let world = folder(&gateway, "");
    std::fs::write(world.folder.path().join("empty"), "\n").expect("it can be written");
    for (arguments, settings, line) in [
        (&["replay", "7"][..], &[][..], "ID"),
        (&["replay", "7", "1", "--all"], &[], "--all"),
        (&["failed", "-"], &[], "gives every instance an id"),
        (&["failed", "8"], &[], "no token of instance 8 for the gateway; give --token-file FILE"),
        (&["failed", "7", "--token-file", "none"], &[], "--token-file: none: No such file"),
        (&["failed", "7", "--token-file", "empty"], &[], "one word without spaces"),
        (&["register", "7"], &[], "BUZON_PUBLIC_URL is not set"),
    ] {
        let output = run_gateway(&world, arguments, settings).await;
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {output:?}");
        assert!(said(&output).contains(line), "{arguments:?} {output:?}");
    }
    write(world.folder.path(), "");
    let output = run_gateway(&world, &["failed", "7"], &[]).await;
    assert!(output.status.code() == Some(2) && said(&output).contains("BUZON_GATEWAY_URL is not set"), "{output:?}");
    assert_eq!(gateway.asked(""), 0);
}

/// The program runs at a terminal that `script` creates.
#[test]
async fn without_a_token_in_the_settings_it_is_asked_for_and_not_shown() {
    let gateway = FakeGateway::start().await;
    let world = World::in_folder("data/buzon.db");
    let url = gateway.url();
    let buzon = format!("{} gateway failed 7", env!("CARGO_BIN_EXE_buzon"));
    let mut typed = tokio::process::Command::new("script");
    typed.args(["-qec", &buzon, "/dev/null"]).current_dir(world.folder.path()).env("BUZON_GATEWAY_URL", &url);
    typed.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).kill_on_drop(true);
    let mut child = typed.spawn().expect("script is there (bsdutils)");
    let mut stdin = child.stdin.take().expect("it is piped");
    let mut stdout = child.stdout.take().expect("it is piped");
    let mut shown = Vec::new();
    while !String::from_utf8_lossy(&shown).contains("it is not shown): ") {
        assert_ne!(
            stdout.read_buf(&mut shown).await.expect("it can be read"),
            0,
            "{}",
            String::from_utf8_lossy(&shown)
        );
    }
    stdin.write_all(format!("{TOKEN}\n").as_bytes()).await.expect("it can be written");
    stdout.read_to_end(&mut shown).await.expect("it can be read");
    assert!(child.wait().await.expect("it ends").success());
    let shown = String::from_utf8_lossy(&shown).into_owned();
    assert!(shown.contains("(0 rows)") && !shown.contains(TOKEN), "{shown}");
}

const PUBLIC: (&str, &str) = ("BUZON_PUBLIC_URL", "https://buzon.example.com");

#[test]
async fn registering_sets_url_and_secret_and_says_how_to_test_them() {
    let gateway = FakeGateway::start().await;
    let world = folder(&gateway, "");
    let output = run_gateway(&world, &["register", "7"], &[PUBLIC, ("BUZON_WEBHOOK_SECRET", SECRET)]).await;
    assert!(output.status.success(), "{output:?}");
    let told = text(&output.stdout);
    assert!(told.contains("https://buzon.example.com/webhook/7") && told.contains("Test Webhook"), "{told}");
    assert!(said(&output).contains("no buzon answers at http://127.0.0.1:"), "{output:?}");
    let url = "https://buzon.example.com/webhook/7";
    assert_eq!(gateway.webhooks(), [json!({"token": TOKEN, "url": url, "secret": SECRET})]);
    assert!(!text(&output.stdout).contains(SECRET) && !text(&output.stderr).contains(SECRET));
}

#[test]
async fn a_gateway_that_repeats_what_it_was_told_in_confidence_is_quoted_without_it() {
    let gateway = FakeGateway::start().await;
    let world = folder(&gateway, "");
    let refusal = json!({"error": format!("{TOKEN} may not set {SECRET}")}).to_string();
    gateway.script(&[answer(400, "Content-Type: application/json\r\n", &refusal)]);
    let output = run_gateway(&world, &["register", "7"], &[PUBLIC, ("BUZON_WEBHOOK_SECRET", SECRET)]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(said(&output).contains("*** may not set ***; nothing is changed here"), "{output:?}");
}

#[test]
async fn the_url_that_is_registered_has_the_id_percent_encoded() {
    let gateway = FakeGateway::start().await;
    let world = World::in_folder("data/buzon.db");
    write(world.folder.path(), &gateway.settings().replace("\"7\"", "\"100% +ñ\""));
    let settings = [PUBLIC, ("BUZON_WEBHOOK_SECRET", SECRET)];
    let output = run_gateway(&world, &["register", "100% +ñ"], &settings).await;
    assert!(output.status.success(), "{output:?}");
    let url = "https://buzon.example.com/webhook/100%25%20%2B%C3%B1";
    assert_eq!(gateway.webhooks(), [json!({"token": TOKEN, "url": url, "secret": SECRET})]);
    assert_eq!(gateway.asked("POST /api/instance/100%25%20+%C3%B1/webhook"), 1);
    let told = text(&output.stdout);
    assert!(told.contains(url) && told.contains("?id=100%25%20%2B%C3%B1)"), "{told}");
    let refused = run_gateway(&world, &["register", "a/b"], &settings).await;
    assert!(
        refused.status.code() == Some(2) && said(&refused).contains("the id a/b has no URL of its own"),
        "{refused:?}"
    );
}

/// Wherever the change of secrets stops, buzon accepts the secret with which the gateway signs.
#[test(flavor = "multi_thread")]
async fn a_new_secret_stands_beside_the_old_one_before_the_gateway_has_it_and_the_old_one_goes_last() {
    let gateway = FakeGateway::start().await;
    let world = folder(&gateway, "secret_files = [\"secret\"]\n");
    let file = world.folder.path().join("secret");
    std::fs::write(&file, format!("{OLD}\n")).expect("it can be written");
    let secrets = || {
        let text = std::fs::read_to_string(&file).expect("it is there");
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let buzon = Buzon::serve_default(&world, &[("BUZON_GATEWAY_REPLAY", "false")]).await;
    let address = buzon.address.to_string();
    let settings = [PUBLIC, ("BUZON_LISTEN", address.as_str())];

    // The running buzon does not know the new secret yet.
    let stopped = run_gateway(&world, &["register", "7", "--new-secret"], &settings).await;
    assert_eq!((stopped.status.code(), gateway.webhooks().len()), (Some(1), 0), "{stopped:?}");
    assert!(said(&stopped).contains("start buzon again") && said(&stopped).contains("run: buzon gateway register 7"));
    let [new, old] = <[String; 2]>::try_from(secrets()).expect("there are two");
    assert!(old == OLD && new.len() == 64 && new.bytes().all(|byte| byte.is_ascii_hexdigit()), "{new}");
    let mode = std::fs::metadata(&file).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode & 0o137, 0, "{mode:o}");
    let twice = run_gateway(&world, &["register", "7", "--new-secret"], &settings).await;
    assert_eq!((twice.status.code(), secrets()), (Some(2), vec![new.clone(), old.clone()]), "{twice:?}");
    assert!(said(&twice).contains("has two secrets already"), "{twice:?}");
    buzon.kill().await;

    let buzon = Buzon::serve_default(&world, &[("BUZON_GATEWAY_REPLAY", "false")]).await;
    let address = buzon.address.to_string();
    let settings = [PUBLIC, ("BUZON_LISTEN", address.as_str())];
    gateway.script(&[answer(500, "", "")]);
    let failed = run_gateway(&world, &["register", "7"], &settings).await;
    assert_eq!((failed.status.code(), secrets().len()), (Some(1), 2), "{failed:?}");
    let kept = run_gateway(&world, &["register", "7", "--drop-old-secret"], &settings).await;
    assert_eq!((kept.status.code(), secrets().len()), (Some(1), 2), "the gateway has confirmed nothing: {kept:?}");
    gateway.script(&[]);
    assert!(run_gateway(&world, &["register", "7"], &settings).await.status.success());
    assert_eq!(gateway.webhooks()[0]["secret"], new);
    for secret in [&new, &old] {
        let body = received(secret, json!({}));
        let post = crate::support::client().post(format!("http://{address}/webhook/7")).body(body.clone());
        let sent = post.header("X-Whapi-Signature", sign(secret, &body)).send().await.expect("it answers");
        assert_eq!(sent.status(), 200, "both are taken");
    }
    let dropped = run_gateway(&world, &["register", "7", "--drop-old-secret"], &settings).await;
    assert!(dropped.status.success(), "{dropped:?}");
    let log = async || Buzon::log(&world).await;
    eventually("its own checks are told", async || log().await.contains("buzon gateway register has tried")).await;
    assert!(!log().await.contains("a test webhook has arrived"), "the gateway has sent none");
    let types = world.rows("SELECT DISTINCT event_type FROM events ORDER BY event_type").await;
    assert_eq!(types, ["buzon_secret_check", "message_received"]);
    assert_eq!((secrets(), gateway.webhooks().len()), (vec![new.clone()], 2));
    for output in [&stopped, &failed, &kept, &dropped] {
        let all = text(&output.stdout) + &text(&output.stderr);
        assert!(!all.contains(&new) && !all.contains(OLD), "{all}");
    }
    buzon.kill().await;
}

#[test]
async fn a_new_secret_for_a_file_that_a_person_wrote_is_said_and_not_written() {
    let gateway = FakeGateway::start().await;
    for (instance, settings) in [
        (format!("secrets = [\"{OLD}\"]\n"), &[PUBLIC][..]),
        (String::new(), &[PUBLIC, ("BUZON_WEBHOOK_SECRET", SECRET)]),
    ] {
        let world = folder(&gateway, &instance);
        let before = std::fs::read(world.folder.path().join("buzon.toml")).expect("it is there");
        let output = run_gateway(&world, &["register", "7", "--new-secret"], settings).await;
        assert_eq!((output.status.code(), gateway.asked("")), (Some(2), 0), "{output:?}");
        let told = text(&output.stdout);
        assert!(told.contains("    secrets = [\"") && told.contains("run: buzon gateway register 7"), "{told}");
        assert!(!told.contains(OLD) && !told.contains(SECRET), "{told}");
        assert_eq!(std::fs::read(world.folder.path().join("buzon.toml")).expect("it is there"), before);
    }
}

#[test]
async fn settings_of_the_gateway_are_checked_like_all_others() {
    let world = World::empty(Backend::Sqlite).await;
    std::fs::write(world.folder.path().join("token"), format!("{TOKEN}\n")).expect("it can be written");
    let url = "gateway_url = 'https://gw.example.com'\n";
    for (settings, problem) in [
        (format!("[[instances]]\nid = 7\ntoken = '{TOKEN}'\n"), "its token needs gateway_url beside it"),
        (format!("{url}[[instances]]\nid = 7\ntoken = '{TOKEN}'\ntoken_file = 'token'\n"), "remove one of the two"),
        (format!("{url}[[instances]]\nid = 7\ntoken = 7\n"), "token is a text"),
        (format!("{url}[[instances]]\nid = 7\ntoken = '{TOKEN} {TOKEN}'\n"), "one word without spaces"),
        (format!("{url}[[instances]]\nid = 7\ntoken_file = 'none'\n"), "none: No such file"),
        (format!("{url}gateway_replay = 'often'\n"), "expected true or false"),
    ] {
        write(world.folder.path(), &settings);
        let output = run(world.folder.path(), &["check-config"], &[]).await;
        let line = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{settings} {output:?}");
        assert!(line.contains(problem) && line.lines().count() == 1 && !line.contains(TOKEN), "{line}");
    }
    write(world.folder.path(), &format!("{url}[[instances]]\nid = 7\nname = 'Ventas'\ntoken_file = 'token'\n"));
    let output = run(world.folder.path(), &["check-config"], &[]).await;
    assert!(text(&output.stdout).contains("7 \"Ventas\" (a token for the gateway)"), "{output:?}");
    assert!(!text(&output.stdout).contains(TOKEN), "{output:?}");
}
