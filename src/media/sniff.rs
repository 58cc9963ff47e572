//! The media type of a file by its first bytes, or by its names if it is a zip. Its name and the type that the server
//! states cannot be trusted.

use tokio::task::spawn_blocking;

use super::spool::Spooled;
use super::zip_directory;

/// The maximum number of bytes that are examined.
pub const HEAD_BYTES: usize = 8 * 1024;

const UNKNOWN: &str = "application/octet-stream";
const UTF8_BOM: &[u8] = b"\xEF\xBB\xBF";
const ZIP: &[u8] = b"PK\x03\x04";
const OLE: &[u8] = b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1";

/// The formats with a signature whose files can be text throughout.
const TEXTUAL: [&str; 5] =
    ["application/pdf", "application/rtf", "application/postscript", "application/x-x509-ca-cert", "image/gif"];

/// Tags that only HTML has. Tags that XML formats also have (`<title`, `<link`) are not among them.
const HTML_TAGS: [&[u8]; 10] =
    [b"<!doctype html", b"<html", b"<head", b"<body", b"<script", b"<iframe", b"<img", b"<object", b"<embed", b"<form"];

/// Returns the media type of a file. Documents of an office are zips, and what they are stands at their end.
pub(super) async fn file_type(spooled: &Spooled) -> &'static str {
    let by_head = content_type(&spooled.head);
    if !spooled.head.starts_with(ZIP) {
        return by_head;
    }
    let (file, size) = (spooled.file.clone(), spooled.size);
    let document = spawn_blocking(move || zip_directory::document_type(&file, size)).await;
    document.ok().flatten().unwrap_or(by_head)
}

/// Returns the media type of the file that begins with `head`, in its IANA form if it is registered.
///
/// A file is what its signature says, even if something else hides behind it. Without a signature it is HTML or SVG if
/// one of their tags is anywhere in the head, because a browser finds the tag wherever it is.
pub fn content_type(head: &[u8]) -> &'static str {
    let head = &head[..head.len().min(HEAD_BYTES)];
    let head = head.strip_prefix(UTF8_BOM).unwrap_or(head);
    let otherwise = if is_text(head) { "text/plain" } else { UNKNOWN };
    signature(head).or_else(|| markup(head)).unwrap_or(otherwise)
}

/// Returns whether the head is UTF-8 without bytes that only binary files have (WHATWG MIME Sniffing, "binary data
/// byte"). The end of the head may cut a character.
fn is_text(head: &[u8]) -> bool {
    let is_binary = |byte: &u8| matches!(byte, 0..=8 | 0x0B | 0x0E..=0x1A | 0x1C..=0x1F);
    let is_utf8 = std::str::from_utf8(head).map_or_else(|error| error.error_len().is_none(), |_| true);
    !head.is_empty() && is_utf8 && !head.iter().any(is_binary)
}

/// Returns the type by signature. In a text, a signature of letters proves nothing: a price list may begin with BM, and
/// a page may have WEBP at the ninth byte.
fn signature(head: &[u8]) -> Option<&'static str> {
    // The program that wrote the document is named deeper in the file than the head.
    if head.starts_with(OLE) {
        return Some("application/x-ole-storage");
    }
    if is_3gp(head) {
        return Some("video/3gpp");
    }
    let kind = infer::get(head)?.mime_type();
    // infer checks less of these two than their formats require.
    let is_whole = match kind {
        "image/gif" => head.starts_with(b"GIF8"),
        "image/webp" => head.starts_with(b"RIFF"),
        _ => true,
    };
    let is_markup = kind.starts_with("text/");
    (is_whole && !is_markup && (TEXTUAL.contains(&kind) || !is_text(head))).then(|| registered(kind))
}

/// Recognises the videos of older telephones, which infer does not know.
fn is_3gp(head: &[u8]) -> bool {
    head.get(4..).is_some_and(|head| head.starts_with(b"ftyp3g"))
}

