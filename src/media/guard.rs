//! The rules about where a download may go. Anyone who sends an event chooses its `media_url`, and without a guard
//! could make the server send requests to its own network or to the metadata service of its cloud (SSRF).
//!
//! A host name is checked twice, since it can point anywhere: [`Guard::check`] sees the URL of every hop, and
//! [`Guard::check_address`] every address that the name resolves to. Neither sends a request.

use std::net::IpAddr;

use ipnet::IpNet;
use url::{Host, Origin, Url};

use super::special_addresses::SPECIAL;

/// The set of URLs and addresses that a download may go to.
#[derive(Clone, Debug)]
pub struct Guard(AddressScope);

#[derive(Clone, Debug)]
enum AddressScope {
    Origins(Vec<Origin>),
    Internet { deny: Vec<IpNet> },
}

impl Guard {
    /// Allows only these origins, compared by scheme, host and port. They may be private, because the owner named them.
    pub fn origins<'a>(origins: impl IntoIterator<Item = &'a Url>) -> Self {
        Self(AddressScope::Origins(origins.into_iter().map(Url::origin).collect()))
    }

    /// Allows every host with a globally reachable unicast address, at any port, since gateways use unusual ones.
    pub fn internet() -> Self {
        Self::internet_but(SPECIAL.to_vec())
    }

    /// Allows the same as [`Guard::internet`] with another table of forbidden networks than [`SPECIAL`].
    pub fn internet_but(deny: Vec<IpNet>) -> Self {
        Self(AddressScope::Internet { deny })
    }

    /// Checks the URL of a hop before a request is sent to it.
    ///
    /// # Errors
    /// The first rule that the URL breaks. A host name that passes can still resolve to a forbidden address.
    pub fn check(&self, url: &Url) -> Result<(), Refusal> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refusal::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::Credentials);
        }
        match &self.0 {
            AddressScope::Origins(origins) if origins.contains(&url.origin()) => Ok(()),
            AddressScope::Origins(_) => Err(Refusal::foreign(url)),
            AddressScope::Internet { .. } => self.check_host(url.host().ok_or(Refusal::Unreadable)?),
        }
    }

    /// Refuses the names of this machine by name, because they must not be resolved (RFC 6761, section 6.3).
    fn check_host(&self, host: Host<&str>) -> Result<(), Refusal> {
        match host {
            Host::Domain(name) if is_localhost(name) => Err(Refusal::Localhost),
            Host::Domain(_) => Ok(()),
            Host::Ipv4(address) => self.check_address(address.into()),
            Host::Ipv6(address) => self.check_address(address.into()),
        }
    }

    /// Checks an address that a host name resolved to. With configured origins, every address is allowed.
    ///
    /// # Errors
    /// If the address is in a forbidden network.
    pub fn check_address(&self, address: IpAddr) -> Result<(), Refusal> {
        match &self.0 {
            AddressScope::Internet { deny } if deny.iter().any(|network| network.contains(&address)) => {
                Err(Refusal::ForbiddenAddress(address))
            }
            _ => Ok(()),
        }
    }
}

/// Expects a name in lower case, like every host of a parsed URL.
fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name == "localhost" || name.ends_with(".localhost")
}

/// The reasons why a file is not fetched, in words for the owner. They name at most the origin, because paths and
/// queries can be secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the file's address is not a URL; only the gateway can correct it")]
    Unreadable,
    #[error(
        "the file's address is relative, and the gateway's is not known; \
         set BUZON_GATEWAY_URL to it and run: buzon media retry --state refused"
    )]
    Relative,
    #[error("the file's address begins with neither http:// nor https://; only the gateway can correct it")]
    Scheme,
    #[error("the file's address holds a user name or password, which are never sent; only the gateway can correct it")]
    Credentials,
    #[error(
        "{0} is neither the gateway's address nor an allowed one; if files are to come from there, \
         add it to BUZON_MEDIA_ORIGINS and run: buzon media retry --state refused"
    )]
    ForeignOrigin(String),
    #[error(
        "the file's address is localhost, which is closed to downloads; if the gateway runs on this machine, \
         set BUZON_GATEWAY_URL, or BUZON_MEDIA_ORIGINS, to its address and run: buzon media retry --state refused"
    )]
    Localhost,
    #[error(
        "the file is at {0}, which is not on the public internet; if the gateway is in your own network, \
         set BUZON_GATEWAY_URL, or BUZON_MEDIA_ORIGINS, to its address and run: buzon media retry --state refused"
    )]
    ForbiddenAddress(IpAddr),
}

