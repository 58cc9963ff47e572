//! Checks whether the service sees the address of a client that comes by the public URL.

use std::net::IpAddr;

use super::Finding;
use super::public_url::is_here;
use crate::config::Config;
use domain::access::identity::IdentityClaims;

const PROXIES: &str = "proxies";
const SAY_WHO: &str = "have the proxy say who connects to it (nginx: proxy_set_header X-Forwarded-For \
                       $proxy_add_x_forwarded_for), and name it in trusted_proxies";

/// Judges by the claims of the service about a request that came by the public URL.
pub(super) fn check(config: &Config, claims: &IdentityClaims) -> Finding {
    let Some(peer) = claims.peer else {
        return Finding::ok(PROXIES, "the service does not say which address it sees");
    };
    let hidden = format!("the proxy at {peer} hides who connects to it: for buzon, every client is {peer}");
    match (claims.trusted, claims.forwarded_for) {
        (true, true) => {
            let client = claims.client.map_or_else(|| "nobody".to_owned(), |client| client.to_string());
            Finding::ok(PROXIES, format!("the proxy at {peer} is trusted, and says that this machine is {client}"))
        }
        (true, false) => hidden_client(config, peer, hidden, SAY_WHO.to_owned()),
        (false, true) => hidden_client(
            config,
            peer,
            format!(
                "the proxy at {peer} says who connects to it, but is not trusted: for buzon, every client is {peer}"
            ),
            format!("set trusted_proxies to {peer}, if that is your proxy, and start buzon again"),
        ),
        (false, false) if is_direct(config, peer) => Finding::ok(PROXIES, "there is no proxy in between"),
        (false, false) if peer.is_loopback() => hidden_client(config, peer, hidden, SAY_WHO.to_owned()),
        (false, false) => Finding::ok(
            PROXIES,
            format!("buzon sees this machine as {peer}; if that is a proxy's address, it hides who connects to it"),
        ),
    }
}

/// Returns whether the public URL is the address of the service itself.
fn is_direct(config: &Config, peer: IpAddr) -> bool {
    let direct = config.public_url.as_ref().filter(|url| url.port_or_known_default() == Some(config.listen.port()));
    peer.is_loopback() && direct.is_some_and(is_here)
}

/// Returns a finding about a hidden client address. The log and the limits then see only the proxy, and an allow list
/// keeps out everybody or lets in everybody.
fn hidden_client(config: &Config, peer: IpAddr, detail: String, remedy: String) -> Finding {
    let listed = |networks: &Vec<_>| networks.iter().any(|network: &ipnet::IpNet| network.contains(&peer));
    match config.webhook_allow_from.as_ref().map(listed) {
        Some(false) => Finding::failure(PROXIES, format!("{detail}, which webhook_allow_from does not name"), remedy),
        Some(true) => Finding::failure(PROXIES, format!("{detail}, whom webhook_allow_from lets in"), remedy),
        None => Finding::warning(PROXIES, detail, remedy),
    }
}
