//! The URL of a file, from the `media_url` of the event.

use url::{ParseError, Url};

use super::guard::Refusal;
use domain::media::source::address;

/// The longest URL in bytes. No server accepts a longer one.
const LONGEST: usize = 8 * 1024;

/// Resolves a `media_url`, which may be relative to the gateway's address (RFC 3986, section 5: one that begins with
/// `/` is relative to the root of the origin, whatever path the gateway has). The guard decides whether it may be
/// requested.
///
/// # Errors
/// If it is not a URL, or if it is relative and there is no gateway.
pub fn resolve(source: &str, gateway: Option<&Url>) -> Result<Url, Refusal> {
    let source = address(source);
    if source.is_empty() || source.len() > LONGEST {
        return Err(Refusal::Unreadable);
    }
    match Url::parse(&source) {
        Err(ParseError::RelativeUrlWithoutBase) => {
            let gateway = gateway.ok_or(Refusal::Relative)?;
            gateway.join(&source).map_err(|_| Refusal::Unreadable)
        }
        parsed => parsed.map_err(|_| Refusal::Unreadable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(source: &str, gateway: &str) -> Result<String, Refusal> {
        resolve(source, Some(&Url::parse(gateway).unwrap())).map(String::from)
    }

    #[test]
    fn an_absolute_address_needs_no_gateway() {
        let url = "https://example.com:3000/uploads/x.jpg?sig=a%2Fb";
        assert_eq!(resolve(&format!("\n {url} "), None).unwrap().as_str(), url);
        assert_eq!(resolved(url, "https://gw").unwrap(), url);
        assert_eq!(resolve("file:///etc/passwd", None).unwrap().scheme(), "file", "the guard refuses it");
    }

    #[test]
    fn a_relative_address_is_the_gateways() {
        for (source, gateway, url) in [
            ("/uploads/whatsapp/x.jpg", "http://192.168.1.5:3000", "http://192.168.1.5:3000/uploads/whatsapp/x.jpg"),
            (" uploads/x.jpg\n", "https://gw", "https://gw/uploads/x.jpg"),
            ("/uploads/x", "https://gw/base", "https://gw/uploads/x"),
            ("/uploads/x", "https://gw/base/", "https://gw/uploads/x"),
            ("uploads/x", "https://gw/base/", "https://gw/base/uploads/x"),
            ("../../../x", "https://gw/base/", "https://gw/x"),
            ("//host/x", "https://gw", "https://host/x"),
            ("\\\\host\\x", "https://gw", "https://host/x"),
            ("/up\tloads/x", "https://gw", "https://gw/uploads/x"),
            ("/uploads/foto del menú.jpg", "https://gw", "https://gw/uploads/foto%20del%20men%C3%BA.jpg"),
            ("/uploads\\whatsapp\\c.jpg", "https://gw", "https://gw/uploads/whatsapp/c.jpg"),
            ("/uploads/Factura #12.jpg", "https://gw", "https://gw/uploads/Factura%20%2312.jpg"),
            ("/uploads/50% off.jpg", "https://gw", "https://gw/uploads/50%25%20off.jpg"),
            ("/x.jpg?token=a%2Bb&sig=x+y/z=", "https://gw", "https://gw/x.jpg?token=a%2Bb&sig=x+y/z="),
        ] {
            assert_eq!(resolved(source, gateway).unwrap(), url, "{source}");
        }
    }

    #[test]
    fn without_a_gateway_a_relative_address_says_what_to_set() {
        for source in ["/uploads/x.jpg", "uploads/x.jpg", "//host/x", "\\x"] {
            assert_eq!(resolve(source, None), Err(Refusal::Relative), "{source}");
        }
        let text = Refusal::Relative.to_string();
        assert!(text.contains("BUZON_GATEWAY_URL") && text.contains("buzon media retry"), "{text}");
    }

    #[test]
    fn what_is_no_url_is_refused() {
        let long = format!("https://gw/{}", "x".repeat(LONGEST));
        for source in ["", " ", &long, "http://", "http://[::1", "http://a b/", "http://x:99999/", "http://256.0.0.1/"]
        {
            assert_eq!(resolved(source, "https://gw"), Err(Refusal::Unreadable), "{source}");
            assert_eq!(resolve(source, None), Err(Refusal::Unreadable), "{source}");
        }
    }
}
