//! A real PostgreSQL server: the one that `BUZON_TEST_POSTGRES_URL` names, or a temporary one for this process. With
//! `BUZON_TEST_POSTGRES_SCHEMA`, tables are in the schema of this name and not in `public`. With `BUZON_TEST_CITUS_URL`,
//! which names a database with Citus, each test has a distributed schema there instead of a database.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use buzon::store::{self, CellName, Database};
use rustix::process::{Pid, Signal, kill_process};
use secrecy::ExposeSecret;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::support::eventually;

/// A server for one test. It ends when its standard input is closed, at the latest with this process.
pub struct Server {
    pub url: String,
    _process: Child,
}

impl Server {
    /// Starts a server with `options` for `postgres`, such as `-c fsync=off`.
    pub fn start(options: &str) -> Self {
        Self::start_in(&std::env::temp_dir(), options)
    }

    /// Starts a server with its data in this folder.
    pub fn start_in(folder: &Path, options: &str) -> Self {
        let mut process = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/postgres"))
            .args(options.split_whitespace())
            .env("TMPDIR", folder)
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

/// A way in which a server can end unexpectedly.
#[derive(Clone, Copy, Debug)]
pub enum Crash {
    /// All processes end at once, without a checkpoint.
    Immediate,
    /// `kill -9` of the postmaster.
    Postmaster,
    /// `kill -9` of the backend with this process id, whereupon the server restarts all its processes.
    Backend(i32),
}

/// Control over a server on this machine: its folders and its processes.
pub struct ServerControl {
    bin: PathBuf,
    data: PathBuf,
    /// The options from the server's own file, kept here because a power cut could lose the file.
    options: String,
}

impl ServerControl {
    /// Takes control of a running server.
    pub async fn of(url: &str) -> Self {
        let mut connection = PgConnection::connect(url).await.expect("PostgreSQL answers");
        let row = "SELECT (SELECT setting FROM pg_config WHERE name = 'BINDIR'), current_setting('data_directory')";
        let (bin, data): (String, String) =
            sqlx::query_as(row).fetch_one(&mut connection).await.expect("we are its owner");
        connection.close().await.expect("the connection closes");
        let started = std::fs::read_to_string(Path::new(&data).join("postmaster.opts")).expect("it was started");
        let (_, options) = started.trim().split_once(' ').expect("the program comes first");
        Self { bin: bin.into(), data: data.into(), options: options.to_owned() }
    }

    /// Makes the server ask for passwords over TCP, once it reads its settings again.
    pub fn ask_for_passwords(&self) {
        let rules = "local all all trust\nhost all all all scram-sha-256\n";
        std::fs::write(self.data.join("pg_hba.conf"), rules).expect("it can be written");
    }

    pub async fn crash(&self, crash: Crash) {
        match crash {
            Crash::Immediate => assert!(self.pg_ctl(&["--mode", "immediate", "stop"], &[]).await, "the server stops"),
            Crash::Postmaster => signal(self.postmaster(), Signal::KILL),
            Crash::Backend(pid) => signal(Pid::from_raw(pid).expect("it is a process id"), Signal::KILL),
        }
    }

    /// Starts the server as it was started before. After a crash, its processes may take a moment to end.
    pub async fn start(&self) {
        self.start_with(&[]).await;
    }

    /// Starts or restarts the server with these variables in its environment.
    pub async fn start_with(&self, environment: &[(&str, String)]) {
        let started = async || {
            self.pg_ctl(&["--mode", "immediate", "stop"], &[]).await;
            self.pg_ctl(&["--wait", "--options", &self.options, "start"], environment).await
        };
        eventually("the server starts", started).await;
    }

    /// Stops all processes with SIGSTOP, and returns them.
    pub fn freeze(&self) -> Vec<Pid> {
        let postmaster = self.postmaster();
        signal(postmaster, Signal::STOP);
        let others: Vec<Pid> = children(postmaster).into_iter().inspect(|pid| signal(*pid, Signal::STOP)).collect();
        [vec![postmaster], others].concat()
    }

    /// Kills processes that were stopped, and waits for their end.
    pub async fn end(&self, processes: &[Pid]) {
        processes.iter().for_each(|pid| signal(*pid, Signal::KILL));
        let gone = async || processes.iter().all(|pid| parent(*pid).is_none());
        eventually("the server's processes end", gone).await;
    }

    /// Returns whether the server is still running.
    pub fn runs(&self) -> bool {
        self.find_postmaster().is_some_and(|pid| parent(pid).is_some())
    }

    fn postmaster(&self) -> Pid {
        self.find_postmaster().expect("it runs")
    }

    fn find_postmaster(&self) -> Option<Pid> {
        let file = std::fs::read_to_string(self.data.join("postmaster.pid")).ok()?;
        Pid::from_raw(file.lines().next()?.parse().ok()?)
    }

    async fn pg_ctl(&self, arguments: &[&str], environment: &[(&str, String)]) -> bool {
        // The server refuses to run as root.
        let owner = std::fs::metadata(&self.data).expect("the folder is there").uid();
        let mut command = tokio::process::Command::new(self.bin.join("pg_ctl"));
        command.arg("--pgdata").arg(&self.data).args(["--silent", "--log"]).arg(self.data.with_file_name("log"));
        command
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if rustix::process::getuid().is_root() {
            command.uid(owner);
        }
        command.status().await.expect("pg_ctl can be started").success()
    }
}

/// Sends a signal to a server process by its id from `pg_stat_activity`.
pub fn signal_backend(pid: i32, signal: Signal) {
    self::signal(Pid::from_raw(pid).expect("it is a process id"), signal);
}

fn signal(process: Pid, signal: Signal) {
    // The process may have ended by itself.
    let _ = kill_process(process, signal);
}

fn children(of: Pid) -> Vec<Pid> {
    let entries = std::fs::read_dir("/proc").expect("this is Linux");
    let names = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    names.filter_map(Pid::from_raw).filter(|pid| parent(*pid) == Some(of)).collect()
}

/// Returns the parent of a running process. In `/proc/PID/stat`, the state and the parent follow the name in
/// parentheses.
fn parent(process: Pid) -> Option<Pid> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_pid())).ok()?;
    let mut words = stat.rsplit_once(')')?.1.split_whitespace();
    words.next().filter(|state| *state != "Z")?;
    words.next().and_then(|pid| Pid::from_raw(pid.parse().ok()?))
}

