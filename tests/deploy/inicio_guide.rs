//! docs/inicio.md, followed word by word as far as possible on one machine: blocks marked `bash` need the internet or
//! root.

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::{project, text};
use crate::support::events::{received, sign};
use crate::support::eventually;
use crate::support::gateway::fake_gateway::{FakeGateway, TOKEN};
use crate::support::program::service::answer;

/// A reader of the guide who has a gateway with instance 7, and this machine.
struct Reader {
    home: tempfile::TempDir,
    gateway: FakeGateway,
    ports: [String; 2],
}

impl Reader {
    async fn new() -> Self {
        let home = tempfile::tempdir().expect("there is a temporary folder");
        // Both ports are held at the same time, so that they differ.
        let held = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port is free"));
        let ports = held.each_ref().map(|it| it.local_addr().expect("it is bound").to_string());
        Self { home, gateway: FakeGateway::start().await, ports }
    }

    /// Returns a block with the reader's own values filled in.
    fn own(&self, block: &str) -> String {
        let block = block.replace("https://TU-GATEWAY", &self.gateway.url()).replace("123", "7");
        let block = block.replace("127.0.0.1:8081", &self.ports[1]);
        block.replace("TU-DOMINIO", "buzon.example.com")
    }

    fn shell(&self, block: &str) -> Command {
        let program = Path::new(env!("CARGO_BIN_EXE_buzon")).parent().expect("it is in a folder");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-c", &self.own(block)]).env_clear().current_dir("/").kill_on_drop(true);
        command.env("HOME", self.home.path()).env("PATH", format!("{}:{path}", program.display()));
        command.env("BUZON_LISTEN", &self.ports[0]).stdin(Stdio::null());
        command
    }

    async fn run(&self, block: &str) -> String {
        let output = self.shell(block).output().await.expect("bash is there");
        assert!(output.status.success(), "{block}: {output:?}");
        String::from_utf8(output.stdout).expect("it is text")
    }

    /// Runs a block at a terminal that `script` creates, and types this text when asked.
    async fn run_and_type(&self, block: &str, typed: &str) -> String {
        let shell = self.shell(block);
        let environment = shell.as_std().get_envs().filter_map(|(name, value)| Some((name, value?)));
        let mut terminal = Command::new("script");
        terminal.args(["-qec", self.own(block).trim(), "/dev/null"]).env_clear().envs(environment).kill_on_drop(true);
        let child = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.expect("script is there (bsdutils)");
        let mut keys = child.stdin.take().expect("it is piped");
        let mut screen = child.stdout.take().expect("it is piped");
        let mut shown = Vec::new();
        while !String::from_utf8_lossy(&shown).contains("it is not shown): ") {
            let read = screen.read_buf(&mut shown).await.expect("it can be read");
            assert_ne!(read, 0, "{}", String::from_utf8_lossy(&shown));
        }
        keys.write_all(typed.as_bytes()).await.expect("it is typed");
        screen.read_to_end(&mut shown).await.expect("it can be read");
        let shown = String::from_utf8(shown).expect("it is text");
        assert!(child.wait().await.expect("it ends").success(), "{shown}");
        shown
    }
}

#[test(flavor = "multi_thread")]
async fn it_leads_from_nothing_to_a_stored_message() {
    let guide = text("docs/inicio.md");
    let blocks: Vec<&str> = guide.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let [settings, send, register, look, read] = blocks.as_slice() else { panic!("{blocks:?}") };
    let reader = Reader::new().await;
    let said = reader.run(settings).await;
    assert!(said.contains("set, 64 characters") && said.contains("https://buzon.example.com"), "{said}");

    assert!(guide.contains("\ncd ~/buzon && buzon serve\n"));
    let log = std::fs::File::create(reader.home.path().join("log")).expect("it can be made");
    let mut serve = reader.shell("cd ~/buzon && exec buzon serve");
    let mut serving = serve.stdout(Stdio::null()).stderr(log).spawn().expect("bash is there");
    let url = |path: &str| format!("http://{}{path}", reader.ports[0]);
    let lives = async || crate::support::client().get(url("/health/live")).send().await.is_ok();
    eventually("it serves", lives).await;
    assert!(reader.run(send).await.contains("200\n{\"ok\":true,\"duplicate\":false}"));
    let running = answer(crate::support::client().get(url("/webhook"))).await;
    assert!(running.body.to_string().contains("this receives POSTs; it is running"), "{running:?}");
    assert!(guide.contains("this receives POSTs; it is running"));
    // The tunnel exposes the webhook alone, and not the read API.
    assert_eq!(answer(crate::support::client().get(url("/api/v1/messages"))).await.status, 404);

    let said = reader.run_and_type(register, &format!("{TOKEN}\n")).await;
    assert!(said.contains("https://buzon.example.com/webhook/7") && !said.contains(TOKEN), "{said}");
    let registered = reader.gateway.webhooks();
    assert_eq!((registered.len(), &registered[0]["url"]), (1, &json!("https://buzon.example.com/webhook/7")));
    let secret = registered[0]["secret"].as_str().expect("it is text");

    // The gateway's own test event, and a message to the number.
    let test = br#"{"event_type":"test_webhook","instance_id":7,"message":"This is a test"}"#.to_vec();
    for body in [test, received("A", json!({"instance_id": "7", "body": "Hola desde otro teléfono"}))] {
        let post = crate::support::client().post(url("/webhook/7")).header("X-Whapi-Signature", sign(secret, &body));
        assert!(!answer(post.body(body)).await.accepted());
    }
    let line = "a test webhook has arrived and is stored (signature valid)";
    let log = async || std::fs::read_to_string(reader.home.path().join("log")).is_ok_and(|log| log.contains(line));
    eventually("the log says so", log).await;
    assert!(guide.contains(line));
    // The events are: one sent by hand, one from `register` to test its secret, the gateway's test, and a message.
    let events = reader.run(look).await;
    let events: Vec<_> = events.lines().filter_map(|line| line.split_once('|')).map(|(_, event)| event).collect();
    assert_eq!(
        events,
        ["test_webhook", "buzon_secret_check", "test_webhook", "message_received"].map(|it| format!("7|{it}|1"))
    );
    assert!(reader.run(read).await.contains("Hola desde otro teléfono"));
    serving.kill().await.expect("it ends");
}

/// Returns the text of all files below a folder of the project.
fn source(folder: &str) -> String {
    let entries = std::fs::read_dir(project(folder)).expect("the folder is there");
    let entries = entries.map(|entry| entry.expect("it can be read"));
    let paths = entries.map(|entry| (entry.path().is_dir(), format!("{folder}/{}", entry.file_name().display())));
    paths.map(|(is_dir, path)| if is_dir { source(&path) } else { text(&path) }).collect()
}

/// A reader looks up a mistake by the text that buzon prints.
#[test]
fn its_error_texts_are_those_that_buzon_prints() {
    let guide = text("docs/inicio.md");
    let (_, mistakes) = guide.split_once("\n## Si algo no sale\n").expect("there is a section");
    let sources: String = ["src/http", "src/config", "src/gateway"].map(source).concat();
    for said in [
        "webhooks were refused",
        "signature_mismatch",
        "signature_missing",
        "names another instance",
        "a public webhook needs a secret",
        " is a placeholder",
        "there is no such setting; did you mean",
        "cannot listen on",
        "the gateway refuses the token of instance",
    ] {
        assert!(mistakes.contains(said) && sources.contains(said), "{said}");
    }
}
