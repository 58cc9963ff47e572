//! The files in `deploy/`, tested with the programs that they are for.

mod cells;
mod containers;
mod inicio_guide;
mod page;
mod proxies;
mod reverse_proxy;
mod unit;

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Returns the path of a file of the project.
fn project(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn text(path: &str) -> String {
    std::fs::read_to_string(project(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Reads a YAML file.
async fn yaml(path: &str) -> Value {
    const READ: &str = "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)";
    let mut command = Command::new(project("scripts/schemathesis"));
    command.args(["--python", "-c", READ]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("scripts/schemathesis can be started");
    let mut input = child.stdin.take().expect("it is piped");
    input.write_all(text(path).as_bytes()).await.expect("it reads");
    drop(input);
    let output = child.wait_with_output().await.expect("it ends");
    assert!(output.status.success(), "{path} is YAML");
    serde_json::from_slice(&output.stdout).expect("it is JSON")
}

#[test]
fn the_changelog_knows_this_version_and_its_schema() {
    let changelog = text("CHANGELOG.md");
    assert!(changelog.contains(concat!("\n## [", env!("CARGO_PKG_VERSION"), "] - ")));
    let [postgres, sqlite] = ["postgres", "sqlite"].map(|database| {
        let migrations = std::fs::read_dir(project(&format!("migrations/{database}"))).expect("they are there");
        let names = migrations.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.filter_map(|name| Some(name.split_once('_')?.0.to_owned())).max().expect("there are some")
    });
    assert!(changelog.contains(&format!("Its schema is {postgres} on PostgreSQL, {sqlite} on SQLite.")), "{sqlite}");
}

/// Every file and guide names the same ports for events and for the API.
#[test]
fn the_api_has_the_same_port_everywhere() {
    let api = "127.0.0.1:8081";
    let setting = format!("\napi_listen = \"{api}\"\n");
    for path in ["deploy/buzon.toml", "docs/inicio.md", "docs/deploy.md"] {
        assert!(text(path).contains(&setting), "{path}");
    }
    for (path, line) in [
        ("deploy/nginx.conf", format!("#   api_listen = \"{api}\"\n")),
        ("deploy/nginx.conf", format!("upstream buzon_api {{\n    server {api};\n")),
        ("deploy/Caddyfile", format!("#   api_listen = \"{api}\"\n")),
        ("deploy/Caddyfile", format!("reverse_proxy {api} {{\n")),
        ("deploy/compose.yaml", format!("\"{api}:8081\"]\n")),
        ("deploy/prometheus/compose.yml", "targets: [\"buzon:8081\"]\n".to_owned()),
        ("deploy/prometheus/prometheus.yml", format!("targets: [\"{api}\"]\n")),
        ("docs/deploy.md", format!("--publish {api}:8081 ")),
        ("Dockerfile", "\nENV BUZON_API_LISTEN=0.0.0.0:8081\n".to_owned()),
        ("Dockerfile", "\nEXPOSE 8080 8081\n".to_owned()),
    ] {
        assert!(text(path).contains(&line), "{path}: {line}");
    }
}

#[test]
async fn the_workflow_runs_what_a_developer_runs_and_may_do_nothing_else() {
    let workflow = yaml(".github/workflows/ci.yml").await;
    assert_eq!(workflow["permissions"], json!({"contents": "read"}));
    let steps = workflow["jobs"]["run"]["steps"].as_array().expect("there are steps");
    assert_eq!(steps.last().map(|step| &step["run"]), Some(&json!(".ci/run")));
    for action in steps.iter().filter_map(|step| step["uses"].as_str()) {
        let version = action.split_once("@v").map(|(_, version)| version.split('.').count());
        assert_eq!(version, Some(3), "{action} is of one version");
    }
}
