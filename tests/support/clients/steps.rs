//! Steps in a browser that a person could take, in the files of tests/browser/.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::support::events::SECRET;

const PICTURES: &str = "BUZON_TEST_PICTURES";

/// A run of steps in the browser. The steps ask on their standard output for what only the test can do.
pub struct Browsing {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    said: String,
}

impl Browsing {
    /// Starts a file of steps against a page, with the address of the webhook and settings of the steps.
    pub fn start(file: &str, (page, webhook): (&str, &str), token: &str, settings: &[(&str, &str)]) -> Self {
        let chosen = settings.iter().find(|(name, _)| *name == PICTURES).map(|(_, folder)| (*folder).to_owned());
        let pictures = chosen.or_else(|| std::env::var(PICTURES).ok()).unwrap_or_default();
        let mut command = Command::new("node");
        command.arg(format!("tests/browser/{file}.mjs")).args([page, webhook, token, SECRET, &pictures]);
        command.envs(settings.iter().copied()).current_dir(env!("CARGO_MANIFEST_DIR")).kill_on_drop(true);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.expect("node can be started");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Self { child, lines, said: String::new() }
    }

    /// Returns what the steps ask for next; `None` if they have ended, all of them well.
    pub async fn asked(&mut self) -> Option<String> {
        while let Some(line) = self.lines.next_line().await.expect("it is text") {
            if let Some(wish) = line.strip_prefix("ask: ") {
                return Some(wish.to_owned());
            }
            println!("{line}");
            self.said.push_str(&line);
            self.said.push('\n');
        }
        let status = self.child.wait().await.expect("it ends");
        assert!(status.success(), "{}", self.said);
        None
    }

    /// Tells the steps that it is done.
    pub async fn done(&mut self) {
        let input = self.child.stdin.as_mut().expect("it is piped");
        input.write_all(b"done\n").await.expect("the steps read");
        input.flush().await.expect("the steps read");
    }
}
