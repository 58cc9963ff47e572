//! Checks whether the address to which the gateway sends events leads to this service.

use std::net::IpAddr;

use url::{Host, Url};

use super::Finding;
use super::prober::{ProbeResult, Prober};
use super::service::same;
use crate::config::Config;
use domain::access::identity::IdentityClaims;
use domain::instance;

const PUBLIC_URL: &str = "public_url";

/// Returns the finding, and the claims of what answers if it is ours. `here` are the claims of the service on this
/// machine.
pub(super) async fn check(
    config: &Config,
    prober: &Prober,
    here: Option<&IdentityClaims>,
    database: Option<&str>,
) -> (Finding, Option<IdentityClaims>) {
    let Some(public) = &config.public_url else {
        let missing = "it is not set, so it was not checked whether the gateway reaches buzon";
        let remedy = "set public_url to the address that the gateway is to use, such as https://buzon.example.com";
        return (Finding::warning(PUBLIC_URL, missing, remedy), None);
    };
    if !prober.has_token() {
        let why = "there is no API token yet, with which a buzon proves that it is this one";
        return (Finding::warning(PUBLIC_URL, why, "start buzon once, and run doctor again"), None);
    }
    let webhook = webhook(config, public);
    match prober.ask(webhook.clone()).await {
        ProbeResult::Ours(claims) => {
            let finding = ours(config, public, &claims, here, database);
            (finding, Some(claims))
        }
        other => (not_ours(config, &webhook, &other), None),
    }
}

/// Returns the URL that is registered, for the first configured instance if there is one.
fn webhook(config: &Config, public: &Url) -> Url {
    instance::webhook_url(public, config.instances.first().map(|instance| &instance.id))
}

fn ours(
    config: &Config,
    public: &Url,
    claims: &IdentityClaims,
    here: Option<&IdentityClaims>,
    database: Option<&str>,
) -> Finding {
    let is_this_process = here.is_some_and(|here| here.process == claims.process);
    // An SQLite file has only one service, but several services can use the same database of a server.
    let is_copy = here.is_some() && !is_this_process && config.database.folder().is_some();
    if !same(claims.database.as_deref(), database) || is_copy {
        return Finding::failure(
            PUBLIC_URL,
            format!("another buzon answers at {public}, with the same token and other data"),
            "point the proxy, the tunnel or the name at this machine; and give each buzon a token of its own",
        );
    }
    if public.scheme() == "http" && !is_here(public) {
        return Finding::warning(
            PUBLIC_URL,
            format!("{public} leads here, without TLS: anybody on the network path can read the messages"),
            "put nginx, Caddy or a tunnel with TLS in front of buzon, and set public_url to https://…",
        );
    }
    let which = if is_this_process { "the buzon that runs here" } else { "a buzon on this database" };
    Finding::ok(PUBLIC_URL, format!("{public} leads to {which}"))
}

fn not_ours(config: &Config, webhook: &Url, result: &ProbeResult) -> Finding {
    let listen = config.listen;
    let (found, remedy) = match result {
        ProbeResult::Nothing(why) => (
            format!("{webhook} gives no answer: {why}"),
            "is the name right, does it lead to this machine, does the proxy or the tunnel run, and does the firewall \
             let it through? Some networks do not reach themselves by their public name: then try it from outside"
                .to_owned(),
        ),
        ProbeResult::Redirect(to) => (
            format!("{webhook} redirects to {to}, and the gateway follows no redirect"),
            "set public_url to the address where the redirect ends, and register that at the gateway".to_owned(),
        ),
        ProbeResult::Something(status) if [502, 503, 504].contains(&status.as_u16()) => (
            format!("the proxy at {webhook} does not reach buzon (HTTP {})", status.as_u16()),
            format!("is buzon running, and does the proxy pass /webhook on to http://{listen}?"),
        ),
        ProbeResult::Something(status) => (
            format!("something other than buzon answers at {webhook} (HTTP {})", status.as_u16()),
            format!(
                "correct public_url, or have the proxy pass /webhook on to http://{listen}, with all methods and headers"
            ),
        ),
        ProbeResult::Another | ProbeResult::Ours(_) => (
            format!("another buzon answers at {webhook}, or this one with other settings"),
            "point the proxy, the tunnel or the name at this machine; if settings were changed, start buzon again"
                .to_owned(),
        ),
    };
    Finding::failure(PUBLIC_URL, found, remedy)
}

/// Returns whether the URL names this machine by its loopback address.
pub(super) fn is_here(url: &Url) -> bool {
    let host = match url.host() {
        Some(Host::Ipv4(address)) => Some(IpAddr::from(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::from(address)),
        Some(Host::Domain(name)) => return name == "localhost",
        None => None,
    };
    host.is_some_and(|host| host.to_canonical().is_loopback())
}
