//! The program itself, as a person starts it.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::fs;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use super::service::{Answer, answer};
use crate::support::PATIENCE;
use crate::support::database::world::World;
use crate::support::events::{SECRET, sign};

/// A running `buzon serve`, which is killed when it is dropped.
pub struct Buzon {
    pub address: SocketAddr,
    pub api_address: SocketAddr,
    /// The lines printed at the start.
    pub greeting: Vec<String>,
    child: Child,
    _stdout: Lines<BufReader<ChildStdout>>,
}

/// Returns the program with nothing but `settings` in its environment, in `folder`.
pub fn command(folder: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_buzon"));
    command.args(arguments).env_clear().envs(settings.iter().copied()).current_dir(folder).kill_on_drop(true);
    command.stdin(Stdio::null());
    command
}

fn log_file(world: &World) -> File {
    let log = File::options().create(true).append(true).open(world.folder.path().join("log"));
    log.expect("the log can be opened")
}

/// Runs the program to its end.
pub async fn run(folder: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    let output = command(folder, arguments, settings).output();
    timeout(PATIENCE, output).await.expect("the program ends").expect("the program can be started")
}

/// Runs the program to its end at a terminal that `script` creates, and returns everything shown there.
pub async fn run_at_terminal(folder: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> String {
    let quoted = |argument: &&str| format!("'{}'", argument.replace('\'', "'\\''"));
    let line = [env!("CARGO_BIN_EXE_buzon")].iter().chain(arguments).map(quoted).collect::<Vec<_>>().join(" ");
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).env_clear().current_dir(folder).kill_on_drop(true);
    let path = std::env::var_os("PATH").unwrap_or_default();
    script.env("PATH", path).env("SHELL", "/bin/sh").envs(settings.iter().copied()).stdin(Stdio::null());
    let output = timeout(PATIENCE, script.output()).await.expect("the program ends");
    let output = output.expect("script is there (bsdutils)");
    String::from_utf8(output.stdout).expect("it is text").replace("\r\n", "\n")
}

impl Buzon {
    /// Serves the world's database from its folder, on a free port. The log goes to the file `log` there.
    pub async fn serve(world: &World, settings: &[(&str, &str)]) -> Self {
        Self::serve_default(world, &[&[("BUZON_DATABASE_URL", world.url.as_str())], settings].concat()).await
    }

    /// Serves the database that these settings name in the same way.
    pub async fn serve_default(world: &World, settings: &[(&str, &str)]) -> Self {
        Self::start(world, Self::served(world, settings), log_file(world)).await
    }

    /// Serves the world's database with its log going to `log`.
    pub async fn serve_logging_to(log: impl Into<Stdio>, world: &World, settings: &[(&str, &str)]) -> Self {
        let settings = [&[("BUZON_DATABASE_URL", world.url.as_str())], settings].concat();
        Self::start(world, Self::served(world, &settings), log).await
    }

    fn served(world: &World, settings: &[(&str, &str)]) -> Command {
        command(world.folder.path(), &["serve"], &Self::on_a_free_port(settings))
    }

    /// Serves the world's database as the last words of another program's command line.
    pub async fn serve_under(wrapper: &str, arguments: &[&str], world: &World, settings: &[(&str, &str)]) -> Self {
        let settings = [&[("BUZON_DATABASE_URL", world.url.as_str())], settings].concat();
        let served = Self::served(world, &settings);
        let mut command = Command::new(wrapper);
        command.args(arguments).arg(served.as_std().get_program()).args(served.as_std().get_args());
        let path = std::env::var_os("PATH").unwrap_or_default();
        let environment = served.as_std().get_envs().filter_map(|(name, value)| Some((name, value?)));
        command.env_clear().env("PATH", path).envs(environment);
        command.current_dir(world.folder.path()).kill_on_drop(true).stdin(Stdio::null());
        Self::start(world, command, log_file(world)).await
    }

