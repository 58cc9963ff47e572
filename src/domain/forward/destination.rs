//! The address of a receiver.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use url::{Host, Url};

use crate::instance::webhook_url;

/// The URL of a receiver. It can be a secret, so `Display` and `Debug` show its scheme, host and port alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Destination(Url);

impl Destination {
    const MAX_BYTES: usize = 2_048;

    /// Reads an http or https URL.
    ///
    /// # Errors
    /// If it is none, or has a user, a password or a fragment. The error does not quote it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let url = Url::parse(text.trim()).ok().filter(|_| text.len() <= Self::MAX_BYTES);
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = url.ok_or("expected a URL such as http://127.0.0.1:5678/webhook/whatsapp")?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                "a URL with a user or password in it is not taken; let the receiver verify the signature, or put a \
                        secret into its path",
            );
        }
        if url.fragment().is_some() { Err("a URL has no # here") } else { Ok(Self(url)) }
    }

    /// Returns the whole URL.
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// Returns whether this is a listener of this machine at `address`.
    pub fn is_listener(&self, address: SocketAddr) -> bool {
        let own = address.ip().to_canonical();
        let is_here = match self.0.host() {
            Some(Host::Domain(name)) => {
                let name = name.trim_end_matches('.');
                (name == "localhost" || name.ends_with(".localhost")) && is_local(own)
            }
            Some(Host::Ipv4(host)) => is_same(host.into(), own),
            Some(Host::Ipv6(host)) => is_same(IpAddr::from(host).to_canonical(), own),
            None => false,
        };
        is_here && self.0.port_or_known_default() == Some(address.port())
    }

    /// Returns whether this is the webhook of the buzon at `public_url`.
    pub fn is_webhook_of(&self, public_url: &Url) -> bool {
        let webhook = webhook_url(public_url, None);
        let rest = self.0.path().strip_prefix(webhook.path());
        self.0.origin() == webhook.origin() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// Returns whether programs on this machine reach the address as `localhost`.
fn is_local(own: IpAddr) -> bool {
    own.is_loopback() || own.is_unspecified()
}

fn is_same(host: IpAddr, own: IpAddr) -> bool {
    host == own || (host.is_loopback() || host.is_unspecified()) && is_local(own)
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.origin().ascii_serialization())
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Destination({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destination(text: &str) -> Destination {
        Destination::parse(text).unwrap()
    }

    #[test]
    fn a_receiver_is_an_http_url_without_a_user() {
        for usable in ["http://127.0.0.1:5678/webhook/whatsapp", "https://n8n.example.com/hook?token=x"] {
            assert!(Destination::parse(usable).is_ok(), "{usable}");
        }
        let long = format!("http://a/{}", "x".repeat(2_048));
        for wrong in
            ["", "bot", "ftp://a/b", "http://", "https://user@a/", "https://user:secret@a/", "https://a/#b", &long]
        {
            assert!(Destination::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn nothing_but_scheme_and_host_is_shown() {
        let shown = destination("https://n8n.example.com:8443/hook/SECRET?token=SECRET");
        assert_eq!(
            format!("{shown} {shown:?}"),
            "https://n8n.example.com:8443 Destination(https://n8n.example.com:8443)"
        );
    }

    #[test]
    fn the_own_listener_is_recognised() {
        for (url, listener, is_own) in [
            ("http://127.0.0.1:8080/webhook", "127.0.0.1:8080", true),
            ("http://localhost:8080/x", "127.0.0.1:8080", true),
            ("http://localhost.:8080/x", "[::1]:8080", true),
            ("http://buzon.localhost:8080/x", "0.0.0.0:8080", true),
            ("http://[::ffff:127.0.0.1]:8080/x", "0.0.0.0:8080", true),
            ("http://0.0.0.0:8080/x", "127.0.0.1:8080", true),
            ("http://0x7f000001:8080/x", "[::]:8080", true),
            ("http://127.0.0.1/x", "0.0.0.0:80", true),
            ("http://192.168.1.5:8080/x", "192.168.1.5:8080", true),
            ("http://127.0.0.1:5678/x", "127.0.0.1:8080", false),
            ("http://192.168.1.6:8080/x", "192.168.1.5:8080", false),
            ("http://127.0.0.1:8080/x", "192.168.1.5:8080", false),
            ("http://n8n:8080/x", "0.0.0.0:8080", false),
        ] {
            assert_eq!(destination(url).is_listener(listener.parse().unwrap()), is_own, "{url} {listener}");
        }
    }

    #[test]
    fn the_own_webhook_is_recognised_behind_its_public_url() {
        for (url, public_url, is_own) in [
            ("https://b.example.com/webhook", "https://b.example.com", true),
            ("https://b.example.com:443/webhook/123", "https://b.example.com/", true),
            ("https://b.example.com/x/webhook/123", "https://b.example.com/x/", true),
            ("https://b.example.com/bot", "https://b.example.com", false),
            ("https://b.example.com/webhooks", "https://b.example.com", false),
            ("https://n8n.example.com/webhook/123", "https://b.example.com", false),
        ] {
            assert_eq!(destination(url).is_webhook_of(&Url::parse(public_url).unwrap()), is_own, "{url}");
        }
    }
}