/// Returns the URL of the server that all tests share.
pub fn server() -> &'static str {
    static URL: OnceLock<String> = OnceLock::new();
    static SERVER: OnceLock<Server> = OnceLock::new();
    URL.get_or_init(|| borrowed().unwrap_or_else(|| SERVER.get_or_init(|| Server::start("")).url.clone()))
}

/// Returns the server that the environment names.
fn borrowed() -> Option<String> {
    citus().or_else(|| std::env::var("BUZON_TEST_POSTGRES_URL").ok())
}

/// Returns the database with Citus that the environment names.
fn citus() -> Option<String> {
    std::env::var("BUZON_TEST_CITUS_URL").ok()
}

/// Returns whether the server was there before the tests, and stays after them.
pub fn is_borrowed() -> bool {
    borrowed().is_some()
}

/// Returns the name of the database in a URL.
pub fn name(url: &str) -> String {
    url::Url::parse(url).expect("it is a URL").path().trim_start_matches('/').to_owned()
}

/// Drops a database, or the schema that stands for one, if it is on a server that the environment names.
pub fn drop_if_borrowed(url: &str) {
    let Some(server) = borrowed() else { return };
    let removal = match citus() {
        Some(_) => format!("DROP SCHEMA IF EXISTS {} CASCADE", schema(url).unwrap_or_default()),
        None => format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", name(url)),
    };
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("there is a runtime");
        runtime.block_on(execute(&server, &removal));
    });
    // A failing test must not panic again here.
    let _ = thread.join();
}

/// Creates an empty database with these options of `CREATE DATABASE`, and returns its URL.
pub async fn database(server: &str, options: &str) -> String {
    let id = uuid::Uuid::now_v7().simple().to_string();
    if citus().is_some_and(|citus| citus == server) {
        return cell_on_citus(server, &format!("t{}", &id[..31])).await;
    }
    let name = format!("buzon_test_{id}");
    execute(server, &format!("CREATE DATABASE {name} {options}")).await;
    let mut url = url::Url::parse(server).expect("the server has a URL");
    url.set_path(&name);
    let Ok(schema) = std::env::var("BUZON_TEST_POSTGRES_SCHEMA") else { return url.into() };
    // A database that is copied from a template has it already.
    execute(url.as_str(), &format!("CREATE SCHEMA IF NOT EXISTS {schema}")).await;
    in_schema(url.as_str(), &schema)
}

/// Makes a distributed schema, which has its tables already: some of their settings cannot be stated there.
async fn cell_on_citus(server: &str, name: &str) -> String {
    let (database, name) = (Database::parse(server), CellName::parse(name));
    let cell = store::init_cell(&database.expect("it is a URL"), &name.expect("it is a name"), true).await;
    cell.expect("the cell is made").url.expose_secret().to_owned()
}

/// Returns the URL of the same database with tables in this schema.
fn in_schema(url: &str, schema: &str) -> String {
    let mut url = url::Url::parse(url).expect("it is a URL");
    url.set_query(Some(&format!("options=-c%20search_path%3D{schema}")));
    url.into()
}

/// Returns the schema that [`in_schema`] has put into a URL.
fn schema(url: &str) -> Option<String> {
    Some(url.rsplit_once("search_path%3D")?.1.to_owned())
}

/// Runs a statement on its own connection.
pub async fn execute(url: &str, statement: &str) {
    let mut connection = PgConnection::connect(url).await.expect("PostgreSQL answers");
    connection.execute(AssertSqlSafe(statement)).await.expect("the statement is right");
    connection.close().await.expect("the connection closes");
}
