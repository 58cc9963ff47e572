//! Settings that are wrong, unsafe or contradictory: the program prints one clear line and exits with 2, and starts
//! nothing.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;

use buzon::config::SettingSources;

use crate::support::database::world::{Backend, World};
use crate::support::program::process::run;

const SHORT: &str = "fifteen letters";
const LONG: &str = "a secret that is long enough";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Starts the program with these settings and this file, and returns its only line.
async fn refusal(settings: &[(&str, &str)], file: &str) -> String {
    let world = World::empty(Backend::Sqlite).await;
    let folder = world.folder.path();
    if !file.is_empty() {
        std::fs::write(folder.join("buzon.toml"), file).expect("it can be written");
    }
    std::fs::write(folder.join("secret"), LONG).expect("it can be written");
    for command in ["check-config", "serve"] {
        let output = run(folder, &[command], settings).await;
        assert_eq!(output.status.code(), Some(2), "{command} {settings:?} {file} {output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
    }
    assert!(!folder.join("data").exists());
    let said = run(folder, &["serve"], settings).await.stderr;
    let said = String::from_utf8(said).expect("it is text");
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

#[test]
async fn a_wrong_or_unsafe_setting_is_named_with_its_remedy() {
    for (name, value, remedy) in [
        ("BUZON_LISTEM", "127.0.0.1:1", "did you mean BUZON_LISTEN?"),
        ("BUZON_FROBNICATE", "1", "there is no such setting"),
        ("BUZON_LISTEN", "8080", "such as 127.0.0.1:8080"),
        ("BUZON_API_LISTEN", "localhost", "such as 127.0.0.1:8080"),
        ("BUZON_DATABASE_URL", "mysql://localhost/x", "expected sqlite://PATH or postgres://"),
        ("BUZON_DATABASE_URL", "postgres://[bad/x", "no PostgreSQL URL"),
        ("BUZON_DATABASE_URL", "postgres://localhost:99999/x", "no PostgreSQL URL"),
        ("BUZON_DATABASE_URL", "sqlite://:memory:", "SQLite needs the path of a file"),
        ("BUZON_DATABASE_URL", "sqlite://x.db?synchronous=off", "SQLite needs the path of a file"),
        ("BUZON_DATABASE_URL", "postgres://u:123/CANARY@host/db", "written with %"),
        ("BUZON_DATABASE_URL", "postgres://u@host/db?passwrod=CANARY", "no parameter passwrod"),
        ("BUZON_PUBLIC_URL", "https://x.example.com", "a public webhook needs a secret"),
        ("BUZON_PUBLIC_URL", "https://x.example.com/webhook", "without /webhook"),
        ("BUZON_PUBLIC_URL", "buzon.example.com", "such as https://buzon.example.com"),
        ("BUZON_PUBLIC_URL", "https://x.example.com/?token=1", "such as https://buzon.example.com"),
        ("BUZON_PUBLIC_URL", "https://YOUR-HOST", "YOUR-HOST is a placeholder; write your own value"),
        ("BUZON_GATEWAY_URL", "https://TU-GATEWAY", "TU-GATEWAY is a placeholder"),
        ("BUZON_DATABASE_URL", "postgres://USER:PASSWORD@localhost/buzon", "USER:PASSWORD is a placeholder"),
        ("BUZON_CORS_ORIGINS", "*", "such as https://panel.example.com"),
        ("BUZON_CORS_ORIGINS", "null", "such as https://panel.example.com"),
        ("BUZON_CORS_ORIGINS", "panel.example.com", "such as https://panel.example.com"),
        ("BUZON_CORS_ORIGINS", "https://*.example.com", "such as https://panel.example.com"),
        ("BUZON_CORS_ORIGINS", "https://panel.example.com/app", "such as https://panel.example.com"),
        ("BUZON_CORS_ORIGINS", "https://a.example.com,ftp://b.example.com", "such as https://panel.example.com"),
        ("BUZON_TRUSTED_PROXIES", "10.0.0.0/33", "such as 127.0.0.1,10.0.0.0/8"),
        ("BUZON_WEBHOOK_SECRET", "", "openssl rand -hex 32"),
        ("BUZON_WEBHOOK_SECRET", SHORT, "openssl rand -hex 32"),
        ("BUZON_WEBHOOK_SECRET", "                    ", "openssl rand -hex 32"),
        ("BUZON_WEBHOOK_SECRET_FILE", "no-such-file", "no-such-file"),
        ("BUZON_API_TOKEN", "", "openssl rand -hex 32"),
        ("BUZON_API_TOKEN", &TOKEN[1..], "openssl rand -hex 32"),
        ("BUZON_TICKET_KEY", &TOKEN[1..], "openssl rand -hex 32"),
        ("BUZON_TICKET_KEY_FILE", "no-such-file", "no-such-file"),
        // A value that no header can carry would never match.
        ("BUZON_API_TOKEN", &format!(" {TOKEN} "), "no space"),
        ("BUZON_ALLOW_UNSIGNED", "yes please", "expected true or false"),
        ("BUZON_GATEWAY_URL", "gateway.example.com", "such as https://gateway.example.com"),
        ("BUZON_GATEWAY_URL", "ftp://gateway.example.com", "such as https://gateway.example.com"),
        ("BUZON_GATEWAY_URL", "https://u:CANARY@gateway.example.com", "such as https://gateway.example.com"),
        ("BUZON_GATEWAY_URL", "https://gateway.example.com/?token=CANARY", "such as https://gateway.example.com"),
        ("BUZON_MEDIA_ORIGINS", "https://a.example.com,b.example.com", "such as https://gateway.example.com"),
        ("BUZON_MEDIA_ORIGINS", "https://a.example.com,https://u:CANARY@b", "such as https://gateway.example.com"),
        ("BUZON_MEDIA_STORE", "/var/lib/media", "expected file:///PATH or s3://BUCKET/PREFIX"),
        ("BUZON_MEDIA_STORE", "https://media.s3.amazonaws.com", "expected file:///PATH or s3://BUCKET/PREFIX"),
        ("BUZON_MEDIA_STORE", "file://media", "an absolute path"),
        ("BUZON_MEDIA_STORE", "s3://key:CANARY@bucket/media", "keys do not belong in the URL"),
        ("BUZON_MEDIA_STORE", "s3://bucket/../media", "a prefix has"),
        ("BUZON_MEDIA_REDIRECT", "true", "only a bucket can be redirected to"),
        ("BUZON_MEDIA_REDIRECT", "sometimes", "expected true or false"),
        ("BUZON_MEDIA_MAX_SIZE", "100MB", "such as 104857600, 100MiB or 1GiB"),
        ("BUZON_MEDIA_MIN_FREE", "-1", "such as 104857600, 100MiB or 1GiB"),
        ("BUZON_MEDIA_QUOTA", "", "such as 104857600, 100MiB or 1GiB"),
        ("BUZON_MAX_BODY", "4MB", "such as 104857600, 100MiB or 1GiB"),
        ("BUZON_MAX_BODY", "0", "expected 512KiB to 64MiB"),
        ("BUZON_MAX_BODY", "67108865", "expected 512KiB to 64MiB"),
        ("BUZON_MEDIA_TIMEOUT", "0", "expected seconds, such as 600"),
        ("BUZON_MEDIA_TIMEOUT", "10m", "expected seconds, such as 600"),
        ("BUZON_MEDIA_DOWNLOADS", "-1", "expected a whole number"),
        ("BUZON_MEDIA_DOWNLOADS_PER_HOST", "0", "at least 1"),
        ("BUZON_MEDIA_ATTEMPTS", "0", "at least 1"),
        ("BUZON_S3_ENDPOINT", "localhost:9000", "expected an address"),
        ("BUZON_S3_ENDPOINT", "http://key:CANARY@localhost:9000", "expected an address"),
        ("BUZON_S3_PATH_STYLE", "maybe", "expected true or false"),
        ("BUZON_S3_REGION", " ", "it is empty"),
        ("BUZON_S3_ACCESS_KEY_ID", "CANARY", "it needs s3_secret_access_key beside it"),
        ("BUZON_S3_SECRET_ACCESS_KEY", "CANARY", "it needs s3_access_key_id beside it"),
        ("BUZON_S3_SECRET_ACCESS_KEY_FILE", "no-such-file", "no-such-file"),
        ("BUZON_LOG", "not=a=level", "expected a level"),
        ("BUZON_CELL", "", "1 to 32 small letters"),
        ("BUZON_CELL", "A", "1 to 32 small letters"),
        ("BUZON_TIME_ZONE", "Bogota", "such as America/Bogota"),
        ("BUZON_TIME_ZONE", "-05:00", "such as America/Bogota"),
        ("BUZON_TIME_ZONE", "", "such as America/Bogota"),
        ("BUZON_DATA_DIR", "", "expected a folder"),
        ("BUZON_CONFIG", "no-such-file.toml", "no-such-file.toml"),
    ] {
        let said = refusal(&[(name, value)], "").await;
        assert!(said.contains(remedy), "{name}={value}: {said}");
        assert!(!said.contains("CANARY"), "{said}");
        let place = name == "BUZON_CONFIG" || said.contains(name.trim_end_matches("_FILE"));
        assert!(place, "{name}={value}: {said}");
    }
}

#[test]
async fn settings_that_contradict_each_other_are_refused() {
    for settings in [
        &[("BUZON_WEBHOOK_SECRET", LONG), ("BUZON_WEBHOOK_SECRET_FILE", "secret")],
        &[("BUZON_WEBHOOK_SECRET", LONG), ("BUZON_ALLOW_UNSIGNED", "true")],
    ] {
        let said = refusal(settings, "").await;
        assert!(said.contains("remove one of the two"), "{said}");
    }
    let said = refusal(&[("BUZON_WEBHOOK_SECRET", LONG)], "webhook_secret_file = \"secret\"").await;
    assert!(said.contains("remove one of the two"), "{said}");
}

#[test]
async fn the_settings_of_a_bucket_are_taken_from_a_file_and_its_keys_are_never_shown() {
    let world = World::empty(Backend::Sqlite).await;
    let folder = world.folder.path();
    let file = "gateway_url = 'https://gw.example.com/api'\nmedia_origins = ['https://a.example.com', \
                'http://192.168.1.5:3000']\nmedia_store = 's3://bucket/saved'\nmedia_redirect = true\n\
                s3_endpoint = 'http://localhost:9000'\ns3_access_key_id = 'ID-CANARY'\n\
                s3_secret_access_key_file = 'key'\n";
    std::fs::write(folder.join("buzon.toml"), file).expect("it can be written");
    std::fs::write(folder.join("key"), "KEY-CANARY\n").expect("it can be written");
    let output = run(folder, &["check-config"], &[("BUZON_LOG", "trace")]).await;
    assert!(output.status.success(), "{output:?}");
    let shown = String::from_utf8(output.stdout).expect("it is text");
    let line = |key: &str| {
        let line = shown.lines().find(|line| line.split_whitespace().next() == Some(key));
        line.unwrap_or_else(|| panic!("{key}: {shown}")).split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert!(line("media_origins").contains("https://a.example.com,http://192.168.1.5:3000"), "{shown}");
    assert!(line("media_store").contains("s3://bucket/saved"), "{shown}");
    assert!(line("s3_access_key_id").contains("set, 9 characters"), "{shown}");
    assert!(line("s3_secret_access_key").contains("set, 10 characters"), "{shown}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!shown.contains("CANARY") && !said.contains("CANARY"), "{shown}{said}");
}

#[test]
async fn the_settings_file_is_checked_in_the_same_way() {
    let instance = |fields: &str| format!("[[instances]]\nid = \"7\"\n{fields}\n");
    let forward =
        |name: &str, url: &str, fields: &str| format!("[[forwards]]\nname = \"{name}\"\nurl = \"{url}\"\n{fields}\n");
    for (file, problem) in [
        ("listen = \"127.0.0.1:1\"\nlisten_to = 1\n".to_owned(), "listen_to"),
        ("listen = \n".to_owned(), "line 1"),
        ("\n\n[section]\nx = 1\n".to_owned(), "expected text"),
        ("listen = 1.5\n".to_owned(), "expected text"),
        (instance(&format!("secret = {SHORT:?}")), "an instance has no secret"),
        (instance(&format!("secrets = {LONG:?}")), "secrets is a list of texts"),
        (instance("secrets = [1234567890123456]"), "secrets is a list of texts"),
        (format!("webhook_secret = [{LONG:?}, {LONG:?}]\n"), "expected text"),
        (instance(&format!("secrets = [{SHORT:?}]")), "openssl rand -hex 32"),
        (instance(&format!("secrets = [{LONG:?}]")) + &instance(""), "configured twice"),
        (
            instance(&format!("secrets = [{LONG:?}]")) + &format!("[[instances]]\nid = 8\nsecrets = [{LONG:?}]\n"),
            "used elsewhere",
        ),
        (instance("secrets = [\"first first first\", \"second second second\", \"third third third\"]"), "two at once"),
        (instance("secret_files = [\"no-such-file\"]"), "no-such-file"),
        (instance("token = \"TOKEN_OF_THE_INSTANCE\""), "instance 7: TOKEN_OF_THE_INSTANCE is a placeholder"),
        ("[[instances]]\nname = \"Sales\"\n".to_owned(), "id"),
        ("[[instances]]\nid = \"\"\n".to_owned(), "an instance id has 1 to 64 bytes"),
        ("[[instances]]\nid = \"-\"\n".to_owned(), "name no instance"),
        ("[[instances]]\nid = \"a/b\"\n".to_owned(), "with the id a/b has no URL of its own: slashes"),
        ("[[instances]]\nid = \"..\"\n".to_owned(), "with the id .. has no URL of its own: dots alone"),
        ("[[instances]]\nid = \"a\\nb\"\n".to_owned(), "with the id a\\nb has no URL of its own: control characters"),
        ("[[instances]]\nid = \"{instance_id}\"\n".to_owned(), "braces stand in one for an id"),
        ("[[instances]]\nid = [7]\n".to_owned(), "text or a whole number"),
        ("instances = 7\n".to_owned(), "[[instances]]"),
        ("media_origins = [\"https://a.example.com\", \"b\"]\n".to_owned(), "media_origins"),
        ("media_redirect = true\n".to_owned(), "only a bucket"),
        ("forwards = 7\n".to_owned(), "[[forwards]]"),
        (forward("bot", "http://127.0.0.1:1/", ""), "max_age is missing"),
        (forward("bot", "http://127.0.0.1:1/", "max_age = \"1\""), "such as 1h"),
        (forward("bot", "http://127.0.0.1:1/", "max_age = \"none\"\ntimeout = \"121s\""), "1s to 120s"),
        (forward("bot", "http://127.0.0.1:1/", "max_age = \"none\"\nevents = []"), "events names nothing"),
        (forward("bot", "http://127.0.0.1:1/", "max_age = \"none\"\nsecret = \"x\""), "a forward has no secret"),
        (forward("bot", "http://127.0.0.1:1/", "max_age = \"none\"\nurl_file = \"x\""), "say the same thing"),
        (forward("bot", "http://127.0.0.1:1/", "max_age = \"none\"\nca_file = \"secret\""), "no certificates in PEM"),
        (forward("bot", "http://127.0.0.1:1/", "max_age = \"none\"\nsecret_file = \"no-such\""), "no-such"),
        (forward("Bot", "http://127.0.0.1:1/", "max_age = \"none\""), "a forward's name has"),
        (forward("bot", "ftp://127.0.0.1/", "max_age = \"none\""), "expected a URL"),
        (
            forward("bot", &format!("http://u:{SHORT}@a/").replace(' ', "-"), "max_age = \"none\""),
            "with a user or password",
        ),
        (forward("bot", "http://localhost:8080/x", "max_age = \"none\""), "is this buzon itself"),
        (
            "public_url = \"https://b.example.com\"\nwebhook_secret_file = \"secret\"\n".to_owned()
                + &forward("bot", "https://b.example.com/webhook/7", "max_age = \"none\""),
            "is this buzon itself",
        ),
        (forward("bot", "http://a/1", "max_age = \"none\"").repeat(2), "two forwards named bot"),
        (forward("bot", "http://YOUR-HOST/1", "max_age = \"none\""), "YOUR-HOST is a placeholder"),
    ] {
        let said = refusal(&[], &file).await;
        assert!(said.contains("buzon.toml") || said.contains("instances"), "{said}");
        assert!(said.contains(problem), "{file}: {said}");
        assert!(!said.contains(SHORT) && !said.contains(LONG), "{said}");
    }
}

/// Returns the values in a line of a guide, as a setting or a variable.
fn values(line: &str) -> impl Iterator<Item = &str> {
    let setting = line.split_once(" = \"").and_then(|(_, rest)| rest.split('"').next());
    let variables = line.split("BUZON_").skip(1).filter_map(|rest| {
        let (name, value) = rest.split_once('=')?;
        let is_name = name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
        value.split_whitespace().next().filter(|value| is_name && !value.contains(['$', '%']))
    });
    setting.into_iter().chain(variables)
}

/// Placeholders, which the reader has to replace, are written in capitals.
#[test]
fn no_placeholder_of_the_guides_is_taken_for_a_value() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guides =
        std::fs::read_dir(root.join("docs")).expect("it is there").map(|entry| entry.expect("it is read").path());
    let guides = guides.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let files = guides.chain([root.join("README.md"), root.join("deploy/buzon.toml")]);
    let text: String = files.map(|path| std::fs::read_to_string(path).expect("it is text")).collect();
    let is_shouted = |value: &&str| value.as_bytes().windows(4).any(|four| four.iter().all(u8::is_ascii_uppercase));
    let placeholders: BTreeSet<&str> = text.lines().flat_map(values).filter(is_shouted).collect();
    assert!(
        placeholders.contains("https://YOUR-HOST") && placeholders.contains("https://TU-DOMINIO"),
        "{placeholders:?}"
    );
    for placeholder in placeholders {
        let variable = (OsString::from("BUZON_PUBLIC_URL"), OsString::from(placeholder));
        let refused = SettingSources::gather(None, vec![], [variable]).expect_err(placeholder).to_string();
        assert!(refused.starts_with("BUZON_PUBLIC_URL: ") && refused.contains(" is a placeholder"), "{refused}");
    }
}

#[test]
async fn an_unsafe_database_is_refused_in_the_same_way() {
    let world = World::empty(Backend::Postgres).await;
    let name = crate::support::database::postgres::name(&world.url);
    let off = format!("ALTER DATABASE {name} SET synchronous_commit = off");
    crate::support::database::postgres::execute(&world.url, &off).await;
    let settings = [("BUZON_DATABASE_URL", world.url.as_str()), ("BUZON_LISTEN", "127.0.0.1:0")];
    let output = run(world.folder.path(), &["serve"], &settings).await;
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("synchronous_commit is off") && said.lines().count() == 1, "{said}");
}

#[test]
async fn a_database_that_is_away_is_no_wrong_setting() {
    let world = World::empty(Backend::Sqlite).await;
    let settings = [("BUZON_DATABASE_URL", "postgres://buzon@127.0.0.1:1/x"), ("BUZON_LISTEN", "127.0.0.1:0")];
    let output = run(world.folder.path(), &["serve"], &settings).await;
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("the database is not available") && said.lines().count() == 1, "{said}");
}

#[test]
async fn an_address_that_is_taken_is_named() {
    let world = World::empty(Backend::Sqlite).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("it is bound").to_string();
    let output = run(world.folder.path(), &["serve"], &[("BUZON_LISTEN", address.as_str())]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains(&format!("cannot listen on {address}")), "{said}");
}

#[test]
async fn what_kubernetes_sets_for_a_service_named_buzon_is_not_taken_for_a_setting() {
    let world = World::empty(Backend::Sqlite).await;
    let settings =
        [("BUZON_PORT", "tcp://10.0.0.1:80"), ("BUZON_SERVICE_HOST", "10.0.0.1"), ("BUZON_PORT_80_TCP", "x")];
    let output = run(world.folder.path(), &["check-config"], &settings).await;
    assert!(output.status.success(), "{output:?}");
}
