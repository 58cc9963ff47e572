//! `buzon copy`: the program itself moves a shop from SQLite to PostgreSQL.

use std::net::TcpListener;
use std::process::Output;

use serde_json::json;

use crate::support::borrowed;
use crate::support::database::world::{Backend, World};
use crate::support::events::{SECRET, ack, received, sent};
use crate::support::eventually;
use crate::support::program::process::{Buzon, run};
use crate::support::receiver::{EventReceiver, ReceiverAnswer};

mod broken_off;
mod refusals;
mod whole;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const PASSWORD: &str = "a-password-that-nobody-may-see";
const ANA: &str = "573155550199";
const EVA: &str = "573004445566";

/// The tables that stay empty at the new place.
const LEFT_OUT: [&str; 3] = ["chat_moves", "media_object_locks", "sessions"];

/// A shop in SQLite with something of everything, whose service is stopped.
struct Shop {
    world: World,
    settings: Vec<(&'static str, String)>,
    /// The token of a panel.
    token: String,
    _receiver: EventReceiver,
}

impl Shop {
    async fn new() -> Self {
        let receiver = EventReceiver::start().await;
        receiver.answer(|_| ReceiverAnswer::Status(503));
        let world = World::empty(Backend::Sqlite).await;
        std::fs::write(world.folder.path().join("buzon.toml"), receiver.settings("")).expect("there is room");
        let files =
            TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port is free").to_string();
        let settings = vec![
            ("BUZON_WEBHOOK_SECRET", SECRET.to_owned()),
            ("BUZON_API_TOKEN", TOKEN.to_owned()),
            ("BUZON_MEDIA_ORIGINS", format!("http://{files}")),
            ("BUZON_RETENTION_MESSAGES", "10y".to_owned()),
        ];
        let mut shop = Self { world, settings, token: String::new(), _receiver: receiver };
        let buzon = shop.serve(&shop.world).await;
        shop.simulate(&buzon, &files).await;
        shop.tell(&buzon).await;
        let ended = async || shop.world.value("SELECT count(*) FROM media WHERE state = 'pending'").await == "0";
        eventually("the files are stored", ended).await;
        let failed = async || shop.world.value("SELECT count(*) FROM forward_failures").await != "0";
        eventually("the bot refuses something", failed).await;
        buzon.kill().await;
        shop.administer().await;
        shop
    }

    async fn simulate(&self, buzon: &Buzon, files: &str) {
        let address = buzon.address.to_string();
        let settings = [("BUZON_LISTEN", address.as_str()), ("BUZON_WEBHOOK_SECRET", SECRET)];
        let shop = ["simulate", "--seed", "7", "--start", "2024-08-26", "--rate", "600", "--duration", "1s"];
        let arguments = [&shop[..], &["--instances", "2", "--files", files]].concat();
        let output = run(self.world.folder.path(), &arguments, &settings).await;
        assert!(output.status.success(), "{output:?}");
    }

    /// Delivers what no shop sees every day.
    async fn tell(&self, buzon: &Buzon) {
        let (ana, eva, lid) = (format!("{ANA}@c.us"), format!("{EVA}@c.us"), "99887766554433@lid");
        for body in [
            received("A1", json!({"chat_id": ana, "from": ana, "body": "llámame"})),
            received("A1", json!({"chat_id": ana, "from": ana, "body": "llámame ya"})),
            sent("A2", json!({"chat_id": ana, "to": ana})),
            ack("A2", "read"),
            received("E1", json!({"chat_id": eva, "from": eva, "latitude": 4.65, "longitude": -74.05})),
            received("E2", json!({"chat_id": lid, "from": lid, "sender_pn": eva})),
            received(
                "E3",
                json!({"chat_id": "11223344556677@lid", "from": "11223344556677@lid", "timestamp": 1_262_304_000}),
            ),
            b"no JSON \0 at all".to_vec(),
        ] {
            buzon.deliver(body).await.accepted();
        }
    }

