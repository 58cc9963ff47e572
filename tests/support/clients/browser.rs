//! Chromium without a window.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

/// The time limit for a page. Opening one starts many processes, on a machine that runs other tests too.
const PATIENCE: Duration = Duration::from_secs(40);
/// Chromium sometimes hangs, whatever the page; a new process does not.
const TRIES: usize = 4;

/// Opens a page, lets everything load and every script run, and returns the resulting document. Returns `None` if the
/// browser does not show the page because it would be a download.
pub async fn open(url: &str) -> Option<String> {
    let mut said = String::new();
    for _ in 0..TRIES {
        match start(url).await {
            Ok(page) => return page,
            Err(error) => said = error,
        }
    }
    panic!("the browser did not open {url}: {said}")
}

async fn start(url: &str) -> Result<Option<String>, String> {
    let profile = tempfile::tempdir().expect("there is a temporary folder");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut browser = Command::new(program(&path))
        // Downloads and anything else that the browser leaves behind are removed with the profile.
        .env_clear()
        .env("PATH", &path)
        .env("HOME", profile.path())
        .env("TMPDIR", profile.path())
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
        // The browser connects to nothing but loopback, neither for itself nor for a page.
        .args(["--no-proxy-server", "--disable-background-networking", "--disable-component-update"])
        .arg("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
        .args(["--virtual-time-budget=2000", "--dump-dom", url])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the browser can be started");
    let mut stdout = browser.stdout.take().expect("it is piped");
    let mut stderr = BufReader::new(browser.stderr.take().expect("it is piped")).lines();
    let (mut page, mut said) = (String::new(), Vec::new());
    let refused = async {
        while let Ok(Some(line)) = stderr.next_line().await {
            // Chromium waits for ever after this message.
            if line.contains("Page load failed: net::ERR_ABORTED") {
                return true;
            }
            said.push(line);
        }
        false
    };
    let shown = timeout(PATIENCE, async {
        tokio::select! {
            true = refused => false,
            read = stdout.read_to_string(&mut page) => read.is_ok(),
        }
    });
    let shown = shown.await;
    browser.kill().await.expect("it can be ended");
    // The browser's other processes write into the profile until they end, and close this pipe when they do.
    let _ = timeout(PATIENCE, async { while let Ok(Some(_)) = stderr.next_line().await {} }).await;
    match shown {
        Ok(false) => Ok(None),
        Ok(true) if !page.is_empty() => Ok(Some(page)),
        _ => Err(format!("{shown:?} {page} {said:#?}")),
    }
}

fn program(path: &OsStr) -> PathBuf {
    let folders: Vec<PathBuf> = std::env::split_paths(path).collect();
    let programs = ["chromium", "chromium-browser"].iter().flat_map(|name| folders.iter().map(move |it| it.join(name)));
    let installed = programs.into_iter().find(|program| program.is_file());
    installed.expect("Chromium is not installed; run: apt-get install chromium (or scripts/test --install)")
}
