//! The source of a file: the `media_url` of a message, which is an address, or a `data:` URL that holds the file itself.
//!
//! A `data:` URL is as long as its file, so columns have a short form of it ([`column()`]), and its bytes are read from
//! the ledger when the file is saved ([`in_event`]).

use std::borrow::Cow;

use data_url::forgiving_base64::DecodeError;
use data_url::{DataUrl, DataUrlError};
use sha2::{Digest, Sha256};
use url::Url;

use crate::event::document::{BodyText, Document};

/// The host of a file inside the event. No address has it, because a host has no colon.
const INLINE_HOST: &str = "data:";
/// The type of a file whose sender states none.
const UNSTATED_TYPE: &str = "application/octet-stream";
/// The limit for a type in the short form. A longer one is none.
const MAX_TYPE_BYTES: usize = 127;

/// The reasons why a `data:` URL is no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableData {
    #[error("the file inside the event is not valid Base64")]
    Malformed,
    #[error("the file inside the event is larger than the limit")]
    TooLarge,
}

/// Returns the source that a message states, as it stands in the event: its `media_url`, or else the bytes in its
/// `media_base64`, as a `data:` URL. That field is a guess: the gateway's guide does not name it.
pub(crate) fn stated(document: &mut Document<'_>) -> Option<String> {
    let url = document.text("media_url").filter(|text| !text.is_empty());
    url.or_else(|| {
        let bytes = document.text("media_base64").filter(|text| !text.is_empty())?;
        if is_inline(&bytes) {
            return Some(bytes);
        }
        let is_type = |text: &String| !text.is_empty() && !text.contains([',', '#']);
        let content_type = document.short_text("mimetype", MAX_TYPE_BYTES).filter(is_type);
        Some(format!("data:{};base64,{bytes}", content_type.as_deref().unwrap_or(UNSTATED_TYPE)))
    })
}

/// Returns the form of a source that stands in columns: an address as it is, and of a `data:` URL
/// `data:TYPE;sha256=HASH`. The hash is that of the file, or of the URL itself if there is no file in it.
pub fn column(media_url: String) -> String {
    if !is_inline(&media_url) {
        return media_url;
    }
    let url = DataUrl::process(&media_url).ok();
    let content_type = url.as_ref().map(|url| format!("{}/{}", url.mime_type().type_, url.mime_type().subtype));
    let content_type = content_type.filter(|text| text.len() <= MAX_TYPE_BYTES);
    let mut hash = Sha256::new();
    let mut add = |bytes: &[u8]| {
        hash.update(bytes);
        Ok::<_, ()>(())
    };
    let is_file = url.is_some_and(|url| url.decode(&mut add).is_ok());
    let hash = if is_file { hash.finalize() } else { Sha256::digest(&media_url) };
    format!("data:{};sha256={}", content_type.as_deref().unwrap_or(UNSTATED_TYPE), hex::encode(hash))
}

/// Returns the text of an event without the bytes of files in it, for lists: `data:image/jpeg;base64,…`.
pub fn without_files(text: &str) -> Cow<'_, str> {
    let (mut shown, mut rest) = (String::new(), text);
    while let Some(begin) = rest.find("\"data:") {
        let end = begin + 1 + rest[begin + 1..].find('"').unwrap_or(rest.len() - begin - 1);
        match rest[..end].split_at(begin).1.find(',') {
            Some(comma) => {
                shown.push_str(&rest[..=begin + comma]);
                shown.push('…');
            }
            None => shown.push_str(&rest[..end]),
        }
        rest = &rest[end..];
    }
    if shown.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(shown + rest) }
}

/// Returns whether a source, in either form, is a file inside the event.
pub fn is_inline(source: &str) -> bool {
    !matches!(DataUrl::process(source), Err(DataUrlError::NotADataUrl))
}

/// Returns the host that a file is requested from: empty for an address that is relative to the gateway's.
pub(super) fn host(source: &str) -> String {
    if is_inline(source) {
        return INLINE_HOST.to_owned();
    }
    Url::parse(&address(source)).ok().and_then(|url| Some(url.host_str()?.to_owned())).unwrap_or_default()
}

/// Returns an address as it can be parsed. Gateways put file names into it as they are, so a `#`, and a `%` that
/// begins no escape, are part of the name. Spaces and letters with accents are escaped by the parser.
pub fn address(media_url: &str) -> Cow<'_, str> {
    let url = media_url.trim();
    let is_escape =
        |at: usize| url.as_bytes().get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
    let is_literal = |at: usize, character: char| character == '#' || (character == '%' && !is_escape(at));
    if !url.char_indices().any(|(at, character)| is_literal(at, character)) {
        return Cow::Borrowed(url);
    }
    let mut escaped = String::with_capacity(url.len() + 16);
    for (at, character) in url.char_indices() {
        match character {
            _ if !is_literal(at, character) => escaped.push(character),
            '#' => escaped.push_str("%23"),
            _ => escaped.push_str("%25"),
        }
    }
    Cow::Owned(escaped)
}

/// Returns the file inside an event whose short form this is. `None` if the event has another source.
///
/// # Errors
/// If there is no file in the URL, or if it has more than `max_size` bytes.
pub fn in_event(body: &[u8], source: &str, max_size: u64) -> Option<Result<Vec<u8>, UnreadableData>> {
    let text = BodyText::of(body);
    let url = stated(&mut Document::parse(&text).ok()?).filter(|url| is_inline(url))?;
    (column(url.clone()) == source).then(|| decoded(&url, max_size))
}