    /// Does what an owner does by hand.
    async fn administer(&mut self) {
        let said = self.said(&["token", "create", "--name", "panel", "--instance", "7", "--expires", "30d"]).await;
        let token = said.split_whitespace().find(|word| word.starts_with("buzon_"));
        self.token = token.unwrap_or_else(|| panic!("it is shown: {said}")).to_owned();
        let session = "INSERT INTO sessions (hmac, token_sha256, device, created_at, used_at, expires_at) \
                       VALUES (x'01', x'02', 'phone', '2026-11-30T10:00:00.000Z', '2026-11-30T10:00:00.000Z', \
                       '2099-01-01T00:00:00.000Z')";
        self.world.execute(session).await;
        self.said(&["contact", "link", "7", "11223344556677@lid", EVA]).await;
        self.said(&["contact", "name", "7", EVA, "Eva (mayorista)"]).await;
        self.said(&["export", "messages", "messages.csv"]).await;
        let rehearsed = self.said(&["erase", "person", ANA]).await;
        let code = rehearsed.trim_end().rsplit(' ').next().expect("it ends with the code");
        self.said(&["erase", "person", ANA, "--yes", code]).await;
        self.said(&["retention", "--yes"]).await;
    }

    /// Returns the settings, with a database.
    fn all(&self, url: &str) -> Vec<(&'static str, String)> {
        [&[("BUZON_DATABASE_URL", url.to_owned())], &self.settings[..]].concat()
    }

    /// Serves a database with the shop's settings and media store.
    async fn serve(&self, database: &World) -> Buzon {
        Buzon::serve_default(&self.world, &borrowed(&self.all(&database.url))).await
    }

    /// Runs a command on a database with the shop's settings.
    async fn run_on(&self, database: &World, arguments: &[&str]) -> Output {
        run(self.world.folder.path(), arguments, &borrowed(&self.all(&database.url))).await
    }

    async fn said(&self, arguments: &[&str]) -> String {
        let output = self.run_on(&self.world, arguments).await;
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        text(&output.stdout)
    }

    /// Returns the arguments that move the shop to another database. The URL, with a password, is in a file.
    fn moving(&self, to: &World) -> [String; 3] {
        let mut url = url::Url::parse(&to.url).expect("it is a URL");
        url.set_password(Some(PASSWORD)).expect("it has a host");
        let file = to.folder.path().join("url");
        std::fs::write(&file, format!("{url}\n")).expect("there is room");
        ["copy".to_owned(), "--to-file".to_owned(), file.display().to_string()]
    }

    async fn copy(&self, to: &World) -> Output {
        let arguments = self.moving(to);
        let output = self.run_on(&self.world, &arguments.each_ref().map(String::as_str)).await;
        let all = text(&output.stdout) + &text(&output.stderr);
        assert!(!all.contains(PASSWORD), "{all}");
        output
    }

    /// Moves the shop, and returns what the command prints.
    async fn copied(&self, to: &World) -> String {
        let output = self.copy(to).await;
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        text(&output.stdout)
    }

    /// Runs a copy that must fail with this exit code and one line, and returns the line.
    async fn not_copied(&self, to: &World, code: i32) -> String {
        refused(&self.copy(to).await, code)
    }

    /// Returns the rows of each table of the source, read by the test itself.
    async fn tables(&self) -> Vec<(String, String, Vec<String>)> {
        let tables = "SELECT name FROM sqlite_master WHERE type = 'table' \
                      AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '_buzon%' AND name NOT LIKE 'message_words%'";
        let mut found = Vec::new();
        for table in self.world.rows(tables).await {
            let columns = format!("SELECT '\"' || name || '\"' FROM pragma_table_info('{table}')");
            let mut columns = self.world.rows(&columns).await;
            // The words are compared by `World::dump`. Forwards are paused by the copy.
            let own = ["search_key", "words", "facets", "paused", "pause_reason", "lease_until"];
            let is_compared = |column: &String| !own.contains(&column.trim_matches('"'));
            columns.retain(|column| !["message_search", "forwards"].contains(&table.as_str()) || is_compared(column));
            let columns = columns.join(", ");
            found.push((table.clone(), columns.clone(), sorted(&self.world, &table, &columns).await));
        }
        assert!(found.len() > 25, "these are all tables");
        found
    }

    /// Checks that another database has the rows of the shop.
    async fn assert_at(&self, to: &World) {
        for (table, columns, rows) in self.tables().await {
            let there = sorted(to, &table, &columns).await;
            if LEFT_OUT.contains(&table.as_str()) {
                assert_eq!(there, [""; 0], "{table}");
            } else {
                assert_eq!(there, rows, "{table}");
            }
        }
        assert_eq!(to.dump().await, self.world.dump().await);
    }
}

async fn sorted(world: &World, table: &str, columns: &str) -> Vec<String> {
    let mut rows = world.rows(&format!("SELECT {columns} FROM {table}")).await;
    rows.sort();
    rows
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("it is text")
}

fn refused(output: &Output, code: i32) -> String {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}
