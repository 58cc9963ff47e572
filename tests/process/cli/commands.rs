//! The commands as a person uses them.

use std::os::unix::fs::PermissionsExt;

use crate::support::database::world::{Backend, World, on_both_empty};
use crate::support::events::{GUIDE_CURL, SECRET};
use crate::support::program::process::{Buzon, run};

#[test]
async fn without_any_setting_it_serves_from_a_folder_of_its_owners_alone() {
    let world = World::in_folder("data/buzon.db");
    let data = world.folder.path().join("data");
    let buzon = Buzon::serve_default(&world, &[]).await;
    let client = crate::support::client();
    for body in GUIDE_CURL {
        let request = client.post(format!("http://{}/webhook", buzon.address)).body(body);
        assert_eq!(request.send().await.expect("it answers").status(), 200);
    }
    assert_eq!(world.rows("SELECT id FROM messages").await, ["SIM-1"]);
    let mode = |name: &str| {
        let file = std::fs::metadata(data.join(name)).expect("it is there");
        format!("{:o}", file.permissions().mode() & 0o777)
    };
    assert_eq!(mode(""), "700");
    assert_eq!(["api-token", "ticket-key", "buzon.db"].map(mode), ["600"; 3]);
    let log = Buzon::log(&world).await;
    let made = format!("there was no database at ./data/buzon.db: a new one is made in {}", data.display());
    assert!(log.contains(&made), "{log}");
    buzon.kill().await;
}

#[test]
async fn at_the_start_it_tells_a_person_what_they_need() {
    let world = World::empty(Backend::Postgres).await;
    let settings = [("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_PUBLIC_URL", "https://buzon.example.com")];
    let buzon = Buzon::serve(&world, &settings).await;
    let greeting = buzon.greeting.join("\n");
    for line in [
        format!("http://{}/webhook", buzon.address),
        "https://buzon.example.com/webhook/{instance_id}".to_owned(),
        "every event must be signed".to_owned(),
        "data/api-token".to_owned(),
        format!("http://{}/docs/", buzon.api_address),
    ] {
        assert!(greeting.contains(&line), "{greeting}");
    }
    assert!(!greeting.contains(SECRET));
    buzon.kill().await;
}

#[test]
async fn the_token_stays_the_same_from_start_to_start() {
    let world = World::empty(Backend::Sqlite).await;
    let token = || std::fs::read_to_string(world.folder.path().join("data/api-token")).expect("there is a token");
    Buzon::serve(&world, &[]).await.kill().await;
    let first = token();
    Buzon::serve(&world, &[]).await.kill().await;
    assert_eq!(token(), first);
}

#[test]
async fn migrate_brings_the_schema_up_and_serve_can_insist_on_it() {
    on_both_empty(async |world| {
        let folder = world.folder.path();
        let settings = [("BUZON_DATABASE_URL", world.url.as_str()), ("BUZON_LISTEN", "127.0.0.1:0")];
        let refused = run(folder, &["serve", "--no-migrate"], &settings).await;
        assert_eq!(refused.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&refused.stderr).contains("run: buzon migrate"));
        let migrated = run(folder, &["migrate"], &settings).await;
        assert!(migrated.status.success());
        assert!(String::from_utf8_lossy(&migrated.stdout).contains("migrations have run"));
        let again = run(folder, &["migrate"], &settings).await;
        assert!(String::from_utf8_lossy(&again.stdout).contains("already"));
        assert_eq!(world.value("SELECT count(*) FROM events").await, "0");
    })
    .await;
}

