//! Whether the service sees who is at the other end of the way from the public URL.

use std::net::IpAddr;

use super::Finding;
use super::public_url::is_here;
use crate::config::Config;
use domain::access::identity::IdentityClaims;

const PROXIES: &str = "proxies";
const SAY_WHO: &str = "have the proxy say who connects to it (nginx: proxy_set_header X-Forwarded-For \
                       $proxy_add_x_forwarded_for), and name it in trusted_proxies";

/// By what the service said of a question that came in by the public URL.
pub(super) fn check(config: &Config, said: &IdentityClaims) -> Finding {
    let Some(peer) = said.peer else {
        return Finding::ok(PROXIES, "the service does not say whom it sees");
    };
    let hidden = format!("the proxy at {peer} hides who connects to it: for buzon all the world is {peer}");
    match (said.trusted, said.forwarded_for) {
        (true, true) => {
            let client = said.client.map_or_else(|| "nobody".to_owned(), |client| client.to_string());
            Finding::ok(PROXIES, format!("the proxy at {peer} is trusted, and says that this machine is {client}"))
        }
        (true, false) => worse(config, peer, hidden, SAY_WHO.to_owned()),
        (false, true) => worse(
            config,
            peer,
            format!(
                "the proxy at {peer} says who connects to it, and is not believed: for buzon all the world is {peer}"
            ),
            format!("set trusted_proxies to {peer}, if that is your proxy, and start buzon again"),
        ),
        (false, false) if is_direct(config, peer) => Finding::ok(PROXIES, "there is no proxy in between"),
        (false, false) if peer.is_loopback() => worse(config, peer, hidden, SAY_WHO.to_owned()),
        (false, false) => Finding::ok(
            PROXIES,
            format!("buzon sees this machine as {peer}; if that is a proxy's address, it hides who connects to it"),
        ),
    }
}

/// Whether the public URL is the address of the service itself.
fn is_direct(config: &Config, peer: IpAddr) -> bool {
    let direct = config.public_url.as_ref().filter(|url| url.port_or_known_default() == Some(config.listen.port()));
    peer.is_loopback() && direct.is_some_and(is_here)
}

/// The log and the limits then speak of the proxy; the list of those who may send keeps out everybody, unless it
/// lets in everybody.
fn worse(config: &Config, peer: IpAddr, detail: String, remedy: String) -> Finding {
    let listed = |networks: &Vec<_>| networks.iter().any(|network: &ipnet::IpNet| network.contains(&peer));
    match config.webhook_allow_from.as_ref().map(listed) {
        Some(false) => Finding::failure(PROXIES, format!("{detail}, which webhook_allow_from does not name"), remedy),
        Some(true) => Finding::failure(PROXIES, format!("{detail}, whom webhook_allow_from lets in"), remedy),
        None => Finding::warning(PROXIES, detail, remedy),
    }
}
