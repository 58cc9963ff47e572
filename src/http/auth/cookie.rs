//! The cookie of a session: its name, and the requests that may log in and use it.

use actix_web::HttpRequest;
use actix_web::cookie::time::Duration as CookieAge;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::Method;
use actix_web::http::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, ORIGIN};
use url::{Origin, Url};

use crate::http::peer;
use crate::http::problem::Problem;
use domain::access::session::{LONGEST, SessionSecret};

/// The name over TLS. Its prefix keeps other hosts of the same domain from setting it.
const SECURE: &str = "__Host-buzon";
/// The name over plain HTTP, which is used on this machine alone. Every port of the host shares it.
const PLAIN: &str = "buzon-on-this-machine";
const FETCH_SITE: &str = "sec-fetch-site";

/// The way in which a browser reaches the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TLS, which a proxy in front of buzon speaks.
    Tls,
    /// Plain HTTP between programs of this machine.
    Loopback,
}

/// Returns how the page that sends a login reaches buzon.
///
/// # Errors
/// A request that no page of buzon sends, or one over plain HTTP from another machine.
pub fn transport(request: &HttpRequest, public_url: Option<&Url>) -> Result<Transport, Problem> {
    let origin = origin(request).ok_or(Problem::ForeignPage("a login comes from a page, which has an Origin"))?;
    if !is_own(&origin, request, public_url) {
        return Err(Problem::ForeignPage("this page is of another origin than public_url and the address asked for"));
    }
    match origin.origin() {
        Origin::Tuple(scheme, ..) if scheme == "https" => Ok(Transport::Tls),
        _ if peer::is_on_this_machine(request) => Ok(Transport::Loopback),
        _ => Err(Problem::LoginNeedsTls),
    }
}

fn text<'r>(request: &'r HttpRequest, name: &HeaderName) -> Option<&'r str> {
    request.headers().get(name).and_then(|value| value.to_str().ok())
}

/// Returns the origin of the page that caused a request.
fn origin(request: &HttpRequest) -> Option<Url> {
    Url::parse(text(request, &ORIGIN)?).ok()
}

/// Returns true for the origin of `public_url`, and for the one that the request was sent to.
fn is_own(origin: &Url, request: &HttpRequest, public_url: Option<&Url>) -> bool {
    let own = |url: &Url| url.origin() == origin.origin();
    let asked = text(request, &HOST).and_then(|host| Url::parse(&format!("{}://{host}", origin.scheme())).ok());
    public_url.is_some_and(own) || asked.as_ref().is_some_and(own)
}

/// Returns the secret of the session in the cookie of a request that only reads, or that buzon's own page sends as JSON. A
/// browser says which page that is in a header that no script sets, `Sec-Fetch-Site` or, if it is older, `Origin`; and a form
/// of another site cannot send JSON.
///
/// # Errors
/// A request of another page.
pub fn ordering(request: &HttpRequest, public_url: Option<&Url>) -> Result<Option<SessionSecret>, Problem> {
    if is_reading(request) {
        return reading(request);
    }
    let Some(secret) = any_secret(request) else { return Ok(None) };
    let is_said = request.headers().contains_key(FETCH_SITE);
    let is_own = if is_said {
        !is_cross_site(request.headers())
    } else {
        origin(request).is_some_and(|origin| is_own(&origin, request, public_url))
    };
    if !is_own {
        return Err(Problem::ForeignPage("with the cookie of a session, only buzon's own page orders this"));
    }
    if !is_json(request) {
        return Err(Problem::ForeignPage("with the cookie of a session, send Content-Type: application/json"));
    }
    Ok(Some(secret))
}

/// Returns true if the body of a request is JSON by its type.
pub fn is_json(request: &HttpRequest) -> bool {
    let essence = text(request, &CONTENT_TYPE).and_then(|value| value.split(';').next());
    essence.is_some_and(|value| value.trim().eq_ignore_ascii_case("application/json"))
}

fn is_reading(request: &HttpRequest) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
}

/// Returns the secret of the session in the cookie of a request that only reads.
///
/// # Errors
/// A request of a page of another site.
pub fn reading(request: &HttpRequest) -> Result<Option<SessionSecret>, Problem> {
    if !is_reading(request) {
        return Ok(None);
    }
    let secret = any_secret(request);
    if secret.is_some() && is_cross_site(request.headers()) {
        return Err(Problem::ForeignPage("the cookie of a session counts only for pages of buzon itself"));
    }
    Ok(secret)
}

/// Returns the secret in the cookie, whatever the request is.
pub fn any_secret(request: &HttpRequest) -> Option<SessionSecret> {
    let read = |name| SessionSecret::parse(request.cookie(name)?.value());
    read(SECURE).or_else(|| read(PLAIN).filter(|_| peer::is_on_this_machine(request)))
}

/// Returns true if the browser says that another site, or another origin of this site, caused the request. A browser that
/// does not say it sends no cookie for another site, which `SameSite` prevents.
pub fn is_cross_site(headers: &HeaderMap) -> bool {
    headers.get(FETCH_SITE).is_some_and(|site| site != "same-origin")
}

/// Returns the cookie of a new session.
pub fn made(secret: &SessionSecret, transport: Transport) -> Cookie<'static> {
    let mut cookie = named(transport, secret.expose().to_owned());
    cookie.set_max_age(CookieAge::seconds(LONGEST.as_secs().try_into().unwrap_or(i64::MAX)));
    cookie
}

/// Returns the cookies that end those of both names in the browser.
pub fn removed() -> [Cookie<'static>; 2] {
    [Transport::Tls, Transport::Loopback].map(|transport| {
        let mut cookie = named(transport, String::new());
        cookie.make_removal();
        cookie
    })
}

