//! `buzon doctor`, as the owner of a small business runs it: each problem is named together with its remedy.

use std::net::SocketAddr;
use std::process::Output;
use std::time::{Duration, UNIX_EPOCH};

use buzon::platform::clock::{Clock, SystemClock};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::PATIENCE;
use crate::support::database::postgres::Server;
use crate::support::database::world::{Backend, World, on_both_empty};
use crate::support::gateway::file_server::{FileServer, Reply, StoppedFileServer};
use crate::support::program::mount_namespace::namespace;
use crate::support::program::process::{Buzon, command, run};

const STRONG: &str = "4f1c3b2f7f0a4a55a1a3c5f3f1d0c9e8";
/// Settings that keep the checks independent of the disk of the machine that runs the tests.
const ROOM: [(&str, &str); 2] = [("BUZON_MIN_FREE", "1"), ("BUZON_MEDIA_MIN_FREE", "1")];

/// The environment of a buzon in which every check passes.
struct Shop {
    buzon: Buzon,
    gateway: FileServer,
}

impl Shop {
    async fn open(world: &World) -> Self {
        Self::open_with(world, &[]).await
    }

    async fn open_with(world: &World, settings: &[(&str, &str)]) -> Self {
        let settings = [&[("BUZON_WEBHOOK_SECRET", STRONG)], settings].concat();
        let buzon = Buzon::serve(world, &settings).await;
        let gateway = FileServer::start().await;
        gateway.reply_to_all(|_| at(0));
        Self { buzon, gateway }
    }

    fn settings(&self, world: &World) -> Vec<(&'static str, String)> {
        let here = self.buzon.address.to_string();
        let shop = [
            ("BUZON_DATABASE_URL", world.url.clone()),
            ("BUZON_WEBHOOK_SECRET", STRONG.to_owned()),
            ("BUZON_PUBLIC_URL", format!("http://{here}")),
            ("BUZON_LISTEN", here),
            ("BUZON_GATEWAY_URL", self.gateway.url("")),
        ];
        shop.into_iter().chain(ROOM.map(|(name, value)| (name, value.to_owned()))).collect()
    }

    /// Returns the report, with these settings in place of the shop's.
    async fn report(&self, world: &World, others: &[(&'static str, &str)]) -> Report {
        let mut settings = self.settings(world);
        for (name, value) in others {
            settings.retain(|(other, _)| other != name);
            settings.push((*name, (*value).to_owned()));
        }
        report(world, &crate::support::borrowed(&settings)).await
    }
}

/// Returns the reply of a gateway whose clock is this many seconds ahead.
fn at(seconds: i64) -> Reply {
    let millis = SystemClock.now().millis() + seconds * 1_000;
    let date = UNIX_EPOCH + Duration::from_millis(millis.try_into().expect("it is after 1970"));
    Reply::with_headers(&format!("Date: {}\r\n", httpdate::fmt_http_date(date)), b"a gateway")
}

/// The output of `buzon doctor --json`.
struct Report {
    code: Option<i32>,
    json: Value,
}

impl Report {
    fn of(output: &Output) -> Self {
        let json = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
        Self { code: output.status.code(), json }
    }

    fn checks(&self) -> Vec<&Value> {
        self.json["checks"].as_array().expect("there are checks").iter().collect()
    }

    /// Returns the worst line of this check: `status: detail → remedy`.
    #[track_caller]
    fn of_check(&self, check: &str) -> String {
        let mut lines = self.checks();
        lines.retain(|line| line["check"] == check);
        let rank = |line: &&&Value| ["ok", "warning", "failure"].iter().position(|status| line["status"] == *status);
        let line = lines.iter().max_by_key(rank).unwrap_or_else(|| panic!("no line of {check} in {}", self.json));
        let text = |name: &str| line[name].as_str().unwrap_or_default();
        assert_eq!(line["status"] == "ok", line["remedy"].is_null(), "{line}");
        format!("{}: {} → {}", text("status"), text("detail"), text("remedy"))
    }

    /// Asserts that the line of `check` contains these words.
    #[track_caller]
    fn says(&self, check: &str, words: &[&str]) -> &Self {
        let line = self.of_check(check);
        for word in words {
            assert!(line.contains(word), "{word} in {line}");
        }
        self
    }

    /// Returns the names of the checks that are not well.
    fn troubles(&self) -> Vec<&str> {
        let troubled = self.checks().into_iter().filter(|line| line["status"] != "ok");
        troubled.map(|line| line["check"].as_str().expect("it has a name")).collect()
    }
}

async fn report(world: &World, settings: &[(&str, &str)]) -> Report {
    Report::of(&run(world.folder.path(), &["doctor", "--json"], settings).await)
}

/// Starts a proxy in front of `target` that adds these header lines, and returns its address.
async fn proxy(target: SocketAddr, headers: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(pass_on(client, target, headers));
        }
    });
    address
}

