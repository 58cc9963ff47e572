//! `buzon simulate`: a shop's traffic for trying out a buzon.

use std::net::TcpListener;
use std::process::Output;

use crate::support::database::world::{Backend, World, on_both_empty};
use crate::support::events::SECRET;
use crate::support::eventually;
use crate::support::program::process::{Buzon, run};

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("it is text")
}

fn free_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it is bound").to_string()
}

const SHOP: [&str; 8] = ["--seed", "7", "--start", "2024-08-26", "--rate", "400", "--duration", "1s"];

async fn simulate(world: &World, buzon: &Buzon, arguments: &[&str]) -> Output {
    let address = buzon.address.to_string();
    let settings = [("BUZON_LISTEN", address.as_str()), ("BUZON_WEBHOOK_SECRET", SECRET)];
    run(world.folder.path(), &[&["simulate"], &SHOP[..], arguments].concat(), &settings).await
}

fn line(summary: &str, name: &str) -> String {
    let line = summary.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("{name}: {summary}")).trim().to_owned()
}

#[test(flavor = "multi_thread")]
async fn a_shop_is_simulated_and_every_table_is_what_the_ledger_says() {
    on_both_empty(async |world| {
        let files = free_port();
        let origin = format!("http://{files}");
        let settings = [("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_MEDIA_ORIGINS", origin.as_str())];
        let buzon = Buzon::serve(&world, &settings).await;
        let output = simulate(&world, &buzon, &["--instances", "3", "--files", &files]).await;
        assert!(output.status.success(), "{output:?}");
        let summary = text(&output.stdout);
        let count = |name| line(&summary, name).parse::<u64>().expect("it is a number");
        assert_eq!(count("accepted") + count("duplicates"), 400, "{summary}");
        assert!(count("duplicates") > 0 && count("refused") == 0 && count("no answer") == 0, "{summary}");
        assert!(line(&summary, "latency").contains("p99"), "{summary}");
        let events = world.value("SELECT count(*) FROM events").await;
        assert_eq!(events, count("accepted").to_string());
        assert_eq!(world.value("SELECT count(DISTINCT instance_id) FROM events").await, "3");
        let (all, fetched) = line(&summary, "files")
            .split_once(", fetched ")
            .map(|(all, fetched)| (all.to_owned(), fetched.to_owned()))
            .expect("both are said");
        assert!(all == fetched && all != "0", "{summary}");
        let stored = async || world.rows("SELECT DISTINCT state FROM media").await == ["stored"];
        eventually("the last file is stored too", stored).await;
        let states = world.rows("SELECT DISTINCT state FROM events").await;
        assert_eq!(states, ["applied"], "buzon understands all of it");
        assert_ne!(world.value("SELECT count(*) FROM messages WHERE ack = 'read'").await, "0");

        // A repetition with the same arguments adds nothing new.
        let again = simulate(&world, &buzon, &["--instances", "3", "--files", &files]).await;
        assert_eq!(line(&text(&again.stdout), "accepted"), "0", "{again:?}");
        assert_eq!(world.value("SELECT count(*) FROM events").await, events);
        let checked =
            run(world.folder.path(), &["rebuild", "--check"], &[("BUZON_DATABASE_URL", world.url.as_str())]).await;
        assert!(checked.status.success(), "{checked:?}");
        buzon.kill().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_buzon_that_takes_nothing_is_not_sent_everything() {
    let world = World::empty(Backend::Sqlite).await;
    let buzon = Buzon::serve(&world, &[("BUZON_WEBHOOK_SECRET", "another secret, not ours")]).await;
    let output = simulate(&world, &buzon, &["--no-files"]).await;
    assert_eq!(output.status.code(), Some(1));
    let summary = text(&output.stdout);
    assert!(line(&summary, "refused").contains("(401 signature_mismatch)"), "{summary}");
    assert!(line(&summary, "sent").starts_with(|c: char| c.is_ascii_digit()) && !summary.contains("sent        400"));
    assert_eq!(world.value("SELECT count(*) FROM events").await, "0");
    buzon.kill().await;
}

#[test]
async fn a_wrong_use_is_named() {
    let world = World::empty(Backend::Sqlite).await;
    let file = "[[instances]]\nid = 7\nsecrets = ['the secret of seven alone']\n";
    std::fs::write(world.folder.path().join("buzon.toml"), file).expect("it can be written");
    let held = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let taken = held.local_addr().expect("it is bound").to_string();
    for (arguments, code, said) in [
        (&["--rate", "0"][..], 2, "from 0.01 to 10000"),
        (&["--duration", "30"], 2, "such as 45s, 10m or 2h"),
        (&["--duration", "25h"], 2, "up to 24h"),
        (&["--start", "soon", "--instance", "7"], 2, "--start: expected a day"),
        (&["--to", "127.0.0.1:1"], 2, "such as http://127.0.0.1:8080"),
        (&[], 2, "there is no secret for instance sim-1"),
        (&["--instance", "7", "--files", &taken], 1, "choose another address with --files"),
    ] {
        let output = run(world.folder.path(), &[&["simulate"], arguments].concat(), &[]).await;
        assert_eq!(output.status.code(), Some(code), "{arguments:?} {output:?}");
        assert!(text(&output.stderr).contains(said), "{arguments:?} {output:?}");
    }
    drop(held);
}
