//! A real PostgreSQL server: the one that `BUZON_TEST_POSTGRES_URL` names, or a throw-away one for this process.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use rustix::process::{Pid, Signal, kill_process};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::eventually;

/// A server of one's own; it ends when its standard input does, at the latest with this process.
pub struct Server {
    pub url: String,
    _process: Child,
}

impl Server {
    /// Starts a server with `options` for `postgres`, such as `-c fsync=off`.
    pub fn start(options: &str) -> Self {
        let mut process = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/postgres"))
            .args(options.split_whitespace())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("scripts/postgres can be started");
        let mut url = String::new();
        let stdout = process.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut url).expect("it prints text");
        if url.is_empty() {
            let mut problem = String::new();
            let mut stderr = process.stderr.take().expect("it is piped");
            stderr.read_to_string(&mut problem).expect("it prints text");
            panic!("there is no PostgreSQL to test with: {problem}");
        }
        Self { url: url.trim_end().to_owned(), _process: process }
    }
}

/// How a server can end without being asked.
#[derive(Clone, Copy, Debug)]
pub enum Crash {
    /// All processes at once, without a checkpoint.
    Immediate,
    /// `kill -9` of the process that started all others.
    Postmaster,
    /// `kill -9` of the one that serves this connection, whereupon the server starts all anew by itself.
    Backend(i32),
}

/// A server's own folders and user.
pub struct Control {
    bin: PathBuf,
    data: PathBuf,
}

impl Control {
    /// Of a server on this machine that answers.
    pub async fn of(url: &str) -> Self {
        let mut connection = PgConnection::connect(url).await.expect("PostgreSQL answers");
        let row = "SELECT (SELECT setting FROM pg_config WHERE name = 'BINDIR'), current_setting('data_directory')";
        let (bin, data): (String, String) =
            sqlx::query_as(row).fetch_one(&mut connection).await.expect("we are its owner");
        connection.close().await.expect("the connection closes");
        Self { bin: bin.into(), data: data.into() }
    }

    pub async fn crash(&self, crash: Crash) {
        match crash {
            Crash::Immediate => assert!(self.pg_ctl(&["--mode", "immediate", "stop"]).await, "the server stops"),
            Crash::Postmaster => {
                let file = std::fs::read_to_string(self.data.join("postmaster.pid")).expect("it runs");
                kill(file.lines().next().and_then(|pid| pid.parse().ok()).expect("it has a number"));
            }
            Crash::Backend(pid) => kill(pid),
        }
    }

    /// Starts it as it was started before. After a crash its processes may take a moment to end.
    pub async fn start(&self) {
        eventually("the server starts", async || self.pg_ctl(&["--wait", "restart"]).await).await;
    }

    async fn pg_ctl(&self, arguments: &[&str]) -> bool {
        // The server refuses to run as root.
        let owner = std::fs::metadata(&self.data).expect("the folder is there").uid();
        let mut command = tokio::process::Command::new(self.bin.join("pg_ctl"));
        command.arg("--pgdata").arg(&self.data).args(["--silent", "--log"]).arg(self.data.with_file_name("log"));
        command.args(arguments).current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if rustix::process::getuid().is_root() {
            command.uid(owner);
        }
        command.status().await.expect("pg_ctl can be started").success()
    }
}

fn kill(pid: i32) {
    kill_process(Pid::from_raw(pid).expect("it is one"), Signal::KILL).expect("it can be killed");
}

/// The URL of the server for all tests.
pub fn server() -> &'static str {
    static URL: OnceLock<String> = OnceLock::new();
    static SERVER: OnceLock<Server> = OnceLock::new();
    URL.get_or_init(|| borrowed().unwrap_or_else(|| SERVER.get_or_init(|| Server::start("")).url.clone()))
}

/// The server that the tests were given.
fn borrowed() -> Option<String> {
    std::env::var("BUZON_TEST_POSTGRES_URL").ok()
}

/// The name of the database that a URL names.
pub fn name(url: &str) -> String {
    url::Url::parse(url).expect("it is a URL").path().trim_start_matches('/').to_owned()
}

/// Removes a database from a server that the tests were given.
pub fn drop_if_borrowed(url: &str) {
    let Some((server, name)) = borrowed().map(|server| (server, name(url))) else { return };
    let removal = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("there is a runtime");
        runtime.block_on(execute(&server, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")));
    });
    // A test that fails is not to fail again here.
    let _ = removal.join();
}

/// Makes a new, empty database with these options of `CREATE DATABASE`, and returns its URL.
pub async fn database(server: &str, options: &str) -> String {
    let name = format!("buzon_test_{}", uuid::Uuid::now_v7().simple());
    execute(server, &format!("CREATE DATABASE {name} {options}")).await;
    let mut url = url::Url::parse(server).expect("the server has a URL");
    url.set_path(&name);
    url.into()
}

/// Runs a statement on a connection of its own.
pub async fn execute(url: &str, statement: &str) {
    let mut connection = PgConnection::connect(url).await.expect("PostgreSQL answers");
    connection.execute(AssertSqlSafe(statement)).await.expect("the statement is right");
    connection.close().await.expect("the connection closes");
}