fn named(transport: Transport, value: String) -> Cookie<'static> {
    let (name, secure) = match transport {
        Transport::Tls => (SECURE, true),
        Transport::Loopback => (PLAIN, false),
    };
    Cookie::build(name, value).path("/").http_only(true).secure(secure).same_site(SameSite::Strict).finish()
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
    fn only_buzons_own_page_logs_in_over_tls_or_on_this_machine() {
        let public = Url::parse("https://buzon.example.com/").unwrap();
        for (peer, origin, host, expected) in [
            ("127.0.0.1", "https://buzon.example.com", "10.0.0.1:8080", Ok(Transport::Tls)),
            ("10.0.0.2", "https://panel.example.com", "panel.example.com", Ok(Transport::Tls)),
            ("127.0.0.1", "http://localhost:8080", "localhost:8080", Ok(Transport::Loopback)),
            ("127.0.0.1", "http://127.0.0.1:8080", "127.0.0.1:8080", Ok(Transport::Loopback)),
            ("10.0.0.2", "http://10.0.0.1:8080", "10.0.0.1:8080", Err("login_needs_tls")),
            ("127.0.0.1", "http://evil.example.com", "evil.example.com", Err("login_needs_tls")),
            ("127.0.0.1", "https://evil.example.com", "buzon.example.com", Err("foreign_page")),
            ("127.0.0.1", "http://localhost:9000", "localhost:8080", Err("foreign_page")),
            ("127.0.0.1", "null", "localhost:8080", Err("foreign_page")),
        ] {
            let request = from(peer, &[("origin", origin), ("host", host)]);
            let found = transport(&request, Some(&public)).map_err(|problem| problem.code());
            assert_eq!(found, expected, "{peer} {origin} {host}");
        }
        let proxied = from("127.0.0.1", &[("origin", "http://localhost"), ("host", "localhost"), ("via", "x")]);
        assert!(transport(&proxied, None).is_err());
        assert!(transport(&from("127.0.0.1", &[("host", "localhost")]), None).is_err());
    }

    #[test]
    fn a_cookie_counts_only_for_reading_and_for_buzons_own_pages() {
        let value = "ab".repeat(32);
        let (secure, plain) = (format!("{SECURE}={value}"), format!("{PLAIN}={value}"));
        let found = |peer, headers: &[(&str, &str)]| {
            reading(&from(peer, headers)).map(|secret| secret.is_some()).map_err(|problem| problem.code())
        };
        for (peer, cookie, site, expected) in [
            ("10.0.0.2", secure.as_str(), None, Ok(true)),
            ("10.0.0.2", secure.as_str(), Some("same-origin"), Ok(true)),
            ("10.0.0.2", secure.as_str(), Some("same-site"), Err("foreign_page")),
            ("10.0.0.2", secure.as_str(), Some("cross-site"), Err("foreign_page")),
            ("10.0.0.2", secure.as_str(), Some("none"), Err("foreign_page")),
            ("10.0.0.2", plain.as_str(), None, Ok(false)),
            ("127.0.0.1", plain.as_str(), None, Ok(true)),
            ("127.0.0.1", "__Host-buzon=short", None, Ok(false)),
        ] {
            let mut headers = vec![("host", "localhost:8080"), ("cookie", cookie)];
            headers.extend(site.map(|site| (FETCH_SITE, site)));
            assert_eq!(found(peer, &headers), expected, "{peer} {cookie} {site:?}");
        }
        let posted = TestRequest::post().append_header(("cookie", secure)).to_http_request();
        assert!(reading(&posted).unwrap().is_none() && any_secret(&posted).is_some());
    }

    #[test]
    fn with_a_cookie_only_buzons_own_page_orders_and_only_as_json() {
        let public = Url::parse("https://buzon.example.com/").unwrap();
        let cookie = format!("{SECURE}={}", "ab".repeat(32));
        let found = |headers: &[(&str, &str)]| {
            let request =
                TestRequest::post().append_header(("cookie", cookie.clone())).append_header((HOST, "10.0.0.1"));
            let request = headers.iter().fold(request, |request, header| request.append_header(*header));
            let found = ordering(&request.to_http_request(), Some(&public));
            found.map(|secret| secret.is_some()).map_err(|problem| problem.code())
        };
        let json = ("content-type", "application/json; charset=utf-8");
        for headers in [
            [("sec-fetch-site", "same-origin"), json],
            [("origin", "https://buzon.example.com"), json],
            [("origin", "http://10.0.0.1"), json],
        ] {
            assert_eq!(found(&headers), Ok(true), "{headers:?}");
        }
        for headers in [
            [("sec-fetch-site", "cross-site"), json],
            [("sec-fetch-site", "same-site"), json],
            [("sec-fetch-site", "none"), json],
            [("origin", "https://evil.example.com"), json],
            [("origin", "null"), json],
            [("accept", "*/*"), json],
            [("sec-fetch-site", "same-origin"), ("content-type", "text/plain")],
            [("sec-fetch-site", "same-origin"), ("content-type", "application/x-www-form-urlencoded")],
            [("sec-fetch-site", "same-origin"), ("content-type", "application/jsonp")],
            [("sec-fetch-site", "same-origin"), ("accept", "*/*")],
        ] {
            assert_eq!(found(&headers), Err("foreign_page"), "{headers:?}");
        }
        // An own origin rescues no request that the browser calls a foreign one.
        let both = [("sec-fetch-site", "cross-site"), ("origin", "https://buzon.example.com"), json];
        assert_eq!(found(&both), Err("foreign_page"));
    }
}
