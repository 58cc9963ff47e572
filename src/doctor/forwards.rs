//! Checks whether the receivers of the forwards take events, from what the service has noted about them. It sends nothing.

use super::Finding;
use crate::config::Config;
use domain::forward::PAUSED_BY_OWNER;
use platform::clock::{Clock, SystemClock};
use store::{ForwardReport, OpenMode, Options, Pending};

const FORWARDS: &str = "forwards";

/// Returns nothing if no forward is configured.
pub(super) async fn check(config: &Config) -> Option<Finding> {
    if config.forwards.is_empty() {
        return None;
    }
    let options = Options {
        database: config.database.clone(),
        pending: Pending::Refuse,
        access: OpenMode::Beside,
        allow_managed_pg: config.allow_managed_pg,
    };
    let Ok(store) = store::open(&options).await else {
        return Some(Finding::ok(FORWARDS, "the database says nothing about them yet"));
    };
    let reports = store.forwards().await;
    store.close().await;
    let remedy = "see the database's line";
    Some(match reports {
        Ok(reports) => finding(config, &reports),
        Err(error) => Finding::warning(FORWARDS, format!("the database does not say: {error}"), remedy),
    })
}

fn finding(config: &Config, reports: &[ForwardReport]) -> Finding {
    let now = SystemClock.now();
    let (mut lines, mut troubles) = (Vec::new(), Vec::new());
    for forward in &config.forwards {
        let Some(report) = reports.iter().find(|report| report.name == forward.name.as_str()) else {
            lines.push(format!("{} begins when the service starts", forward.name));
            continue;
        };
        let behind = format!("{} events and {:.0} s behind", report.lag_events, report.lag_seconds(now));
        match (&report.stopped_since, report.paused) {
            (_, true) => {
                let reason = report.pause_reason.as_deref().unwrap_or(PAUSED_BY_OWNER);
                troubles.push(format!("{} is paused ({reason}), {behind}", forward.name));
            }
            (Some(since), false) => troubles.push(format!(
                "{} is stopped since {}: {} answers {}; {behind}",
                forward.name,
                since.to_rfc3339(),
                forward.destination,
                report.stopped_reason.as_deref().unwrap_or("nothing"),
            )),
            (None, false) => lines.push(format!("{} is {behind}", forward.name)),
        }
    }
    let detail = [troubles.as_slice(), &lines].concat().join("; ");
    if troubles.is_empty() {
        return Finding::ok(FORWARDS, detail);
    }
    let remedy = "put the receiver right, and try it with buzon forward test NAME; a paused one goes on with buzon forward \
                  resume NAME --from now or --from position";
    Finding::warning(FORWARDS, detail, remedy)
}
