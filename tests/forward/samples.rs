//! The receivers of the gateway's guide, as it prints them.

use std::process::Stdio;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::{caught_up, nobody, start, stopped};
use crate::support::database::world::{Backend, World};
use crate::support::events::{GUIDE, SECRET};
use crate::support::eventually_within;

const EXPRESS: &str = include_str!("../fixtures/receivers/express.js");
const FLASK: &str = include_str!("../fixtures/receivers/flask.py");
const PHP: &str = include_str!("../fixtures/receivers/webhook.php");

/// Starts a sample in the world's folder on a port.
async fn serve(world: &World, program: &str, arguments: &[&str], port: u16) -> Child {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(world.folder.path()).kill_on_drop(true);
    command.env("NODE_PATH", "/usr/share/nodejs:/usr/lib/nodejs").env("WHAPI_WEBHOOK_SECRET", SECRET);
    // PHP's sample remembers what it has seen there.
    command.env("TMPDIR", world.folder.path());
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let child = child.unwrap_or_else(|error| panic!("{program}: {error}; run scripts/test --install"));
    let listens = async || TcpStream::connect(("127.0.0.1", port)).await.is_ok();
    eventually_within(Duration::from_secs(60), "the sample listens", listens).await;
    child
}

async fn takes_everything(sample: &str, file: &str, program: &str, arguments: impl Fn(u16) -> Vec<String>) {
    for (secret, is_right) in [(SECRET, true), ("another secret of the gateway", false)] {
        let world = World::new(Backend::Sqlite).await;
        let port = nobody().await.port();
        let text = sample.replace("WEBHOOK_SECRET = \"\"", &format!("WEBHOOK_SECRET = \"{secret}\""));
        let text = text.replace("process.env.WHAPI_WEBHOOK_SECRET", &format!("\"{secret}\""));
        std::fs::write(world.folder.path().join(file), text.replace("3000", &port.to_string())).expect("there is room");
        let arguments = arguments(port);
        let arguments = Vec::from_iter(arguments.iter().map(String::as_str));
        let _sample = serve(&world, program, &arguments, port).await;
        let url = format!("http://127.0.0.1:{port}/webhook");
        let settings = format!("[[forwards]]\nname = \"bot\"\nurl = \"{url}\"\nmax_age = \"none\"\n");
        let service = start(&world, &settings).await;
        for (_, body) in GUIDE {
            service.deliver("/webhook/123", body).await.accepted();
        }
        if is_right {
            caught_up(&world, "bot").await;
            assert_eq!(world.value("SELECT delivered, given_up FROM forwards").await, "5|0");
        } else {
            stopped(&world, true).await;
            assert_eq!(world.value("SELECT delivered, stopped_reason FROM forwards").await, "0|status 401");
        }
        service.stop().await;
    }
}

#[test(flavor = "multi_thread")]
async fn the_sample_for_express_verifies_the_signature_and_takes_everything() {
    takes_everything(EXPRESS, "express.js", "node", |_| vec!["express.js".to_owned()]).await;
}

#[test(flavor = "multi_thread")]
async fn the_sample_for_flask_verifies_the_signature_and_takes_everything() {
    takes_everything(FLASK, "receiver.py", "/usr/bin/python3", |_| vec!["receiver.py".to_owned()]).await;
}

#[test(flavor = "multi_thread")]
async fn the_sample_for_php_verifies_the_signature_and_takes_everything() {
    let arguments = |port| vec!["-S".to_owned(), format!("127.0.0.1:{port}"), "webhook.php".to_owned()];
    takes_everything(PHP, "webhook.php", "php", arguments).await;
}
