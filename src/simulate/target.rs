//! The address that events are sent to.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use url::{Host, Url};

use domain::instance::{self, InstanceId};
use platform::outbound::plain_url;

/// The address of the buzon that events are sent to. It is on this machine, or on one that was explicitly allowed.
#[derive(Clone, Debug)]
pub struct SendTarget(Url);

/// The reasons why events cannot be sent to an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    #[error("expected the address of a buzon without /webhook, such as http://127.0.0.1:8080")]
    Unreadable,
    #[error("{0} is not this machine; to send there nevertheless, add: --allow-remote {0}")]
    Remote(String),
}

impl SendTarget {
    /// Returns the target for a buzon that listens here. If it listens on all addresses, that is the loopback address.
    pub fn listening(listen: SocketAddr) -> Self {
        let address = match listen {
            SocketAddr::V4(v4) if v4.ip().is_unspecified() => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), v4.port()),
            SocketAddr::V6(v6) if v6.ip().is_unspecified() => SocketAddr::new(Ipv6Addr::LOCALHOST.into(), v6.port()),
            other => other,
        };
        Self(Url::parse(&format!("http://{address}")).expect("an address makes a URL"))
    }

    /// Parses an address.
    ///
    /// # Errors
    /// If it is not a plain http or https URL.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        let url = plain_url(text).filter(|url| !url.path().contains("webhook"));
        url.map(Self).ok_or(TargetError::Unreadable)
    }

    /// Checks that the target is this machine or the host `allowed`.
    ///
    /// # Errors
    /// If it is another machine.
    pub fn checked(self, allowed: Option<&str>) -> Result<Self, TargetError> {
        let host = self.0.host_str().unwrap_or_default();
        let named =
            |allowed: &str| allowed.trim_matches(['[', ']']).eq_ignore_ascii_case(host.trim_matches(['[', ']']));
        match self.is_local() || allowed.is_some_and(named) {
            true => Ok(self),
            false => Err(TargetError::Remote(host.to_owned())),
        }
    }

    fn is_local(&self) -> bool {
        match self.0.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
            Some(Host::Domain(name)) => name == LOCALHOST,
            None => false,
        }
    }

    pub(super) fn webhook(&self, instance: Option<&InstanceId>) -> Url {
        instance::webhook_url(&self.0, instance)
    }
}

/// The name of this machine, which is not looked up.
pub(super) const LOCALHOST: &str = "localhost";

impl fmt::Display for SendTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str, allowed: Option<&str>) -> Result<String, TargetError> {
        SendTarget::parse(text)?.checked(allowed).map(|target| target.to_string())
    }

    #[test]
    fn this_machine_is_taken_in_every_spelling_and_others_by_name_alone() {
        for local in [
            "http://127.0.0.1:8080",
            "http://localhost:8080/",
            "https://[::1]:8080",
            "http://2130706433",
            "http://[::ffff:127.0.0.1]",
        ] {
            assert!(checked(local, None).is_ok(), "{local}");
        }
        for (remote, host) in [
            ("http://10.0.0.1:8080", "10.0.0.1"),
            ("https://buzon.example.com/x", "buzon.example.com"),
            ("http://localhost.example.com", "localhost.example.com"),
            ("http://0.0.0.0:8080", "0.0.0.0"),
            ("http://[fd00::1]", "[fd00::1]"),
        ] {
            assert_eq!(checked(remote, None), Err(TargetError::Remote(host.to_owned())));
            assert_eq!(checked(remote, Some("example.com")), Err(TargetError::Remote(host.to_owned())));
            assert!(checked(remote, Some(host)).is_ok(), "{remote}");
        }
        for unreadable in
            ["127.0.0.1:8080", "ftp://127.0.0.1", "http://127.0.0.1/webhook/7", "http://u:p@127.0.0.1", ""]
        {
            assert_eq!(checked(unreadable, None), Err(TargetError::Unreadable), "{unreadable}");
        }
    }

    #[test]
    fn a_buzon_that_listens_everywhere_is_reached_by_loopback() {
        let at = |listen: &str| SendTarget::listening(listen.parse().unwrap()).webhook(None).to_string();
        assert_eq!(at("0.0.0.0:8080"), "http://127.0.0.1:8080/webhook");
        assert_eq!(at("[::]:8080"), "http://[::1]:8080/webhook");
        assert_eq!(at("10.0.0.1:80"), "http://10.0.0.1/webhook");
    }
}
