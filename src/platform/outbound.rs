//! The HTTP client for requests to other servers, and its errors in words.

use std::error::Error as _;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, Response};
use url::Url;

/// Returns the builder of a client that sends the given request and nothing else: it uses no proxies and no cookies,
/// follows no redirects and decompresses nothing. It trusts the public root certificates beside the system's, so that
/// it works on a system without any.
///
/// # Errors
/// If a root certificate cannot be read.
pub fn client() -> Result<ClientBuilder, reqwest::Error> {
    let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
    let roots = roots.map(|root| Certificate::from_der(root)).collect::<Result<Vec<_>, _>>()?;
    Ok(Client::builder()
        .user_agent(concat!("buzon/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .redirect(Policy::none())
        .referer(false)
        .tls_certs_merge(roots))
}

/// Reads the certificates of a PEM file. Returns `None` if it holds none.
pub fn certificates(pem: &[u8]) -> Option<Vec<Certificate>> {
    Certificate::from_pem_bundle(pem).ok().filter(|found| !found.is_empty())
}

/// The reason why a server gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// The host has no address.
    Dns,
    /// The connection cannot be encrypted, or the certificate is not trusted.
    Tls,
    /// The server has the request, and has not answered in time.
    Timeout,
    /// The connection failed or broke off.
    Network,
}

impl Silence {
    pub fn of(error: &reqwest::Error) -> Self {
        let (mut cause, mut found) = (error.source(), None);
        while let Some(current) = cause.filter(|_| found.is_none()) {
            if is_tls(current) {
                found = Some(Self::Tls);
            } else if current.to_string() == "dns error" {
                found = Some(Self::Dns);
            }
            cause = current.source();
        }
        match found {
            Some(found) => found,
            None if error.is_timeout() && !error.is_connect() => Self::Timeout,
            None => Self::Network,
        }
    }
}

/// Returns whether an error is one of TLS. Libraries wrap it in several errors of input and output, which do not name it as
/// their source.
fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>() || inner.is_some_and(|inner| is_tls(inner))
}

/// Returns why a server gave no answer, for a person. The text names the host and port and nothing else of the URL,
/// which may hold a secret.
pub fn unanswered(error: &reqwest::Error) -> String {
    let mut root = error.source();
    while let Some(cause) = root.and_then(|root| root.source()) {
        root = Some(cause);
    }
    let root = root.map_or_else(|| "no answer".to_owned(), ToString::to_string);
    let place = error.url().and_then(|url| Some(format!(" {}:{}", url.host_str()?, url.port_or_known_default()?)));
    let server = format!("the server{}", place.unwrap_or_default());
    match error {
        _ if root.starts_with("invalid peer certificate") => {
            let flaw = "has expired, is another host's, or is signed by nobody whom this machine trusts";
            format!("{server} has a certificate that {flaw}")
        }
        error if error.is_timeout() => format!("{server} did not answer in time"),
        error if error.is_connect() => format!("{server} cannot be reached: {root}"),
        _ => format!("{server} did not answer: {root}"),
    }
}

/// Parses an http or https URL that has no user name, password, query or fragment.
pub fn plain_url(text: &str) -> Option<Url> {
    let plain = |url: &Url| {
        matches!(url.scheme(), "http" | "https")
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    };
    Url::parse(text).ok().filter(plain)
}

/// Reads a body, or its first `max` bytes if it is longer.
///
/// # Errors
/// If the connection breaks off before that.
pub async fn beginning(mut response: Response, max: usize) -> Result<Vec<u8>, reqwest::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        bytes.extend_from_slice(&chunk[..chunk.len().min(max - bytes.len())]);
        if bytes.len() == max {
            break;
        }
    }
    Ok(bytes)
}
