//! The address of the client: from the connection, and from the headers that can be trusted.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use actix_web::HttpRequest;
use actix_web::http::header::{HOST, HeaderMap, ORIGIN};
use ipnet::IpNet;

/// Headers that a proxy or a tunnel adds. With one of them, a loopback peer speaks for somebody else.
const FORWARDED_BY: [&str; 8] =
    ["forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip", "cf-ray", "fly-client-ip"];
const FORWARDED_PREFIX: &str = "x-forwarded";
const FORWARDED_FOR: &str = "x-forwarded-for";

/// Returns true if the request comes from a program on this machine that speaks for itself: a loopback peer, a loopback
/// host, and neither a forwarding header nor the `Origin` that a browser sends for a page.
pub fn is_local(request: &HttpRequest) -> bool {
    is_on_this_machine(request) && !request.headers().contains_key(ORIGIN)
}

/// Returns true if the request comes from a program on this machine, which can be a browser, and passed no proxy.
pub fn is_on_this_machine(request: &HttpRequest) -> bool {
    let peer = request.peer_addr().is_some_and(|peer| peer.ip().to_canonical().is_loopback());
    peer && has_loopback_host(request) && !is_forwarded(request.headers())
}

fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| {
        let name = name.as_str();
        FORWARDED_BY.contains(&name) || name.starts_with(FORWARDED_PREFIX)
    })
}

fn has_loopback_host(request: &HttpRequest) -> bool {
    let mut hosts = request.headers().get_all(HOST);
    let host = hosts.next().and_then(|host| host.to_str().ok());
    hosts.next().is_none() && host.is_some_and(|host| is_loopback_name(without_port(host)))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn is_loopback_name(name: &str) -> bool {
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    match address.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => name.trim_end_matches('.').eq_ignore_ascii_case("localhost"),
    }
}

/// Returns true if a header says on whose behalf the request comes.
pub fn has_forwarded_for(request: &HttpRequest) -> bool {
    request.headers().contains_key(FORWARDED_FOR)
}

/// Returns the client's address, for limits and for the log. `X-Forwarded-For` counts only if a trusted proxy sent it: it is
/// read from the right, past further trusted proxies, to the first address that is none of them.
pub fn client_address(request: &HttpRequest, trusted: &[IpNet]) -> Option<IpAddr> {
    let mut client = request.peer_addr()?.ip().to_canonical();
    let values: Vec<&[u8]> = request.headers().get_all(FORWARDED_FOR).map(|value| value.as_bytes()).collect();
    let mut claims = values.iter().rev().flat_map(|value| value.rsplit(|byte| *byte == b','));
    while contain(trusted, client) {
        let Some(claim) = claims.next().and_then(address) else { break };
        client = claim;
    }
    Some(client)
}

/// Reads an address from a header. Some proxies add the port.
fn address(claim: &[u8]) -> Option<IpAddr> {
    let claim = std::str::from_utf8(claim).ok()?.trim();
    let with_port = || claim.parse::<SocketAddr>().ok().map(|claim| claim.ip());
    Some(claim.parse::<IpAddr>().ok().or_else(with_port)?.to_canonical())
}

/// Returns true if one of the networks contains the address.
pub fn contain(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

/// Returns the key under which limits count an address: with IPv6 the /64 network, whose addresses belong to one customer.
pub fn rate_limit_key(address: IpAddr) -> IpAddr {
    const NETWORK: u128 = !(u64::MAX as u128);
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & NETWORK).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn from(peer: &str, headers: &[(&str, &str)]) -> HttpRequest {
        let request = TestRequest::default().peer_addr(format!("{peer}:4000").parse().unwrap());
        headers.iter().fold(request, |request, header| request.append_header(*header)).to_http_request()
    }

    #[test]
    fn only_a_program_on_this_machine_that_speaks_for_itself_is_local() {
        for (peer, host) in [
            ("127.0.0.1", "localhost:8080"),
            ("127.0.0.1", "127.0.0.1"),
            ("[::1]", "[::1]:8080"),
            ("[::ffff:127.0.0.1]", "LOCALHOST."),
        ] {
            assert!(is_local(&from(peer, &[("host", host)])), "{peer} {host}");
        }
        for host in ["buzon.example.com", "localhost.example.com", "10.0.0.1:8080", "", "127.0.0.1.nip.io"] {
            assert!(!is_local(&from("127.0.0.1", &[("host", host)])), "{host}");
        }
        assert!(!is_local(&from("10.0.0.1", &[("host", "localhost")])));
        assert!(!is_local(&from("127.0.0.1", &[])));
        assert!(!is_local(&from("127.0.0.1", &[("host", "localhost"), ("host", "localhost")])));
    }

    #[test]
    fn behind_a_proxy_a_tunnel_or_a_browser_nobody_is_local() {
        for header in ["X-Forwarded-For", "X-Forwarded-Proto", "Forwarded", "Via", "X-Real-IP", "CF-Ray", "Origin"] {
            assert!(!is_local(&from("127.0.0.1", &[("host", "localhost"), (header, "x")])), "{header}");
        }
    }

    #[test]
    fn the_clients_address_is_the_peers_unless_a_trusted_proxy_says_otherwise() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let client = |peer, forwarded: &[&str]| {
            let headers: Vec<_> = forwarded.iter().map(|value| ("x-forwarded-for", *value)).collect();
            client_address(&from(peer, &headers), &trusted).unwrap().to_string()
        };
        assert_eq!(client("203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["6.6.6.6, 198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["198.51.100.1, 10.0.0.2"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["6.6.6.6", "198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["nonsense"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["6.6.6.6", "ñ, 198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("[::ffff:10.0.0.1]", &["6.6.6.6, ::ffff:198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["6.6.6.6, 198.51.100.1:4711"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["6.6.6.6, [2001:db8::1]:4711"]), "2001:db8::1");
    }

    #[test]
    fn a_customer_of_ipv6_is_counted_once_whatever_address_they_take() {
        let counted = |address: &str| rate_limit_key(address.parse().unwrap()).to_string();
        assert_eq!(counted("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(counted("198.51.100.1"), "198.51.100.1");
        assert_eq!(counted("::ffff:198.51.100.1"), "198.51.100.1");
    }
}