impl Refusal {
    /// Cuts the origin, because a host can be as long as a message.
    fn foreign(url: &Url) -> Self {
        const SHOWN: usize = 200;
        Self::ForeignOrigin(url.origin().ascii_serialization().chars().take(SHOWN).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(guard: &Guard, url: &str) -> Result<(), Refusal> {
        guard.check(&Url::parse(url).unwrap())
    }

    fn forbidden(address: &str) -> Result<(), Refusal> {
        Err(Refusal::ForbiddenAddress(address.parse().unwrap()))
    }

    #[test]
    fn the_public_internet_may_be_asked_at_any_port() {
        for url in [
            "https://example.com:3000/uploads/x.jpg",
            "http://8.8.8.8/",
            "http://[2606:4700::1111]/",
            "https://localhost.example.com/",
            "https://mylocalhost/",
            "https://menú.example/",
        ] {
            assert_eq!(check(&Guard::internet(), url), Ok(()), "{url}");
        }
    }

    #[test]
    fn every_spelling_of_a_forbidden_ipv4_address_is_refused() {
        for (url, address) in [
            ("http://2130706433/", "127.0.0.1"),
            ("http://0x7f000001/", "127.0.0.1"),
            ("http://0X7F.1/", "127.0.0.1"),
            ("http://0177.0.0.1/", "127.0.0.1"),
            ("http://127.1/", "127.0.0.1"),
            ("http://127.0.0.1./", "127.0.0.1"),
            ("http://%31%32%37.0.0.1/", "127.0.0.1"),
            ("http://①②⑦.⓪.⓪.①/", "127.0.0.1"),
            ("http://127。0。0。1/", "127.0.0.1"),
            ("http:127.0.0.1", "127.0.0.1"),
            ("http:\\\\127.0.0.1\\", "127.0.0.1"),
            ("http:///127.0.0.1/", "127.0.0.1"),
            ("http://0/", "0.0.0.0"),
            ("http://0.0.0.0/", "0.0.0.0"),
            ("http://169.254.169.254/latest/meta-data", "169.254.169.254"),
            ("http://100.100.100.200/", "100.100.100.200"),
            ("http://168.63.129.16/", "168.63.129.16"),
            ("http://255.255.255.255/", "255.255.255.255"),
            ("https://10.0.0.1:8443/", "10.0.0.1"),
        ] {
            assert_eq!(check(&Guard::internet(), url), forbidden(address), "{url}");
        }
    }

    #[test]
    fn an_ipv6_address_that_is_not_public_or_carries_an_ipv4_one_is_refused() {
        for address in [
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:7f00:1",
            "::ffff:8.8.8.8",
            "::ffff:0:127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::8.8.8.8",
            "2002:7f00:1::",
            "2001:0:7f00:1::",
            "fd00:ec2::254",
            "fe80::1",
            "ff02::1",
        ] {
            assert_eq!(check(&Guard::internet(), &format!("http://[{address}]/")), forbidden(address), "{address}");
        }
    }

    #[test]
    fn localhost_is_refused_by_name() {
        for url in ["http://localhost./", "http://LOCALHOST/", "http://api.localhost:3000/", "http://a.localhost../"] {
            assert_eq!(check(&Guard::internet(), url), Err(Refusal::Localhost), "{url}");
        }
    }

    #[test]
    fn user_names_and_passwords_are_refused_wherever_the_host_is() {
        let gateway = Url::parse("http://127.0.0.1").unwrap();
        for url in ["http://user:pw@example.com/", "http://example.com@127.0.0.1/", "http://:pw@127.0.0.1/"] {
            assert_eq!(check(&Guard::internet(), url), Err(Refusal::Credentials), "{url}");
            assert_eq!(check(&Guard::origins([&gateway]), url), Err(Refusal::Credentials), "{url}");
        }
    }

    #[test]
    fn only_http_and_https_are_asked() {
        let everything = Guard::internet_but(Vec::new());
        for url in ["file:///etc/passwd", "ftp://example.com/x", "gopher://127.0.0.1:25/_x", "data:text/html,x"] {
            let same = Guard::origins([&Url::parse(url).unwrap()]);
            assert_eq!(check(&everything, url), Err(Refusal::Scheme), "{url}");
            assert_eq!(check(&same, url), Err(Refusal::Scheme), "{url}");
        }
    }

    #[test]
    fn with_origins_nothing_else_may_be_asked() {
        let origins = ["http://192.168.1.5:3000", "https://gw.example/base"].map(|url| Url::parse(url).unwrap());
        let guard = Guard::origins(&origins);
        for url in [
            "http://192.168.1.5:3000/uploads/x.jpg",
            "https://gw.example/x",
            "https://gw.example:443/x",
            "https://GW.example/x",
            "http://3232235781:3000/x",
        ] {
            assert_eq!(check(&guard, url), Ok(()), "{url}");
        }
        for url in [
            "http://192.168.1.5/x",
            "https://192.168.1.5:3000/x",
            "http://192.168.1.6:3000/x",
            "http://gw.example/x",
            "https://gw.example:80/x",
            "https://gw.example./x",
            "https://a.gw.example/x",
            "https://example/x",
        ] {
            assert!(matches!(check(&guard, url), Err(Refusal::ForeignOrigin(_))), "{url}");
        }
        assert!(check(&Guard::origins([]), "https://example.com/").is_err());
    }

    #[test]
    fn the_address_of_a_name_is_checked_unless_the_owner_vouches_for_its_origin() {
        let (private, public) = ("10.0.0.1".parse().unwrap(), "8.8.8.8".parse().unwrap());
        assert_eq!(Guard::internet().check_address(private), forbidden("10.0.0.1"));
        assert_eq!(Guard::internet().check_address(public), Ok(()));
        assert_eq!(Guard::origins([]).check_address(private), Ok(()));
        let other_table = Guard::internet_but(vec!["8.8.8.0/24".parse().unwrap()]);
        assert_eq!(other_table.check_address(private), Ok(()));
        assert_eq!(other_table.check_address(public), forbidden("8.8.8.8"));
    }

    #[test]
    fn a_refusal_names_no_path_and_no_query() {
        let guard = Guard::origins([]);
        let refusal = check(&guard, "https://example.com:8443/secret?token=secret#secret").unwrap_err().to_string();
        assert!(refusal.starts_with("https://example.com:8443 is neither"), "{refusal}");
        assert!(!refusal.contains("secret"), "{refusal}");
    }
}
