//! The metrics of a running buzon are those in the documents, the alerts and the dashboard, and Prometheus's own tool
//! accepts them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::clients::prometheus::{Exposition, promtool, selectors};
use crate::support::database::world::{World, on_both_empty};
use crate::support::events::{SECRET, received};
use crate::support::eventually;
use crate::support::gateway::file_server::{FileServer, Reply};
use crate::support::program::process::Buzon;

const DOCUMENT: &str = include_str!("../../../docs/metrics.md");
const ALERTS: &str = include_str!("../../../deploy/prometheus/alerts.yml");
const DASHBOARD: &str = include_str!("../../../deploy/grafana/buzon.json");

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus")
}

/// Returns the metrics after events, a file and requests.
async fn exported(world: &World) -> Exposition {
    let gateway = FileServer::start().await;
    gateway.reply("/a.jpg", Reply::file(b"a file"));
    let origin = gateway.url("");
    let buzon = Buzon::serve(world, &[("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_GATEWAY_URL", &origin)]).await;
    buzon.deliver(received("A", json!({"type": "image", "media_url": "/a.jpg"}))).await.accepted();
    buzon.deliver(b"not an event".to_vec()).await.accepted();
    let scrape = async || {
        let answer =
            crate::support::client().get(format!("http://{}/metrics", buzon.address)).send().await.expect("it answers");
        assert_eq!(answer.status(), 200);
        Exposition::parse(answer.text().await.expect("it is whole"))
    };
    let saved = async || scrape().await.sum("buzon_media_jobs", &[("state", "stored")]) == 1.0;
    eventually("the file is saved", saved).await;
    let exported = scrape().await;
    buzon.kill().await;
    exported
}

/// Returns the rows of the document's table: name, type, labels.
fn documented() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let rows = DOCUMENT.lines().filter(|line| line.starts_with("| `buzon_"));
    let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
        assert_eq!(cells.len(), 6, "{line}");
        (quoted(cells[0]).remove(0), (cells[1].trim().to_owned(), quoted(cells[3]).into_iter().collect()))
    };
    rows.map(row).collect()
}

#[test(flavor = "multi_thread")]
async fn the_document_describes_what_is_exported_and_nothing_else() {
    on_both_empty(async |world| {
        let exported = exported(&world).await;
        let named: BTreeMap<String, (String, BTreeSet<String>)> = exported
            .types
            .iter()
            .map(|(name, kind)| {
                let labels = exported.labels(name).into_iter().map(str::to_owned).collect();
                (name.clone(), (kind.clone(), labels))
            })
            .collect();
        assert!(named.len() > 15, "{named:?}");
        assert_eq!(documented(), named);
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn prometheus_finds_no_fault_with_the_text() {
    on_both_empty(async |world| {
        let text = exported(&world).await.text;
        let said = promtool(world.folder.path(), &["check", "metrics"], &text).await;
        assert_eq!(said, "");
    })
    .await;
}

#[test]
async fn prometheus_takes_the_configuration_and_the_alerts_and_they_come_when_they_should() {
    let said = promtool(&folder(), &["check", "rules", "alerts.yml"], "").await;
    assert!(said.contains(&format!("{} rules found", alerts().len())), "{said}");
    promtool(&folder(), &["check", "config", "prometheus.yml"], "").await;
    promtool(&folder(), &["test", "rules", "alerts_test.yml"], "").await;
    let tests = std::fs::read_to_string(folder().join("alerts_test.yml")).expect("it is there");
    for alert in alerts() {
        assert!(tests.contains(&format!("alertname: {alert}\n")), "{alert} is never expected");
        assert!(tests.contains(&format!("alertname: {alert}, exp_alerts: []")), "{alert} is always expected");
    }
}

fn alerts() -> Vec<&'static str> {
    ALERTS.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect()
}

#[test]
fn every_alert_is_explained_and_no_other() {
    let headings: Vec<&str> = DOCUMENT.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    assert_eq!(headings, alerts());
    let linked = DOCUMENT.split("](#").skip(1).filter_map(|rest| rest.split(')').next());
    for anchor in linked {
        assert!(headings.iter().any(|heading| heading.to_lowercase() == anchor), "{anchor}");
    }
}

/// Returns every query of the dashboard, including those of its variables.
fn queries() -> Vec<String> {
    fn collect(value: &Value, queries: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
                queries.extend(text("expr").into_iter().chain(text("query")));
                fields.values().for_each(|value| collect(value, queries));
            }
            Value::Array(values) => values.iter().for_each(|value| collect(value, queries)),
            _ => {}
        }
    }
    let mut queries = Vec::new();
    collect(&dashboard(), &mut queries);
    queries
}

fn dashboard() -> Value {
    serde_json::from_str(DASHBOARD).expect("it is JSON")
}

#[test(flavor = "multi_thread")]
async fn every_series_of_the_alerts_and_of_the_dashboard_is_exported_by_its_name_and_labels() {
    // The metrics of the database's disk exist with SQLite alone.
    let exported = exported(&World::empty(crate::support::database::world::Backend::Sqlite).await).await;
    let asked: Vec<_> = [ALERTS.to_owned()].into_iter().chain(queries()).flat_map(|query| selectors(&query)).collect();
    assert!(asked.len() > 40, "{}", asked.len());
    for (series, labels) in &asked {
        assert!(exported.types.contains_key(exported.metric(series)), "{series} is not exported");
        // These labels are added by Prometheus or by a setting, or chosen in the dashboard.
        let own = labels.iter().filter(|(label, ..)| !["job", "cell", "instance"].contains(&label.as_str()));
        for (label, operator, words) in own {
            for word in words.split('|').filter(|_| !operator.starts_with('!')) {
                assert!(!exported.all(series, &[(label, word)]).is_empty(), "{series} has no {label}={word}");
            }
            assert!(exported.labels(exported.metric(series)).contains(label.as_str()), "{series} has no {label}");
        }
    }
    let shown: BTreeSet<&str> = asked.iter().map(|(series, _)| exported.metric(series)).collect();
    let all: BTreeSet<&str> = exported.types.keys().map(String::as_str).collect();
    assert_eq!(shown, all, "the dashboard shows everything");
}

#[test]
fn the_dashboard_asks_the_source_that_is_chosen_and_its_panels_do_not_overlap() {
    let dashboard = dashboard();
    let variables: Vec<&str> = dashboard["templating"]["list"]
        .as_array()
        .expect("there are variables")
        .iter()
        .map(|variable| variable["name"].as_str().expect("it has a name"))
        .collect();
    assert_eq!(variables, ["datasource", "job", "cell", "instance"]);
    let panels = dashboard["panels"].as_array().expect("there are panels");
    let mut cells = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().expect("it has an id")), "{panel}");
        let at = |name: &str| panel["gridPos"][name].as_u64().expect("it has a place");
        for (x, y) in (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y))) {
            assert!(x < 24 && cells.insert((x, y)), "{} lies on another", panel["title"]);
        }
        if panel["type"] != "row" {
            let targets = panel["targets"].as_array().expect("it has queries");
            assert!(!targets.is_empty());
            for target in targets {
                assert_eq!(target["datasource"], json!({"type": "prometheus", "uid": "${datasource}"}));
                assert!(
                    target["expr"].as_str().is_some_and(|expr| expr.contains("$job") && expr.contains("$cell")),
                    "{target}"
                );
            }
        }
    }
}