fn registered(kind: &'static str) -> &'static str {
    match kind {
        "audio/m4a" => "audio/mp4",
        "audio/opus" => "audio/ogg",
        "audio/x-flac" => "audio/flac",
        "video/x-matroska" => "video/matroska",
        "image/vnd.ms-photo" => "image/jxr",
        other => other,
    }
}

/// Returns HTML or SVG, whichever tag comes first. A page can contain drawings, and a drawing scripts.
fn markup(head: &[u8]) -> Option<&'static str> {
    let head_in_lower_case = head.to_ascii_lowercase();
    let page = HTML_TAGS.iter().filter_map(|tag| position(&head_in_lower_case, tag)).min();
    let drawing = position(&head_in_lower_case, b"<svg");
    match (page, drawing) {
        (Some(page), Some(drawing)) if drawing < page => Some("image/svg+xml"),
        (None, Some(_)) => Some("image/svg+xml"),
        (Some(_), _) => Some("text/html"),
        (None, None) => infer::get(head).map(|kind| kind.mime_type()).filter(|kind| kind.starts_with("text/")),
    }
}

/// Returns where `tag` begins as a whole name, so that `<header>` does not count as `<head`. The colon of a prefix
/// (`<svg:svg`) ends a name too.
fn position(text: &[u8], tag: &[u8]) -> Option<usize> {
    text.windows(tag.len()).enumerate().position(|(start, window)| {
        let next = text.get(start + tag.len());
        window == tag && next.is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'-')
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn assert_types(cases: &[(&[u8], &str)]) {
        for (head, kind) in cases {
            assert_eq!(content_type(head), *kind, "{}", String::from_utf8_lossy(&head[..head.len().min(60)]));
        }
    }

    #[test]
    fn a_file_is_what_its_signature_says() {
        assert_types(&[
            (b"\xFF\xD8\xFF\xE0\0\x10JFIF\0", "image/jpeg"),
            (b"\x89PNG\r\n\x1A\n\0\0\0\rIHDR", "image/png"),
            (b"GIF89a\x01\0\x01\0", "image/gif"),
            (b"RIFF\x24\0\0\0WEBPVP8 ", "image/webp"),
            (b"\0\0\0\x20ftypisom\0\0\x02\0", "video/mp4"),
            (b"\0\0\0\x20ftypmp42\0\0\0\0", "video/mp4"),
            (b"\0\0\0\x18ftyp3gp4\0\0\0\0", "video/3gpp"),
            (b"\0\0\0\x20ftypM4A \0\0\0\0", "audio/mp4"),
            (b"ID3\x03\0\0\0\0\0\0", "audio/mpeg"),
            (b"\xFF\xFB\x90\x64\0\0", "audio/mpeg"),
            (b"OggS\0\x02\0\0\0\0\0\0\0\0aaaa\0\0\0\0bbbb\x01\x13OpusHead\x01\x01", "audio/ogg"),
            (b"OggS\0\x02\0\0\0\0\0\0\0\0aaaa\0\0\0\0bbbb\x01\x1E\x01vorbis\0\0\0\0", "audio/ogg"),
            (b"RIFF\x24\0\0\0WAVEfmt ", "audio/x-wav"),
            (b"#!AMR\n\x3C\0\0\0\0\0\0", "audio/amr"),
            (b"fLaC\0\0\0\x22", "audio/flac"),
            (b"%PDF-1.4\n1 0 obj <</Type /Catalog>> endobj", "application/pdf"),
            (b"PK\x03\x04\x14\0\0\0\0\0", "application/zip"),
            (b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1\0\0\0\0", "application/x-ole-storage"),
            (b"MZ\x90\0\x03\0\0\0", "application/vnd.microsoft.portable-executable"),
        ]);
    }

    #[test]
    fn svg_is_found_behind_whatever_stands_before_it() {
        assert_types(&[
            (b"<svg>", "image/svg+xml"),
            (b"<svg", "image/svg+xml"),
            (b"\xEF\xBB\xBF \r\n\t<SVG xmlns='http://www.w3.org/2000/svg'>", "image/svg+xml"),
            (b"<?xml version=\"1.0\"?><!-- a > b --><!DOCTYPE svg PUBLIC \"x\"><svg/>", "image/svg+xml"),
            (b"<!-- an Inkscape drawing -->\n<svg width='1'>", "image/svg+xml"),
            (b"<?xml version='1.0'?><s:x xmlns:s='y'><sVg\nonload=alert(1)>", "image/svg+xml"),
            (b"una nota y luego <svg onload=alert(1)>", "image/svg+xml"),
            (b"<svg><script>alert(1)</script></svg>", "image/svg+xml"),
            (b"<svg id='men\xFA'>", "image/svg+xml"),
            (b"<svg WEBP>", "image/svg+xml"),
            (b"<svg a='\xFA'", "image/svg+xml"),
            (b"<svg id=WEBP \xFA\0>", "image/svg+xml"),
        ]);
    }

    #[test]
    fn html_is_found_anywhere() {
        assert_types(&[
            (b"<!DOCTYPE html><p>", "text/html"),
            (b"\xEF\xBB\xBF<!doctype HTML>", "text/html"),
            (b"<html><body><svg></svg>", "text/html"),
            (b"<b>hola</b>", "text/html"),
            (b"hola <script src=x>", "text/html"),
            (b"hola <IMG/onerror=alert(1) src=x>", "text/html"),
            (b"\x00\x01\x02<script>alert(1)</script>", "text/html"),
            (b"<html>men\xFA</html>", "text/html"),
            (b"BM <script>alert(1)</script>", "text/html"),
        ]);
    }

    #[test]
    fn a_polyglot_is_what_its_signature_says() {
        assert_types(&[
            (b"GIF89a/*<svg onload=alert(1)>*/=1;", "image/gif"),
            (b"GIF89a\x01\0\x01\0<script>alert(1)</script>", "image/gif"),
            (b"\xFF\xD8\xFF\xFE<html><script>alert(1)</script>", "image/jpeg"),
        ]);
    }

    #[test]
    fn text_is_utf8_without_control_characters() {
        assert_types(&[
            ("menú del día, 2 < 3".as_bytes(), "text/plain"),
            (b"BM-01;Tornillo;3.50\n", "text/plain"),
            (b"GIFT cards", "text/plain"),
            (b"nota WEBP y m\xC3\xA1s", "text/plain"),
            (b"<header>", "text/plain"),
            (b"<?xml version=\"1.0\"?><cfdi:Comprobante/>", "text/xml"),
            (b"cortado en medio: \xC3", "text/plain"),
            (b"men\xFA en Latin-1", UNKNOWN),
            (b"con\0nulo", UNKNOWN),
            (b"", UNKNOWN),
            (b"\xEF\xBB\xBF", UNKNOWN),
        ]);
    }

    #[test]
    fn only_the_head_is_looked_at() {
        let file = |length: usize| [&vec![b' '; length][..], b"<svg>"].concat();
        assert_eq!(content_type(&file(HEAD_BYTES - 4)), "image/svg+xml");
        assert_eq!(content_type(&file(HEAD_BYTES)), "text/plain");
    }

    proptest! {
        /// infer reads offsets and lengths that the sender wrote.
        #[test]
        fn no_bytes_make_it_panic(
            start in prop_oneof![
                Just(&b""[..]),
                Just(&b"PK\x03\x04\x14\0\x06\0\x08\0\0\0\x21\0aaaa"[..]),
                Just(&b"RIFF\0\0\0\0WEBP"[..]),
                Just(&b"\0\0\0\x20ftypheic"[..]),
                Just(&b"\x28\xB5\x2F\xFD"[..]),
                Just(&b"\x50\x2A\x4D\x18"[..]),
                Just(&b"\x04\x22\x4D\x18"[..]),
            ],
            size in any::<[u8; 8]>(),
            name in prop_oneof![Just(&b""[..]), Just(&b"[Content_Types].xml"[..])],
            rest in proptest::collection::vec(any::<u8>(), 0..600),
        ) {
            content_type(&[start, &size, name, &rest].concat());
        }
    }
}