    fn on_a_free_port<'s>(settings: &[(&'s str, &'s str)]) -> Vec<(&'s str, &'s str)> {
        [&[("BUZON_LISTEN", "127.0.0.1:0")], settings].concat()
    }

    async fn start(world: &World, mut command: Command, log: impl Into<Stdio>) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().expect("the program can be started");
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
        let address = |label: &str, path: &str| {
            let url = greeting.iter().find_map(|line| line.trim().strip_prefix(label))?.trim();
            let address = url.strip_prefix("http://")?.strip_suffix(path)?;
            Some(address.parse().expect("it is an address"))
        };
        let Some((address, api_address)) = address("listening", "/webhook").zip(address("read API", "/api/v1")) else {
            panic!("the program did not start: {}", Self::log(world).await);
        };
        Self { address, api_address, greeting, child, _stdout: stdout }
    }

    /// Returns everything that was logged so far.
    pub async fn log(world: &World) -> String {
        fs::read_to_string(world.folder.path().join("log")).await.expect("there is a log")
    }

    /// Posts a body signed with [`SECRET`] to instance 7.
    pub async fn deliver(&self, body: Vec<u8>) -> Answer {
        self.deliver_to("/webhook/7", body).await
    }

    /// Posts a body signed with [`SECRET`].
    pub async fn deliver_to(&self, path: &str, body: Vec<u8>) -> Answer {
        let post = crate::support::client().post(format!("http://{}{path}", self.address));
        answer(post.header("X-Whapi-Signature", sign(SECRET, &body)).body(body)).await
    }

    /// Returns the root of the file system as the program sees it.
    pub fn root(&self) -> PathBuf {
        format!("/proc/{}/root", self.child.id().expect("it runs")).into()
    }

    /// Returns the peak memory of the program in bytes, without the pages of its own file: the kernel keeps as many of
    /// them in memory as it likes, and a debug build has 60 MB of them.
    pub fn peak_memory(&self) -> u64 {
        let status = format!("/proc/{}/status", self.child.id().expect("it runs"));
        let status = std::fs::read_to_string(status).expect("Linux tells");
        let kilobytes = |name| -> Option<u64> {
            let value = status.lines().find_map(|line| line.strip_prefix(name))?;
            value.trim().strip_suffix(" kB")?.parse().ok()
        };
        let peak = kilobytes("VmHWM:").zip(kilobytes("RssFile:"));
        peak.map(|(all, of_files)| all.saturating_sub(of_files)).expect("both are numbers") * 1_024
    }

    /// Returns how many files and connections the program has open.
    pub fn open_files(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.child.id().expect("it runs"));
        std::fs::read_dir(folder).expect("Linux tells").count()
    }

    /// Returns the processor time of the program.
    pub fn processor_time(&self) -> Duration {
        /// Clock ticks per second, which Linux fixes at this value for user space.
        const TICKS: f64 = 100.0;
        let stat = format!("/proc/{}/stat", self.child.id().expect("it runs"));
        let stat = std::fs::read_to_string(stat).expect("Linux tells");
        // The third field follows the name in parentheses; the times are the 14th and 15th.
        let fields = stat.rsplit_once(')').expect("it has a name").1.split_whitespace().skip(11).take(2);
        let ticks: u64 = fields.map(|ticks| ticks.parse::<u64>().expect("it is a number")).sum();
        Duration::from_secs_f64(ticks as f64 / TICKS)
    }

    pub fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|pid| Pid::from_raw(pid.try_into().ok()?)).expect("it runs");
        kill_process(pid, signal).expect("it can be signalled");
    }

    pub async fn wait(&mut self) -> ExitStatus {
        timeout(PATIENCE, self.child.wait()).await.expect("it ends").expect("it can be waited for")
    }

    /// Kills the program with `kill -9`.
    pub async fn kill(mut self) {
        self.signal(Signal::KILL);
        self.wait().await;
    }
}
