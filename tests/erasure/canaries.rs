//! A person is erased beside the running service, and nothing of them is found in any file afterwards: not when all of the
//! traffic comes again in another order, not after a restore of an older backup, and not after a rebuild.

use std::path::{Path, PathBuf};
use std::process::Output;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::{Connection, PgConnection};

use crate::support::database::world::{Backend, World};
use crate::support::events::{SECRET, ack, reaction, received, sent};
use crate::support::gateway::file_server::{FileServer, Reply};
use crate::support::program::process::{Buzon, command, run};
use crate::support::s3::S3Server;
use crate::support::{borrowed, eventually};

const NUMBER: &str = "573155550199";
const LID: &str = "99887766554433";
const NAME: &str = "Zoraida Canarioz";
const TEXT: &str = "texto-canario-9f3b";
const PICTURE: &[u8] = b"\x89PNG picture of the canary, which only she has sent";
const SHARED: &[u8] = b"\x89PNG picture that somebody else has sent as well";
const GROUP: &str = "120363041234567890@g.us";
const EVA: &str = "573004445566@c.us";

type Settings = Vec<(&'static str, String)>;

/// A database with its media in a folder or a bucket, and with a place for backups that learns of erasures.
struct Place {
    world: World,
    settings: Settings,
    /// The folders in which nothing may be left.
    searched: Vec<PathBuf>,
}

impl Place {
    async fn new(backend: Backend, s3: Option<&S3Server>) -> Self {
        let world = World::new(backend).await;
        Self::of(world, s3, "saved")
    }

    fn of(world: World, s3: Option<&S3Server>, prefix: &str) -> Self {
        let mut settings = vec![
            ("BUZON_DATABASE_URL", world.url.clone()),
            ("BUZON_WEBHOOK_SECRET", SECRET.to_owned()),
            ("BUZON_API_TOKEN", "0123456789abcdef0123456789abcdef".to_owned()),
        ];
        let mut searched = vec![world.folder.path().to_owned()];
        if let Some(s3) = s3 {
            let ours = |(name, value): (&'static str, String)| (name, value.replace("/saved", &format!("/{prefix}")));
            settings.extend(s3.settings().into_iter().map(ours));
            searched.push(s3.bucket());
        }
        Self { world, settings, searched }
    }

    async fn serve(&self, gateway: &FileServer, backups: &Path) -> Buzon {
        let mut settings = self.settings.clone();
        settings.push(("BUZON_GATEWAY_URL", gateway.url("")));
        settings.push(("BUZON_BACKUP_TO", backups.display().to_string()));
        Buzon::serve_default(&self.world, &borrowed(&settings)).await
    }

    async fn run(&self, arguments: &[&str], backups: &Path) -> Output {
        let mut settings = self.settings.clone();
        settings.push(("BUZON_BACKUP_TO", backups.display().to_string()));
        run(self.world.folder.path(), arguments, &borrowed(&settings)).await
    }

    async fn said(&self, arguments: &[&str], backups: &Path) -> String {
        let output = self.run(arguments, backups).await;
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).expect("it is text")
    }

    /// Searches every file for every canary in every form. On PostgreSQL the files of the database are searched too.
    async fn assert_clean(&self, when: &str) {
        let mut folders = self.searched.clone();
        if self.world.backend == Backend::Postgres {
            folders.push(database_folder(&self.world).await);
        }
        let canaries = canaries();
        let mut begins = vec![false; 1 << 16];
        canaries.iter().for_each(|(_, canary)| begins[place(canary)] = true);
        for path in folders.iter().flat_map(|folder| files_below(folder)) {
            let Ok(content) = std::fs::read(&path) else { continue };
            for at in (0..content.len().saturating_sub(1)).filter(|at| begins[place(&content[*at..])]) {
                if let Some((name, _)) = canaries.iter().find(|(_, canary)| content[at..].starts_with(canary)) {
                    let around = &content[at.saturating_sub(60)..(at + 120).min(content.len())];
                    let file = path.file_name().and_then(|it| it.to_str()).unwrap_or_default().to_owned();
                    let relations = match self.world.backend {
                        Backend::Postgres => {
                            self.world
                                .rows(&format!("SELECT relname::text FROM pg_class WHERE relfilenode::text = '{file}'"))
                                .await
                        }
                        Backend::Sqlite => vec![],
                    };
                    let text = String::from_utf8_lossy(around);
                    panic!("{when}: {name} at {at} of {} {relations:?}: {text}", path.display());
                }
            }
        }
    }
}

/// Returns the first two bytes as a number.
fn place(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 8 | usize::from(bytes[1])
}

/// Returns the folder of a database, after everything in memory is written.
async fn database_folder(world: &World) -> PathBuf {
    let mut connection = PgConnection::connect(&world.url).await.expect("PostgreSQL answers");
    sqlx::query("CHECKPOINT").execute(&mut connection).await.expect("we are its owner");
    let query = "SELECT current_setting('data_directory') || '/base/' || oid FROM pg_database WHERE datname = current_database()";
    let folder: String = sqlx::query_scalar(query).fetch_one(&mut connection).await.expect("we are its owner");
    connection.close().await.expect("it closes");
    folder.into()
}

fn canaries() -> Vec<(String, Vec<u8>)> {
    let plain: [&[u8]; 6] = [NUMBER.as_bytes(), LID.as_bytes(), NAME.as_bytes(), b"zoraida", TEXT.as_bytes(), PICTURE];
    let mut all = vec![];
    for canary in plain {
        let name = String::from_utf8_lossy(canary).into_owned();
        let digest = Sha256::digest(canary);
        all.push((name.clone(), canary.to_vec()));
        all.push((format!("{name} in hex"), hex::encode(canary).into_bytes()));
        all.push((format!("{name} in base64"), STANDARD.encode(canary).trim_end_matches('=').as_bytes().to_vec()));
        all.push((format!("SHA-256 of {name}"), digest.to_vec()));
        all.push((format!("SHA-256 of {name} in hex"), hex::encode(digest).into_bytes()));
    }
    for (path, body) in traffic().into_iter().filter(|(_, body)| is_hers(body)) {
        all.push((format!("SHA-256 of an event of {path}"), Sha256::digest(&body).to_vec()));
    }
    all
}

fn is_hers(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    text.contains(NUMBER) || text.contains(LID)
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return vec![] };
    let paths = entries.map(|entry| entry.expect("it can be read").path());
    paths.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

fn hers(seconds: i64, more: Value) -> Value {
    let id = format!("{NUMBER}@c.us");
    let mut fields = json!({
        "chat_id": id, "from": id, "to": "573009998877@c.us", "timestamp": 1_724_716_800 + seconds, "sender_name": NAME,
        "body": format!("{TEXT} {seconds}"),
    });
    fields.as_object_mut().expect("it is an object").extend(more.as_object().expect("it is an object").clone());
    fields
}

/// All events, with the URLs that they come to.
fn traffic() -> Vec<(&'static str, Vec<u8>)> {
    let (id, lid) = (format!("{NUMBER}@c.us"), format!("{LID}@lid"));
    let group = |author: &str, seconds| {
        hers(seconds, json!({"chat_id": GROUP, "from": GROUP, "group_sender": author, "is_group": 1}))
    };
    let mut events = vec![
        ("/webhook/7", received("A1", hers(0, json!({})))),
        ("/webhook/7", received("A1", hers(0, json!({"body": format!("{TEXT} edited")})))),
        ("/webhook/7", sent("A2", json!({"chat_id": id, "to": id, "body": format!("Hola {NAME}, {TEXT}")}))),
        ("/webhook/7", ack("A2", "read")),
        ("/webhook", ack("A2", "delivered")),
        ("/webhook/7", received("A3", hers(30, json!({"chat_id": lid, "from": lid, "sender_pn": id})))),
        (
            "/webhook/7",
            received(
                "A4",
                hers(40, json!({"type": "image", "media_url": "/canary.png", "filename": format!("{NAME}.png")})),
            ),
        ),
        ("/webhook/7", received("A5", hers(50, json!({"type": "image", "media_url": "/shared.png"})))),
        (
            "/webhook/7",
            received(
                "A6",
                hers(
                    60,
                    json!({"type": "vcard", "vcard": format!("BEGIN:VCARD\nFN:{NAME}\nTEL:+{NUMBER}\nEND:VCARD")}),
                ),
            ),
        ),
        ("/webhook/7", received("G1", group(&id, 70))),
        ("/webhook/7", reaction("G1", EVA, json!("👍"), json!(1_724_716_900))),
        (
            "/webhook/7",
            received(
                "G2",
                json!({"chat_id": GROUP, "from": GROUP, "group_sender": EVA, "is_group": 1, "sender_name": "Eva"}),
            ),
        ),
        ("/webhook/7", reaction("G2", &id, json!("👍"), json!(1_724_716_930))),
        ("/webhook/7", ack(&format!("true_{GROUP}_3EB0_{NUMBER}@c.us"), "read")),
        ("/webhook/7", format!("no JSON of {NUMBER}, {NAME}, {TEXT}").into_bytes()),
        ("/webhook/7", json!({"event_type": "message_received", "chat_id": id, "body": TEXT}).to_string().into_bytes()),
        ("/webhook/7", json!({"event_type": "presence", "contact": {"id": id, "name": NAME}}).to_string().into_bytes()),
        ("/webhook", received("U1", hers(80, json!({})))),
        (
            "/webhook/7",
            received(
                "E1",
                json!({"chat_id": EVA, "from": EVA, "sender_name": "Eva", "type": "image", "media_url": "/shared.png"}),
            ),
        ),
        ("/webhook/7", sent("E2", json!({"chat_id": EVA, "to": EVA}))),
    ];
    // There are enough messages for pages to be divided and merged.
    for n in 0..60 {
        events.push((
            "/webhook/7",
            received(&format!("B{n}"), hers(100 + n, json!({"body": format!("{TEXT} {}", "x ".repeat(200))}))),
        ));
        events.push(("/webhook/7", received(&format!("F{n}"), json!({"chat_id": EVA, "from": EVA, "sender_name": "Eva", "body": format!("hola {n} {}", "y ".repeat(150))}))));
    }
    events
}

async fn deliver(buzon: &Buzon, events: impl IntoIterator<Item = (&'static str, Vec<u8>)>) {
    for (path, body) in events {
        buzon.deliver_to(path, body).await.accepted();
    }
}

async fn erased_for_good(backend: Backend, s3: Option<&S3Server>) {
    let gateway = FileServer::start().await;
    gateway.reply("/canary.png", Reply::file(PICTURE));
    gateway.reply("/shared.png", Reply::file(SHARED));
    let elsewhere = tempfile::tempdir().expect("there is a temporary folder");
    let backups = elsewhere.path().join("backups");
    let place = Place::new(backend, s3).await;
    let buzon = place.serve(&gateway, &backups).await;
    deliver(&buzon, traffic()).await;
    let stored = "SELECT count(*) FROM media WHERE state = 'stored'";
    eventually("the pictures are stored", async || place.world.value(stored).await == "3").await;
    place.said(&["contact", "name", "7", NUMBER, NAME], &backups).await;
    place.said(&["backup", &backups.display().to_string()], &backups).await;

    let rehearsed = place.said(&["erase", "person", NUMBER], &backups).await;
    let code = rehearsed.trim_end().rsplit(' ').next().expect("it ends with the code").to_owned();
    let wrong = place.run(&["erase", "person", NUMBER, "--yes", "00000000"], &backups).await;
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
    let said = place.said(&["erase", "person", NUMBER, "--yes", &code], &backups).await;
    assert!(said.contains("has ended"), "{said}");
    if backend == Backend::Postgres {
        place.said(&["erase", "scrub"], &backups).await;
    }
    place.assert_clean("after the erasure").await;
    let record = place.said(&["erase", "record", "1"], &backups).await;
    assert!(!record.contains("not yet"), "{record}");
    assert!(place.said(&["audit"], &backups).await.contains("erase person"));

    let mut again = traffic();
    again.reverse();
    deliver(&buzon, again).await;
    let check = place.said(&["rebuild", "--check"], &backups).await;
    assert!(check.contains("every table is what the ledger says"), "{check}");
    assert_eq!(place.world.value("SELECT count(*) FROM messages").await, "63");
    assert_eq!(place.world.value(stored).await, "1");
    place.assert_clean("after all of the traffic came again").await;
    buzon.kill().await;
    place.said(&["rebuild"], &backups).await;
    place.assert_clean("after a rebuild").await;

    let twin = Place::of(World::empty(backend).await, s3, "restored");
    let source = backups.display().to_string();
    let said = twin.said(&["restore", &source], &backups).await;
    assert!(said.contains("erased again"), "{said}");
    let check = twin.said(&["rebuild", "--check"], &backups).await;
    assert!(check.contains("every table is what the ledger says"), "{check}");
    if backend == Backend::Postgres {
        twin.said(&["erase", "scrub"], &backups).await;
    }
    twin.assert_clean("after the restore of an older backup").await;
    let restored = twin.serve(&gateway, &backups).await;
    deliver(&restored, traffic()).await;
    twin.assert_clean("after the traffic came again to the restored one").await;
    restored.kill().await;

    std::fs::remove_dir_all(backups.join("erasures")).expect("it is there");
    let third = Place::of(World::empty(backend).await, s3, "third");
    let refused = third.run(&["restore", &source], &backups).await;
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    let without = third.run(&["restore", &source, "--without-erasures"], &backups).await;
    assert!(without.status.success(), "{without:?}");
}

#[test(flavor = "multi_thread")]
async fn nothing_of_an_erased_person_is_left_in_a_sqlite_file_and_a_folder() {
    erased_for_good(Backend::Sqlite, None).await;
}

#[test(flavor = "multi_thread")]
async fn nothing_of_an_erased_person_is_left_in_postgresql_and_a_bucket() {
    let s3 = S3Server::start().await;
    erased_for_good(Backend::Postgres, Some(&s3)).await;
}

#[test(flavor = "multi_thread")]
async fn an_erasure_whose_command_is_killed_is_ended_by_the_service() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let gateway = FileServer::start().await;
        let elsewhere = tempfile::tempdir().expect("there is a temporary folder");
        let place = Place::new(backend, None).await;
        let buzon = place.serve(&gateway, elsewhere.path()).await;
        deliver(&buzon, traffic()).await;
        let rehearsed = place.said(&["erase", "person", NUMBER], elsewhere.path()).await;
        let code = rehearsed.trim_end().rsplit(' ').next().expect("it ends with the code").to_owned();
        let settings = borrowed(&place.settings);
        let mut erasing = command(place.world.folder.path(), &["erase", "person", NUMBER, "--yes", &code], &settings);
        let mut erasing = erasing.spawn().expect("the program can be started");
        let begun = "SELECT count(*) FROM erasures";
        eventually("it has begun", async || place.world.value(begun).await == "1").await;
        erasing.kill().await.expect("it can be killed");
        let ended = "SELECT count(*) FROM erasures WHERE stage = 'ended'";
        eventually("it has ended", async || place.world.value(ended).await == "1").await;
        assert_eq!(place.world.value("SELECT count(*) FROM messages").await, "63");
        let check = place.said(&["rebuild", "--check"], elsewhere.path()).await;
        assert!(check.contains("every table is what the ledger says"), "{check}");
        buzon.kill().await;
    }
}
