//! The program itself, as a person starts it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tokio::fs;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use super::PATIENCE;
use super::world::World;

/// A running `buzon serve`; killed when it is dropped.
pub struct Buzon {
    pub address: SocketAddr,
    /// What it printed at the start.
    pub greeting: Vec<String>,
    child: Child,
    _stdout: Lines<BufReader<ChildStdout>>,
}

/// The program with nothing in its environment but `settings`, in `folder`.
pub fn command(folder: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_buzon"));
    command.args(arguments).env_clear().envs(settings.iter().copied()).current_dir(folder).kill_on_drop(true);
    command.stdin(Stdio::null());
    command
}

/// Runs the program to its end.
pub async fn run(folder: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    let output = command(folder, arguments, settings).output();
    timeout(PATIENCE, output).await.expect("the program ends").expect("the program can be started")
}

impl Buzon {
    /// Serves the world's database from its folder, on a free port. Its log goes to `log` there.
    pub async fn serve(world: &World, settings: &[(&str, &str)]) -> Self {
        Self::serve_default(world, &[&[("BUZON_DATABASE_URL", world.url.as_str())], settings].concat()).await
    }

    /// Serves whatever database these settings give, in the same way.
    pub async fn serve_default(world: &World, settings: &[(&str, &str)]) -> Self {
        let log = std::fs::File::options().create(true).append(true).open(world.folder.path().join("log"));
        let settings = [&[("BUZON_LISTEN", "127.0.0.1:0")], settings].concat();
        let mut child = command(world.folder.path(), &["serve"], &settings)
            .stdout(Stdio::piped())
            .stderr(log.expect("the log can be opened"))
            .spawn()
            .expect("the program can be started");
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut greeting = Vec::new();
        let read = timeout(PATIENCE, async {
            while let Ok(Some(line)) = stdout.next_line().await {
                let last = line.trim_start().starts_with("API token");
                greeting.push(line);
                if last {
                    break;
                }
            }
        });
        read.await.expect("the program greets");
        let listening = greeting.iter().find_map(|line| line.trim().strip_prefix("listening"));
        let address = listening.and_then(|url| url.trim().strip_prefix("http://")?.strip_suffix("/webhook"));
        let address = match address {
            Some(address) => address.parse().expect("it is an address"),
            None => panic!("the program did not start: {}", Self::log(world).await),
        };
        Self { address, greeting, child, _stdout: stdout }
    }

    /// Everything that was logged so far.
    pub async fn log(world: &World) -> String {
        fs::read_to_string(world.folder.path().join("log")).await.expect("there is a log")
    }

    pub fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|pid| Pid::from_raw(pid.try_into().ok()?)).expect("it runs");
        kill_process(pid, signal).expect("it can be signalled");
    }

    pub async fn wait(&mut self) -> ExitStatus {
        timeout(PATIENCE, self.child.wait()).await.expect("it ends").expect("it can be waited for")
    }

    /// `kill -9`.
    pub async fn kill(mut self) {
        self.signal(Signal::KILL);
        self.wait().await;
    }
}