#[test]
async fn rebuild_compares_beside_a_service_and_mends_when_it_is_stopped() {
    on_both_empty(async |world| {
        let folder = world.folder.path();
        let buzon = Buzon::serve(&world, &[]).await;
        for body in GUIDE_CURL {
            let request = crate::support::client().post(format!("http://{}/webhook", buzon.address)).body(body);
            assert_eq!(request.send().await.expect("it answers").status(), 200);
        }
        let settings = [("BUZON_DATABASE_URL", world.url.as_str())];
        let clean = run(folder, &["rebuild", "--check"], &settings).await;
        assert!(clean.status.success(), "{clean:?}");
        assert!(String::from_utf8_lossy(&clean.stdout).contains("every table is what the ledger says"));
        if world.backend == Backend::Sqlite {
            let refused = run(folder, &["rebuild"], &settings).await;
            assert_eq!(refused.status.code(), Some(2));
            assert!(String::from_utf8_lossy(&refused.stderr).contains("SQLite takes one server at a time"));
        }
        buzon.kill().await;
        world.execute("DELETE FROM messages").await;
        let found = run(folder, &["rebuild", "--check"], &settings).await;
        assert_eq!(found.status.code(), Some(1));
        assert_eq!(
            String::from_utf8_lossy(&found.stdout),
            "messages: 1 rows missing, 0 surplus, 0 different: 123/SIM-1\n"
        );
        assert!(String::from_utf8_lossy(&found.stderr).contains("stop the service and run: buzon rebuild"));
        assert!(run(folder, &["rebuild"], &settings).await.status.success());
        assert_eq!(world.rows("SELECT id FROM messages").await, ["SIM-1"]);
    })
    .await;
}

#[test]
async fn check_config_shows_every_value_with_its_place_and_no_secret() {
    let world = World::empty(Backend::Sqlite).await;
    let folder = world.folder.path();
    let file = "listen = \"127.0.0.1:9001\"\ntrusted_proxies = [\"10.0.0.0/8\", \"127.0.0.1\"]\n\
                cors_origins = [\"https://panel.example.com\", \"http://localhost:5173\"]\n\
                [[instances]]\nid = 7\nname = \"Sales\"\nsecrets = [\"the secret of instance seven\"]\n";
    std::fs::write(folder.join("buzon.toml"), file).expect("it can be written");
    std::fs::write(folder.join("token"), "0123456789abcdef0123456789abcdef\n").expect("it can be written");
    let settings = [
        ("BUZON_WEBHOOK_SECRET", SECRET),
        ("BUZON_API_TOKEN_FILE", "token"),
        ("BUZON_DATABASE_URL", "postgres://shop:password-of-the-shop@db.example.com:5433/shop?password=another"),
        ("BUZON_LOG", "debug"),
    ];
    let output = run(folder, &["check-config", "--log", "warn"], &settings).await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    for (key, value, place) in [
        ("listen", "127.0.0.1:9001", "buzon.toml: listen"),
        ("trusted_proxies", "10.0.0.0/8,127.0.0.1", "buzon.toml: trusted_proxies"),
        ("cors_origins", "https://panel.example.com,http://localhost:5173", "buzon.toml: cors_origins"),
        ("log", "warn", "--log"),
        ("webhook_secret", "set, 27 characters", "BUZON_WEBHOOK_SECRET"),
        ("api_token", "set, 32 characters", "BUZON_API_TOKEN_FILE"),
        ("database_url", "postgres://db.example.com:5433/shop", "BUZON_DATABASE_URL"),
        ("data_dir", "./data", "default"),
        ("public_url", "-", "not set"),
        ("instance", "7 \"Sales\" (a secret of its own)", "buzon.toml"),
    ] {
        let line = said.lines().find(|line| line.split_whitespace().next() == Some(key)).expect(key);
        assert!(line.contains(value) && line.ends_with(place), "{line}");
    }
    for secret in [SECRET, "0123456789abcdef", "password-of-the-shop", "another", "instance seven"] {
        assert!(!said.contains(secret), "{said}");
    }
    assert!(!folder.join("data").exists(), "looking at the settings makes nothing");
}