fn decoded(url: &str, max_size: u64) -> Result<Vec<u8>, UnreadableData> {
    let mut file = Vec::new();
    let url = DataUrl::process(url).map_err(|_| UnreadableData::Malformed)?;
    let read = url.decode(|bytes| {
        if (file.len() + bytes.len()) as u64 > max_size {
            return Err(UnreadableData::TooLarge);
        }
        file.extend_from_slice(bytes);
        Ok(())
    });
    match read {
        Ok(_) => Ok(file),
        Err(DecodeError::WriteError(error)) => Err(error),
        Err(_) => Err(UnreadableData::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_shows_events_without_the_bytes_of_their_files() {
        for (text, shown) in [
            (
                r#"{"media_url":"data:image/jpeg;base64,aG9sYQ==","id":"A"}"#,
                r#"{"media_url":"data:image/jpeg;base64,…","id":"A"}"#,
            ),
            (r#"{"a":"data:,x","b":"data:;base64,eHg"#, r#"{"a":"data:,…","b":"data:;base64,…"#),
            (r#"{"body":"data: no file","id":"A"}"#, r#"{"body":"data: no file","id":"A"}"#),
            (r#"{"body":"data"#, r#"{"body":"data"#),
            (r#"{"body":"data:"#, r#"{"body":"data:"#),
            (r#"{"body":"hola"}"#, r#"{"body":"hola"}"#),
        ] {
            assert_eq!(without_files(text), shown);
        }
    }

    fn hash(bytes: &[u8]) -> String {
        hex::encode(Sha256::digest(bytes))
    }

    #[test]
    fn columns_have_addresses_as_they_are_and_files_as_their_type_and_hash() {
        let of = |content_type: &str, bytes: &[u8]| format!("data:{content_type};sha256={}", hash(bytes));
        for (url, expected) in [
            ("/uploads/x.jpg", "/uploads/x.jpg".to_owned()),
            (" https://gw/x#y ", " https://gw/x#y ".to_owned()),
            ("database.jpg", "database.jpg".to_owned()),
            ("data:image/jpeg;base64,aG9sYQ==", of("image/jpeg", b"hola")),
            (" DATA:Image/JPEG;name=x;base64,aG9s\nYQ", of("image/jpeg", b"hola")),
            ("data:text/plain,hola%20t%C3%BA", of("text/plain", "hola tú".as_bytes())),
            ("data:,hola", of("text/plain", b"hola")),
            ("data:image/jpeg;base64,ñ", of("image/jpeg", "data:image/jpeg;base64,ñ".as_bytes())),
            ("data:image/jpeg;sha256=00", of(UNSTATED_TYPE, b"data:image/jpeg;sha256=00")),
        ] {
            assert_eq!(column(url.to_owned()), expected, "{url}");
            assert_eq!(is_inline(url), is_inline(&expected), "{url}");
        }
        let long = format!("data:image/{};base64,aG9sYQ==", "x".repeat(1_000_000));
        assert_eq!(column(long), of(UNSTATED_TYPE, b"hola"));
    }

    #[test]
    fn a_sign_of_a_url_that_is_meant_as_a_letter_is_escaped() {
        for (url, expected) in [
            ("/a/Factura #12.jpg", "/a/Factura %2312.jpg"),
            ("/a/50% off.jpg", "/a/50%25 off.jpg"),
            ("/a/100%", "/a/100%25"),
            ("/a/%4", "/a/%254"),
            ("/a/%zz%41", "/a/%25zz%41"),
            ("/a/%ñ", "/a/%25ñ"),
            (" /foto del menú.jpg\n", "/foto del menú.jpg"),
            ("http://gw/q.jpg?token=a%2Bb&sig=x+y/z=&x=1", "http://gw/q.jpg?token=a%2Bb&sig=x+y/z=&x=1"),
        ] {
            assert_eq!(address(url), expected, "{url}");
        }
    }

    #[test]
    fn the_file_inside_an_event_is_found_by_its_short_form() {
        let read = |fields: &str, source: &str, max_size| {
            in_event(format!(r#"{{"id":"A",{fields}}}"#).as_bytes(), source, max_size)
        };
        let url = "data:image/jpeg;base64,aG9sYQ==";
        let source = column(url.to_owned());
        let body = format!(r#""media_url":"{url}""#);
        assert_eq!(read(&body, &source, 4), Some(Ok(b"hola".to_vec())));
        assert_eq!(read(&body, &source, 3), Some(Err(UnreadableData::TooLarge)));
        assert_eq!(read(&body, "data:image/jpeg;sha256=00", 4), None);
        assert_eq!(read(r#""media_url":"/x.jpg""#, "/x.jpg", 4), None);
        let typed = r#""media_url":null,"media_base64":"aG9sYQ","mimetype":"image/jpeg; a=b""#;
        assert_eq!(read(typed, &source, 4), Some(Ok(b"hola".to_vec())));
        let untyped = format!("data:{UNSTATED_TYPE};sha256={}", hash(b"hola"));
        assert_eq!(read(r#""media_base64":"aG9sYQ","mimetype":"a,b""#, &untyped, 4), Some(Ok(b"hola".to_vec())));
        assert_eq!(read(&format!(r#""media_base64":"{url}""#), &source, 4), Some(Ok(b"hola".to_vec())));
        let broken = r#""media_url":"data:image/jpeg;base64,a""#;
        let source = column("data:image/jpeg;base64,a".to_owned());
        assert_eq!(read(broken, &source, 4), Some(Err(UnreadableData::Malformed)));
    }
}