async fn pass_on(mut client: TcpStream, target: SocketAddr, headers: &str) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if client.read_buf(&mut head).await.unwrap_or_default() == 0 {
            return;
        }
    }
    let mut server = TcpStream::connect(target).await.expect("buzon listens");
    let line = head.iter().position(|byte| *byte == b'\n').expect("it has a line") + 1;
    for part in [&head[..line], headers.as_bytes(), &head[line..]] {
        server.write_all(part).await.expect("buzon reads");
    }
    // The connection ends when either side closes it.
    let _ = copy_bidirectional(&mut client, &mut server).await;
}

/// The start of the service prints the same warning.
#[test]
async fn triggers_of_others_are_named_and_tables_that_do_not_last_are_refused() {
    on_both_empty(async |world| {
        world.open().await.close().await;
        let trigger = match world.backend {
            Backend::Sqlite => "CREATE TRIGGER see AFTER INSERT ON events BEGIN SELECT 1; END",
            Backend::Postgres => {
                "CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN new; END $$; \
                 CREATE TRIGGER see AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION see()"
            }
        };
        world.execute(trigger).await;
        let shop = Shop::open(&world).await;
        let report = shop.report(&world, &[]).await;
        report.says("database", &["warning:", "triggers that are not buzon's: see on events", "answered 503"]);
        let log = Buzon::log(&world).await;
        assert!(
            log.contains("the tables have triggers that are not buzon's") && log.contains("see on events"),
            "{log}"
        );
        if world.backend == Backend::Postgres {
            world.execute("ALTER TABLE message_acks SET UNLOGGED").await;
            let report = shop.report(&world, &[]).await;
            report.says("database", &["failure:", "its table message_acks is UNLOGGED", "SET LOGGED"]);
        }
    })
    .await;
}

#[test]
async fn where_all_is_well_every_line_says_ok() {
    on_both_empty(async |world| {
        let shop = Shop::open(&world).await;
        let report = shop.report(&world, &[]).await;
        assert_eq!(report.troubles(), [""; 0], "{}", report.json);
        assert_eq!((report.code, &report.json["status"]), (Some(0), &"ok".into()));
        let checks: Vec<_> = report.checks().iter().map(|line| line["check"].as_str().expect("a name")).collect();
        let all = [
            "settings",
            "secrets",
            "api_token",
            "database",
            "disk",
            "media",
            "gateway",
            "clock",
            "service",
            "public_url",
            "proxies",
        ];
        assert_eq!(checks, all);
        report.says("public_url", &["leads to the buzon that runs here"]).says("clock", &["agrees"]);
        report.says("media", &["written, read back and removed"]);
        assert_eq!(world.value("SELECT count(*) FROM events").await, "0", "it sends no event");
        let media = world.data_dir().join("media");
        let files = std::fs::read_dir(media).expect("it is there").map(|entry| entry.expect("it can be read").path());
        let left: Vec<_> = files.filter(|path| path.is_dir()).flat_map(std::fs::read_dir).flatten().collect();
        assert!(left.is_empty(), "{left:?}");
        shop.buzon.kill().await;
    })
    .await;
}

