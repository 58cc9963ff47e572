//! `buzon backup` and `buzon restore`: the program itself, on both databases, into folders and buckets.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::task::JoinHandle;

use crate::support::database::world::{Backend, World};
use crate::support::events::{SECRET, ack, reaction, received, sent, sign};
use crate::support::gateway::file_server::{FileServer, Reply};
use crate::support::program::process::{Buzon, command, run};
use crate::support::s3::S3Server;
use crate::support::{borrowed, eventually};

mod interrupted;
mod refusals;
mod restore_killed;
mod retention;
mod round_trip;
mod watched;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

type Settings = Vec<(&'static str, String)>;

/// A world with a place for its backups.
struct Site {
    world: World,
    /// The program's settings besides the database.
    settings: Settings,
    /// The destination of backups, as an argument.
    dest: String,
    /// The destination as a folder of files.
    files: PathBuf,
}

impl Site {
    /// Creates a site with its media in the data folder and its backups in another folder.
    async fn in_folders(backend: Backend) -> Self {
        let world = World::new(backend).await;
        let files = world.folder.path().join("backups");
        Self { settings: vec![], dest: "backups".to_owned(), files, world }
    }

    /// Creates a site with its media and its backups in a bucket.
    async fn in_bucket(backend: Backend, s3: &S3Server) -> Self {
        let world = World::new(backend).await;
        Self {
            settings: s3.settings(),
            dest: "s3://media/backups".to_owned(),
            files: s3.bucket().join("backups"),
            world,
        }
    }

    /// Returns an empty site into which this one's backups can be restored.
    async fn empty_twin(&self) -> Self {
        let world = World::empty(self.world.backend).await;
        let settings =
            self.settings.iter().map(|(name, value)| (*name, value.replace("/saved", "/restored"))).collect();
        let dest = if self.dest.contains("://") { self.dest.clone() } else { self.files.display().to_string() };
        Self { world, settings, dest, files: self.files.clone() }
    }

    /// Returns the settings of the program, including the database.
    fn all(&self, further: &[(&'static str, String)]) -> Settings {
        let database = ("BUZON_DATABASE_URL", self.world.url.clone());
        let common = [database, ("BUZON_WEBHOOK_SECRET", SECRET.to_owned()), ("BUZON_API_TOKEN", TOKEN.to_owned())];
        common.into_iter().chain(self.settings.clone()).chain(further.to_vec()).collect()
    }

    async fn serve(&self, further: &[(&'static str, String)]) -> Buzon {
        Buzon::serve_default(&self.world, &borrowed(&self.all(further))).await
    }

    /// Runs a command on the site.
    async fn run(&self, arguments: &[&str]) -> Output {
        run(self.world.folder.path(), arguments, &borrowed(&self.all(&[]))).await
    }

    /// Runs a command that must succeed without a warning, and returns its output.
    async fn said(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).expect("it is text")
    }

    /// Runs a command that must fail with this exit code and one line, and returns the line.
    async fn refused(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        let said = String::from_utf8(output.stderr).expect("it is text");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        said
    }

    async fn backup(&self) -> String {
        self.said(&["backup", &self.dest]).await
    }

    /// Returns the names of all backups, complete or not, the oldest first.
    fn backups(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(&self.files) else { return vec![] };
        let names = entries.map(|entry| entry.expect("it can be read").file_name().into_string().expect("it is text"));
        // The tests' S3 server keeps empty folders, which do not exist in a bucket.
        let holds = |name: &String| !files_below(&self.files.join(name)).is_empty();
        let mut names: Vec<String> = names.filter(|name| name.starts_with("20")).filter(holds).collect();
        names.sort();
        names
    }

    /// Returns the media files of all backups.
    fn objects(&self) -> Vec<PathBuf> {
        let mut objects = files_below(&self.files.join("media"));
        objects.retain(|path| path.file_name().is_some_and(|name| name.len() == 64));
        objects.sort();
        objects
    }

    /// Returns the copy of the database in a backup.
    fn copy(&self, name: &str) -> PathBuf {
        let file = if self.world.backend == Backend::Sqlite { "database.sqlite" } else { "database.pgdump" };
        self.files.join(name).join(file)
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return vec![] };
    let paths = entries.map(|entry| entry.expect("it can be read").path());
    paths.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// Changes one byte in the middle of a file.
fn damage(path: &Path) {
    let mut content = std::fs::read(path).expect("it is there");
    let middle = content.len() / 2;
    content[middle] ^= 0xFF;
    std::fs::write(path, content).expect("it can be written");
}

/// Starts a file server with a picture for each message.
async fn gateway(pictures: usize) -> (FileServer, Settings) {
    let gateway = FileServer::start().await;
    for n in 0..pictures {
        gateway.reply(&format!("/{n}.jpg"), Reply::file(&picture(n)));
    }
    let settings = vec![("BUZON_GATEWAY_URL", gateway.url(""))];
    (gateway, settings)
}

fn picture(n: usize) -> Vec<u8> {
    format!("\u{0}picture number {n}").repeat(n + 1).into_bytes()
}

/// Delivers one event of each kind, and messages with these pictures. Returns when the pictures are stored.
async fn deliver_some(site: &Site, buzon: &Buzon, pictures: std::ops::Range<usize>) {
    for n in pictures.clone() {
        let body =
            received(&format!("P{n}"), json!({"type": "image", "media_url": format!("/{n}.jpg"), "body": "mira"}));
        buzon.deliver(body).await.accepted();
    }
    buzon.deliver(sent("S1", json!({"body": "¿Menú del día?"}))).await.accepted();
    buzon.deliver(ack("S1", "read")).await.accepted();
    buzon.deliver(reaction("S1", "573001112233@c.us", json!("👍"), json!(1_724_717_000))).await.accepted();
    buzon.deliver(b"not an event".to_vec()).await.accepted();
    let (wanted, stored) = (pictures.end.to_string(), "SELECT count(*) FROM media WHERE state = 'stored'");
    eventually("the pictures are stored", async || site.world.value(stored).await == wanted).await;
}

/// A client that delivers events until it is stopped.
struct BackgroundLoad {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl BackgroundLoad {
    fn start(buzon: &Buzon) -> Self {
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (stopped, noted, url) = (stop.clone(), acknowledged.clone(), format!("http://{}/webhook/7", buzon.address));
        let task = tokio::spawn(async move {
            let client = crate::support::client();
            for n in 0.. {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let (id, words) = (format!("L{n}"), "palabras ".repeat(n % 50));
                let body = received(&id, json!({"body": words, "chat_id": format!("57300{}@c.us", n % 20)}));
                let post = client.post(&url).header("X-Whapi-Signature", sign(SECRET, &body)).body(body);
                assert_eq!(post.send().await.expect("it answers").status(), 200);
                noted.lock().expect("the lock is not poisoned").push(id);
            }
        });
        Self { stop, acknowledged, task }
    }

    fn acknowledged(&self) -> Vec<String> {
        self.acknowledged.lock().expect("the lock is not poisoned").clone()
    }

    async fn stop(self) {
        self.stop.store(true, Ordering::SeqCst);
        self.task.await.expect("every event was taken");
    }
}

/// Kills a backup that is running.
async fn kill(mut backup: tokio::process::Child) {
    backup.kill().await.expect("it can be killed");
}

/// Starts a command on the site.
fn started(site: &Site, arguments: &[&str]) -> tokio::process::Child {
    let settings = site.all(&[]);
    let mut command = command(site.world.folder.path(), arguments, &borrowed(&settings));
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    command.spawn().expect("the program can be started")
}

/// Runs a test with each database, and with backups in a folder and in a bucket.
async fn on_all(mut test: impl AsyncFnMut(Site)) {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        println!("on {backend:?}, in folders");
        test(Site::in_folders(backend).await).await;
        println!("on {backend:?}, in a bucket");
        let s3 = S3Server::start().await;
        test(Site::in_bucket(backend, &s3).await).await;
    }
}
