//! Checks the service that runs on this machine, if there is one.

use reqwest::Client;
use serde_json::Value;
use url::Url;

use super::Finding;
use super::prober::{ProbeResult, Prober};
use crate::config::Config;
use crate::simulate::SendTarget;
use domain::access::identity::IdentityClaims;
use platform::outbound;

const SERVICE: &str = "service";
const SAME_SETTINGS: &str =
    "run doctor with the settings and as the user of the service; if the settings were changed, start it again";

/// Checks what answers at the configured address. Returns its claims if it is ours.
pub(super) async fn check(
    config: &Config,
    prober: &Prober,
    client: &Client,
    database: Option<&str>,
) -> (Finding, Option<IdentityClaims>) {
    let target = SendTarget::listening(config.listen);
    let at = |path: &str| Url::parse(&format!("{target}{path}")).expect("an address and a path make a URL");
    match prober.ask(at("/webhook")).await {
        ProbeResult::Nothing(why) => {
            let nobody = format!("no buzon answers at {target}: {why}");
            (Finding::warning(SERVICE, nobody, "start it with buzon serve, and have the system start it at boot"), None)
        }
        ProbeResult::Something(_) | ProbeResult::Redirect(_) => (
            Finding::failure(
                SERVICE,
                format!("what answers at {target} is not buzon"),
                "another program uses this port: stop it, or set listen to another port",
            ),
            None,
        ),
        ProbeResult::Another if !prober.has_token() => {
            (Finding::failure(SERVICE, format!("a buzon runs at {target}, with other settings"), SAME_SETTINGS), None)
        }
        ProbeResult::Another => {
            let other = format!("the buzon at {target} has another API token: it runs with other settings than these");
            (Finding::failure(SERVICE, other, SAME_SETTINGS), None)
        }
        ProbeResult::Ours(claims) if !same(claims.database.as_deref(), database) => {
            let other = format!("the buzon at {target} works on another database than the settings name");
            (Finding::failure(SERVICE, other, SAME_SETTINGS), Some(claims))
        }
        ProbeResult::Ours(claims) => (ready(client, at("/health/ready"), &claims).await, Some(claims)),
    }
}

/// Returns whether both ids are the same. If one is unknown, they may be.
pub(super) fn same(one: Option<&str>, other: Option<&str>) -> bool {
    one.zip(other).is_none_or(|(one, other)| one == other)
}

async fn ready(client: &Client, url: Url, claims: &IdentityClaims) -> Finding {
    let response = match client.get(url).send().await {
        Ok(response) => response,
        Err(error) => return unready(&outbound::unanswered(&error)),
    };
    if !response.status().is_success() {
        let problem = response.bytes().await.ok().and_then(|body| serde_json::from_slice::<Value>(&body).ok());
        return unready(
            problem.as_ref().and_then(|problem| problem["detail"].as_str()).unwrap_or("it does not say why"),
        );
    }
    let this = env!("CARGO_PKG_VERSION");
    if claims.version == this {
        Finding::ok(SERVICE, format!("buzon {this} runs, and takes events"))
    } else {
        Finding::warning(
            SERVICE,
            format!("buzon {} runs, and {this} is installed", claims.version),
            "start the service again, so that it is the installed one",
        )
    }
}

fn unready(why: &str) -> Finding {
    let remedy = "correct what the other lines report; the log says more, and the gateway sends the events again";
    Finding::failure(SERVICE, format!("buzon runs, but takes no events: {why}"), remedy)
}