#[test]
async fn for_people_it_prints_a_line_for_each_check_with_the_remedy_and_no_secret() {
    let world = World::empty(Backend::Sqlite).await;
    let shop = Shop::open(&world).await;
    let wrong = shop.gateway.url("/elsewhere");
    let mut settings = shop.settings(&world);
    settings.retain(|(name, _)| *name != "BUZON_PUBLIC_URL");
    settings.push(("BUZON_PUBLIC_URL", wrong));
    // The page could not be at a path.
    settings.push(("BUZON_DASHBOARD", "false".to_owned()));
    let output = run(world.folder.path(), &["doctor"], &crate::support::borrowed(&settings)).await;
    let (said, summary) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(2), "{said}");
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines.iter().any(|line| line.starts_with("ok ") && line.contains("database")), "{said}");
    let failure = lines.iter().position(|line| line.starts_with("failure  public_url")).expect("it is a failure");
    assert!(lines[failure + 1].trim_start().starts_with("→ correct public_url"), "{said}");
    assert_eq!(summary, "buzon: 1 failure, 0 warnings\n");
    let token = std::fs::read_to_string(world.data_dir().join("api-token")).expect("there is a token");
    for secret in [STRONG, token.trim()] {
        assert!(!said.contains(secret), "{said}");
        assert!(!shop.gateway.requests().iter().any(|head| head.contains(secret)), "it is told to nobody");
    }
    shop.buzon.kill().await;
}

#[test]
async fn a_wrong_public_url_is_named_by_what_is_there() {
    let world = World::empty(Backend::Sqlite).await;
    let shop = Shop::open(&world).await;
    let (nobody, other) = (StoppedFileServer::new(), FileServer::start().await);
    other.reply("/moved/webhook", Reply::redirect("https://www.example.com/"));
    other.reply("/down/webhook", Reply::status(502));
    for (url, words) in [
        (other.url(""), ["failure: something other than buzon answers", "HTTP 404", "correct public_url"]),
        (other.url("/moved"), ["failure:", "redirects to https://www.example.com/", "where the redirect ends"]),
        (other.url("/down"), ["failure:", "does not reach buzon (HTTP 502)", "pass /webhook on to"]),
        (format!("http://{}", nobody.address()), ["failure:", "gives no answer", "firewall"]),
    ] {
        let report = shop.report(&world, &[("BUZON_PUBLIC_URL", &url), ("BUZON_DASHBOARD", "false")]).await;
        assert_eq!((report.code, report.troubles()), (Some(2), vec!["public_url"]), "{}", report.json);
        report.says("public_url", &words);
    }
    let mut unset = shop.settings(&world);
    unset.retain(|(name, _)| *name != "BUZON_PUBLIC_URL");
    let report = report(&world, &crate::support::borrowed(&unset)).await;
    assert_eq!((report.code, report.troubles()), (Some(1), vec!["public_url"]));
    shop.buzon.kill().await;
}

#[test]
async fn another_buzon_at_the_public_url_is_not_taken_for_this_one() {
    let world = World::empty(Backend::Sqlite).await;
    let shop = Shop::open(&world).await;
    let elsewhere = World::empty(Backend::Sqlite).await;
    let another = Buzon::serve(&elsewhere, &[("BUZON_WEBHOOK_SECRET", STRONG)]).await;
    let url = format!("http://{}", another.address);
    let report = shop.report(&world, &[("BUZON_PUBLIC_URL", &url)]).await;
    assert_eq!((report.code, report.troubles()), (Some(2), vec!["public_url"]), "{}", report.json);
    report.says("public_url", &["failure: another buzon answers", "point the proxy"]);
    assert_eq!(elsewhere.value("SELECT count(*) FROM events").await, "0", "nothing is left there");
    another.kill().await;
    shop.buzon.kill().await;
}