#[test]
async fn in_a_wrong_folder_every_command_says_that_no_database_is_there_and_makes_nothing() {
    let world = World::empty(Backend::Sqlite).await;
    let folder = world.folder.path().canonicalize().expect("it is there");
    let said = format!(
        "there is no database at ./data/buzon.db, in {}/data; run it where buzon.toml is, or give --config",
        folder.display()
    );
    for arguments in [
        &["sql", "SELECT 1"][..],
        &["token", "list"],
        &["token", "create", "--name", "panel"],
        &["token", "revoke", "panel"],
        &["media", "list"],
        &["media", "retry", "--all"],
        &["media", "sweep"],
        &["rebuild"],
        &["rebuild", "--check"],
        &["backup", "backups"],
    ] {
        let output = run(&folder, arguments, &[]).await;
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), format!("buzon: {said}\n"), "{arguments:?}");
    }
    let doctor = run(&folder, &["doctor"], &[("BUZON_LISTEN", "127.0.0.1:1")]).await;
    assert!(String::from_utf8_lossy(&doctor.stdout).contains(&said), "{doctor:?}");
    assert_eq!(std::fs::read_dir(&folder).expect("it is there").count(), 0, "nothing is made");
}

#[test]
async fn check_config_says_which_file_it_read_or_that_there_was_none() {
    let world = World::empty(Backend::Sqlite).await;
    let folder = world.folder.path().canonicalize().expect("it is there");
    let said = async |arguments: &[&str], settings: &[(&str, &str)]| {
        let output = run(&folder, &[&["check-config"], arguments].concat(), settings).await;
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("it is text")
    };
    let none = format!("No file was read: there is no {}/buzon.toml", folder.display());
    assert!(said(&[], &[]).await.contains(&none));
    for name in ["buzon.toml", "other.toml"] {
        std::fs::write(folder.join(name), "log = \"warn\"\n").expect("it can be written");
    }
    let read = |name: &str| format!("The file that was read: {}/{name}\n", folder.display());
    assert!(said(&[], &[]).await.contains(&read("buzon.toml")));
    assert!(said(&["--config", "other.toml"], &[]).await.contains(&read("other.toml")));
    assert!(said(&[], &[("BUZON_CONFIG", "other.toml")]).await.contains(&read("other.toml")));
}

#[test]
async fn help_is_for_people() {
    let world = World::empty(Backend::Sqlite).await;
    let help = run(world.folder.path(), &["serve", "--help"], &[]).await;
    let said = String::from_utf8_lossy(&help.stdout).into_owned();
    for word in ["--listen", "127.0.0.1:8080", "--database-url", "postgres://", "--no-migrate"] {
        assert!(said.contains(word), "{said}");
    }
    let unknown = run(world.folder.path(), &["frobnicate"], &[]).await;
    assert_eq!(unknown.status.code(), Some(2));
}

/// The folder's name has accents, as in the home of somebody named José.
#[test]
async fn a_data_folder_may_have_any_name() {
    let world = World::empty(Backend::Sqlite).await;
    std::fs::create_dir(world.folder.path().join("below")).expect("it can be made");
    for data in ["mi tienda/señal 100%", "below/../beside", "what?#"] {
        let gateway = crate::support::gateway::file_server::FileServer::start().await;
        gateway.reply("/a.jpg", crate::support::gateway::file_server::Reply::file(b"\x00a file"));
        let origin = gateway.url("");
        let settings = [("BUZON_DATA_DIR", data), ("BUZON_GATEWAY_URL", origin.as_str())];
        let buzon = Buzon::serve(&world, &settings).await;
        let body = crate::support::events::received(data, serde_json::json!({"media_url": "/a.jpg"}));
        let post = crate::support::client().post(format!("http://{}/webhook/7", buzon.address)).body(body);
        assert_eq!(post.send().await.expect("it answers").status(), 200);
        let stored = format!("SELECT count(*) FROM media WHERE state = 'stored' AND message_id = '{data}'");
        crate::support::eventually("it is stored", async || world.value(&stored).await == "1").await;
        let hash = world.value("SELECT DISTINCT object_key FROM media").await;
        let file = world.folder.path().join(data).join("media").join(&hash[..2]).join(&hash);
        assert_eq!(std::fs::read(file).expect("it is there"), b"\x00a file");
        buzon.kill().await;
    }
}
