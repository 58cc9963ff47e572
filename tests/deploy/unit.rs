//! The systemd service, as systemd's own tools see it.

use std::process::Output;

use tempfile::TempDir;
use tokio::process::Command;

use super::text;
use crate::support::program::process::run;

const UNIT: &str = "deploy/buzon.service";
const PROGRAM: &str = "/usr/local/bin/buzon";
const SETTINGS: &str = "/etc/buzon/buzon.toml";

/// Returns a folder with the unit, changed to run the program that was built.
fn unit() -> TempDir {
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    let unit = text(UNIT);
    assert!(unit.contains(&format!("ExecStart={PROGRAM} serve --config {SETTINGS}\n")));
    let unit = unit.replace(PROGRAM, env!("CARGO_BIN_EXE_buzon"));
    std::fs::write(folder.path().join("buzon.service"), unit).expect("it can be written");
    folder
}

async fn analyze(folder: &TempDir, arguments: &[&str]) -> Output {
    let command =
        Command::new("systemd-analyze").args(arguments).arg(folder.path().join("buzon.service")).output().await;
    command.expect("systemd-analyze is there; scripts/test --install brings it")
}

/// Returns the value of a key, which the unit must contain once.
fn value(key: &str) -> String {
    let text = text(UNIT);
    let values: Vec<_> = text.lines().filter_map(|line| line.strip_prefix(&format!("{key}="))).collect();
    assert_eq!(values.len(), 1, "{key}");
    values[0].to_owned()
}

#[test]
async fn systemd_finds_nothing_wrong_with_it() {
    let output = analyze(&unit(), &["verify"]).await;
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
async fn it_can_do_little_to_the_machine() {
    // The threshold is in tenths, from 0 for a service that can do nothing to 100. The remaining exposure is the
    // network, which the service is for.
    let output = analyze(&unit(), &["security", "--offline=true", "--no-pager", "--threshold=15"]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn it_starts_again_whatever_happens_and_is_given_time_to_end() {
    assert_eq!((value("Restart"), value("StartLimitIntervalSec")), ("always".to_owned(), "0".to_owned()));
    let wait: u64 = value("TimeoutStopSec").parse().expect("it is in seconds");
    assert!(wait > 8, "buzon ends within 8 seconds");
    let files: u64 = value("LimitNOFILE").parse().expect("it is a number");
    assert!(files >= 4 * 4_096, "{files}");
}

#[test]
async fn the_settings_that_are_shipped_with_it_are_taken() {
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    let secret = folder.path().join("webhook_secret");
    std::fs::write(&secret, "0123456789abcdef").expect("it can be written");
    let settings = text("deploy/buzon.toml").replace("/etc/buzon/webhook_secret", &secret.display().to_string());
    std::fs::write(folder.path().join("settings"), &settings).expect("it can be written");
    let output = run(folder.path(), &["check-config", "--config", "settings"], &[]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.code() == Some(2) && said.contains("is a placeholder"),
        "nobody's host is written in: {said}"
    );
    let settings = settings.replace("YOUR-HOST", "buzon.example.com").replace("YOUR-GATEWAY", "gateway.example.com");
    assert!(settings.contains(&value("WorkingDirectory")), "the data is where the unit lets it write");
    std::fs::write(folder.path().join("settings"), settings).expect("it can be written");
    let output = run(folder.path(), &["check-config", "--config", "settings"], &[]).await;
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("set, 16 characters") && said.contains("127.0.0.1"), "{said}");
}