#[test]
async fn a_service_with_the_same_token_and_other_data_is_another_one_and_a_replica_is_not() {
    let token = ("BUZON_API_TOKEN", "0123456789abcdef0123456789abcdef");
    on_both_empty(async |world| {
        let shop = Shop::open_with(&world, &[token]).await;
        let elsewhere = World::empty(world.backend).await;
        let another = Buzon::serve(&elsewhere, &[("BUZON_WEBHOOK_SECRET", STRONG), token]).await;
        let url = format!("http://{}", another.address);
        let report = shop.report(&world, &[("BUZON_PUBLIC_URL", &url), token]).await;
        assert_eq!(report.code, Some(2), "{}", report.json);
        report.says("public_url", &["failure: another buzon answers", "the same token and other data"]);
        another.kill().await;
        if world.backend == Backend::Postgres {
            let replica = Buzon::serve(&world, &[("BUZON_WEBHOOK_SECRET", STRONG), token]).await;
            let url = format!("http://{}", replica.address);
            let report = shop.report(&world, &[("BUZON_PUBLIC_URL", &url), token]).await;
            report.says("public_url", &["ok:", "a buzon on this database"]);
            replica.kill().await;
        }
        shop.buzon.kill().await;
    })
    .await;
}

#[test]
async fn a_gateway_that_is_not_there_or_refuses_a_token_is_named() {
    let world = World::empty(Backend::Sqlite).await;
    let shop = Shop::open(&world).await;
    let nobody = StoppedFileServer::new();
    let url = format!("http://{}", nobody.address());
    let report = shop.report(&world, &[("BUZON_GATEWAY_URL", &url)]).await;
    assert_eq!((report.code, report.troubles()), (Some(2), vec!["gateway"]), "{}", report.json);
    report.says("gateway", &["failure:", "gives no answer", "cannot be reached"]);
    report.says("clock", &["ok: there was no other clock"]);
    let file = format!("[[instances]]\nid = \"7\"\nsecrets = [\"{STRONG}7\"]\ntoken = \"of-the-instance\"\n");
    std::fs::write(world.folder.path().join("buzon.toml"), file).expect("it can be written");
    let json = |list: &[u8]| Reply::with_headers("Content-Type: application/json\r\n", list);
    for (answer, words) in [
        (json(b"[]"), ["ok:", "takes the token of instance 7"]),
        (json(br#"[{"id": 1}]"#), ["warning:", "keeps events of instance 7 that it could not deliver"]),
        (Reply::status(401), ["failure:", "refuses the token of instance 7"]),
    ] {
        shop.gateway.reply("/api/webhook-dlq?instanceId=7&token=of-the-instance&limit=1", answer);
        let report = shop.report(&world, &[]).await;
        let about = report.checks().into_iter().rfind(|line| line["check"] == "gateway").expect("there is one");
        let line = format!("{}: {}", about["status"].as_str().expect("text"), about["detail"].as_str().expect("text"));
        assert!(words.iter().all(|word| line.contains(word)), "{line}");
        assert!(!report.json.to_string().contains("of-the-instance"), "{}", report.json);
    }
    shop.buzon.kill().await;
}

#[test]
async fn a_clock_that_is_off_is_named() {
    let world = World::empty(Backend::Sqlite).await;
    let shop = Shop::open(&world).await;
    const GATEWAYS: [fn(&str) -> Reply; 3] = [|_| at(3_600), |_| at(-3_600), |_| at(3 * 24 * 3_600)];
    let said = [
        (1, ["warning:", "s behind that of the gateway", "timedatectl"]),
        (1, ["warning:", "s ahead of that of the gateway", "timedatectl"]),
        (2, ["failure:", "s behind that of the gateway", "timedatectl"]),
    ];
    for (gateway, (code, words)) in GATEWAYS.into_iter().zip(said) {
        shop.gateway.reply_to_all(gateway);
        let report = shop.report(&world, &[]).await;
        assert_eq!((report.code, report.troubles()), (Some(code), vec!["clock"]), "{}", report.json);
        report.says("clock", &words);
    }
    shop.buzon.kill().await;
}

#[test]
async fn a_secret_that_can_be_guessed_is_named_and_a_short_one_is_no_secret() {
    let world = World::empty(Backend::Sqlite).await;
    let shop = Shop::open(&world).await;
    for secret in ["twenty letters, or so", "abababababababababababababababababab"] {
        let report = shop.report(&world, &[("BUZON_WEBHOOK_SECRET", secret)]).await;
        assert_eq!((report.code, report.troubles()), (Some(1), vec!["secrets"]), "{}", report.json);
        report.says("secrets", &["warning: webhook_secret could be guessed", "openssl rand -hex 32"]);
    }
    let report = shop.report(&world, &[("BUZON_WEBHOOK_SECRET", "short")]).await;
    assert_eq!((report.code, report.checks().len()), (Some(2), 1), "{}", report.json);
    report.says("settings", &["failure: BUZON_WEBHOOK_SECRET", "at least 16 characters"]);
    let report = shop.report(&world, &[("BUZON_WEBHOOK_SECERT", STRONG)]).await;
    report.says("settings", &["failure: BUZON_WEBHOOK_SECERT", "did you mean BUZON_WEBHOOK_SECRET?"]);
    shop.buzon.kill().await;
}

#[test]
async fn a_media_folder_that_takes_nothing_is_named() {
    let world = World::empty(Backend::Sqlite).await;
    let shop = Shop::open(&world).await;
    let media = world.data_dir().join("media").display().to_string();
    let read_only = format!("mount --bind {media} {media} && mount -o remount,bind,ro {media} && exec \"$@\"");
    let settings = shop.settings(&world);
    let doctor = command(world.folder.path(), &["doctor", "--json"], &crate::support::borrowed(&settings));
    let mut command = Command::new("unshare");
    command.args(namespace()).args(["sh", "-c", &read_only, "sh"]).arg(doctor.as_std().get_program());
    command.args(doctor.as_std().get_args()).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.envs(settings).current_dir(world.folder.path()).kill_on_drop(true);
    let output = timeout(PATIENCE, command.output()).await.expect("it ends").expect("it can be started");
    let report = Report::of(&output);
    assert_eq!((report.code, report.troubles()), (Some(2), vec!["media"]), "{}", report.json);
    report.says("media", &["failure:", "Read-only file system", "let the user that buzon runs as write there"]);
    shop.buzon.kill().await;
}

#[test]
async fn a_disk_that_is_too_full_is_named() {
    let world = World::empty(Backend::Sqlite).await;
    let shop = Shop::open(&world).await;
    let report = shop.report(&world, &[("BUZON_MEDIA_MIN_FREE", "1000TiB")]).await;
    assert_eq!((report.code, report.troubles()), (Some(1), vec!["disk"]), "{}", report.json);
    report.says("disk", &["warning:", "less than media_min_free", "make room"]);
    let report = shop.report(&world, &[("BUZON_MIN_FREE", "1000TiB")]).await;
    assert_eq!(report.code, Some(2));
    report.says("disk", &["failure:", "no event is taken"]);
    shop.buzon.kill().await;
}

#[test]
async fn a_database_that_is_away_or_not_safe_is_named() {
    let world = World::empty(Backend::Sqlite).await;
    let shop = Shop::open(&world).await;
    let nobody = StoppedFileServer::new();
    let url = format!("postgres://shop:of-the-shop@{}/shop", nobody.address());
    let report = shop.report(&world, &[("BUZON_DATABASE_URL", &url)]).await;
    assert_eq!(report.code, Some(2));
    report.says("database", &["failure: the database is not available", "is the database's server running"]);
    assert!(!report.json.to_string().contains("of-the-shop"), "{}", report.json);
    let server = Server::start("-c fsync=off");
    let report = shop.report(&world, &[("BUZON_DATABASE_URL", &server.url)]).await;
    assert_eq!(report.code, Some(2));
    report.says("database", &["failure: the database is not safe: fsync is off", "can be lost"]);
    shop.buzon.kill().await;
}

#[test]
async fn migrations_that_have_not_run_are_named_and_not_run() {
    on_both_empty(async |world| {
        let listen = StoppedFileServer::new();
        let address = listen.address().to_string();
        let own = [("BUZON_DATABASE_URL", world.url.as_str()), ("BUZON_LISTEN", address.as_str())];
        let settings = [&own[..], &ROOM[..]].concat();
        assert!(run(world.folder.path(), &["migrate"], &settings).await.status.success());
        let latest = "SELECT max(version) FROM _buzon_migrations";
        world.execute(&format!("DELETE FROM _buzon_migrations WHERE version = ({latest})")).await;
        let before = world.value(latest).await;
        let report = report(&world, &settings).await;
        assert_eq!(report.code, Some(1), "{}", report.json);
        report.says("database", &["warning:", "1 migrations have not run", "buzon migrate"]);
        assert_eq!(world.value(latest).await, before);
    })
    .await;
}

#[test]
async fn before_the_first_start_it_says_what_comes_and_makes_nothing() {
    let world = World::empty(Backend::Sqlite).await;
    let nobody = StoppedFileServer::new();
    let listen = nobody.address().to_string();
    let settings = [&[("BUZON_LISTEN", listen.as_str())], &ROOM[..]].concat();
    let report = report(&world, &settings).await;
    assert_eq!(report.code, Some(1), "{}", report.json);
    assert_eq!(report.troubles(), ["secrets", "database", "gateway", "service", "public_url"]);
    report.says("database", &["nothing in it yet", "start buzon once"]);
    report.says("service", &["warning: no buzon answers at", "buzon serve"]);
    assert!(!world.data_dir().exists());
}

#[test]
async fn a_service_that_runs_with_other_settings_or_is_something_else_is_named() {
    let world = World::empty(Backend::Sqlite).await;
    let shop = Shop::open(&world).await;
    let report = shop.report(&world, &[("BUZON_API_TOKEN", "another-token-that-is-long-enough")]).await;
    assert_eq!(report.code, Some(2));
    report.says("service", &["failure:", "other settings", "start it again"]);
    let other = shop.gateway.address.to_string();
    let report = shop.report(&world, &[("BUZON_LISTEN", &other)]).await;
    report.says("service", &["failure:", "is not buzon", "another program uses this port"]);
    let elsewhere = World::in_folder("another.db");
    elsewhere.open().await.close().await;
    let report = shop.report(&world, &[("BUZON_DATABASE_URL", &elsewhere.url)]).await;
    report.says("service", &["failure:", "another database"]);
    shop.buzon.kill().await;
}

#[test]
async fn a_proxy_that_hides_who_connects_is_named() {
    let world = World::empty(Backend::Sqlite).await;
    let says_who = "X-Forwarded-For: 203.0.113.9\r\n";
    for (trusted, headers, words) in [
        ("10.0.0.0/8", "", ["warning: the proxy at 127.0.0.1 hides who connects", "proxy_set_header X-Forwarded-For"]),
        ("127.0.0.1", "", ["warning: the proxy at 127.0.0.1 hides who connects", "proxy_set_header X-Forwarded-For"]),
        ("10.0.0.0/8", says_who, ["warning:", "is not trusted"]),
        ("127.0.0.1", says_who, ["ok: the proxy at 127.0.0.1 is trusted", "this machine is 203.0.113.9"]),
        // A proxy on this machine, where the public name resolves to loopback.
        ("127.0.0.1", "X-Forwarded-For: 127.0.0.1\r\n", ["ok:", "this machine is 127.0.0.1"]),
    ] {
        let proxies = [("BUZON_TRUSTED_PROXIES", trusted)];
        let shop = Shop::open_with(&world, &proxies).await;
        let public = format!("http://{}", proxy(shop.buzon.address, headers).await);
        let report = shop.report(&world, &[("BUZON_PUBLIC_URL", &public), proxies[0]]).await;
        report.says("public_url", &["ok:", "leads to the buzon that runs here"]).says("proxies", &words);
        let listed =
            [("BUZON_PUBLIC_URL", public.as_str()), ("BUZON_WEBHOOK_ALLOW_FROM", "203.0.113.0/24"), proxies[0]];
        let status = if words[0].starts_with("ok") { "ok:" } else { "failure:" };
        shop.report(&world, &listed).await.says("proxies", &[status]);
        shop.buzon.kill().await;
    }
}
