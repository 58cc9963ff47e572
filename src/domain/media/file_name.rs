//! The original name of a downloaded file, made safe to show, to send in a header and to save the file under.

use percent_encoding::percent_decode_str;

use super::{content_disposition, media_type};

/// The limit of file systems for a name.
const MAX_BYTES: usize = 255;

/// A longer ending is not treated as an extension.
const MAX_EXTENSION_BYTES: usize = 16;

/// Returns the original name from the header `Content-Disposition`, or else from the last part of the URL's path, which
/// is percent-encoded. `None` if neither gives a usable name.
pub fn original(disposition: Option<&str>, url_path: &str) -> Option<String> {
    let stated = disposition.and_then(content_disposition::file_name).and_then(|name| sanitised(&name));
    stated.or_else(|| {
        let (_, last) = url_path.rsplit_once('/').unwrap_or(("", url_path));
        sanitised(&percent_decode_str(last).decode_utf8_lossy())
    })
}

/// Returns the name without folders, invisible characters and characters that file systems refuse, in at most 255
/// bytes. `None` if nothing is left.
pub fn sanitised(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let visible: String = last.chars().filter(|character| !is_invisible(*character)).map(allowed).collect();
    let name = shortened(visible.trim_matches(is_edge));
    (!name.is_empty()).then_some(name)
}

/// Returns the name with the extension of the type, if it has none, so that the saved file opens with a click.
pub fn with_extension(name: &str, content_type: &str) -> String {
    match media_type::extension(content_type).filter(|_| !has_extension(name)) {
        Some(extension) => shortened(&format!("{name}.{extension}")),
        None => name.to_owned(),
    }
}

/// Returns whether a name ends with an extension. The end of a number or of a sentence is none, as in `informe v1.0` or
/// `Sr. Pérez`.
fn has_extension(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(stem, extension)| {
        let is_word = !extension.is_empty() && extension.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let is_number = extension.bytes().all(|byte| byte.is_ascii_digit());
        !stem.is_empty() && is_word && !is_number && extension.len() < MAX_EXTENSION_BYTES
    })
}

/// Returns whether the character is a control character or one of Unicode's formatting characters. Those can reverse
/// `exe.jpg` on the screen, or make two names look the same. The joiner of emojis is one of them, so an emoji of
/// several people becomes one emoji for each.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{AD}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{180E}' | '\u{200B}'..='\u{200F}'
            | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FEFF}' | '\u{FFA0}'
            | '\u{FFF9}'..='\u{FFFB}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

/// Replaces characters that Windows refuses in names, and the replacement character, which stands for bytes that were
/// not valid UTF-8.
fn allowed(character: char) -> char {
    if matches!(character, '"' | ':' | '*' | '?' | '<' | '>' | '|' | char::REPLACEMENT_CHARACTER) {
        '_'
    } else {
        character
    }
}

/// Returns whether the character is removed at both ends of a name. A dot at the beginning hides a file, and Windows
/// drops dots and spaces at the end.
fn is_edge(character: char) -> bool {
    character == '.' || character.is_whitespace()
}

/// Cuts a long name between two characters and keeps its extension.
fn shortened(name: &str) -> String {
    if name.len() <= MAX_BYTES {
        return name.to_owned();
    }
    let dot = name.rfind('.').filter(|dot| name.len() - dot <= MAX_EXTENSION_BYTES);
    let (stem, extension) = name.split_at(dot.unwrap_or(name.len()));
    let stem = &stem[..stem.floor_char_boundary(MAX_BYTES - extension.len())];
    format!("{}{extension}", stem.trim_end_matches(is_edge))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_sanitised(cases: &[(&str, Option<&str>)]) {
        for (name, safe) in cases {
            assert_eq!(sanitised(name).as_deref(), *safe, "{name:?}");
        }
    }

    #[test]
    fn the_name_is_from_the_header_or_else_from_the_url() {
        let original = |disposition, path| original(disposition, path);
        assert_eq!(original(Some("inline; filename*=UTF-8''men%C3%BA.pdf"), "/x.bin").as_deref(), Some("menú.pdf"));
        assert_eq!(original(Some("inline"), "/uploads/men%C3%BA.pdf").as_deref(), Some("menú.pdf"));
        assert_eq!(original(Some("inline; filename=\"..\""), "/uploads/a.pdf").as_deref(), Some("a.pdf"));
        assert_eq!(original(None, "/uploads/foto%201.jpg").as_deref(), Some("foto 1.jpg"));
        assert_eq!(original(None, "/uploads/%FA.jpg").as_deref(), Some("_.jpg"));
        assert_eq!(original(None, "/uploads/%2e%2e%2f"), None);
        assert_eq!(original(None, "/uploads/%2e%2e%2fpasswd").as_deref(), Some("passwd"));
        assert_eq!(original(None, "/uploads/x%00%0d%0a.jpg").as_deref(), Some("x.jpg"));
        assert_eq!(original(None, "/"), None);
        assert_eq!(original(None, ""), None);
    }

    #[test]
    fn a_name_without_an_extension_gets_that_of_the_type() {
        for (name, content_type, served) in [
            ("8f3a", "application/pdf", "8f3a.pdf"),
            ("informe final.pdf", "image/jpeg", "informe final.pdf"),
            ("informe v1.0", "application/pdf", "informe v1.0.pdf"),
            ("Sr. Pérez", "image/jpeg", "Sr. Pérez.jpg"),
            ("canción.mp3", "audio/mpeg", "canción.mp3"),
            ("datos.7z", "application/zip", "datos.7z"),
            ("8f3a", "application/octet-stream", "8f3a"),
            ("archivo.001", "application/octet-stream", "archivo.001"),
        ] {
            assert_eq!(with_extension(name, content_type), served, "{name}");
        }
        assert_eq!(with_extension(&"a".repeat(255), "image/jpeg"), format!("{}.jpg", "a".repeat(251)));
    }

    #[test]
    fn a_good_name_stays_as_it_is() {
        for name in ["menú del día (ñandú).pdf", "📷 foto.jpg", "a.tar.gz", "¡qué tal!.txt", "x", "%2e%2f"] {
            assert_eq!(sanitised(name).as_deref(), Some(name), "{name}");
        }
    }

    #[test]
    fn folders_are_dropped() {
        assert_sanitised(&[
            ("../../etc/passwd", Some("passwd")),
            ("C:\\temp\\menu.pdf", Some("menu.pdf")),
            ("a/b\\c.pdf", Some("c.pdf")),
            ("a/", None),
            ("..", None),
            (". . .", None),
            ("", None),
            (".htaccess", Some("htaccess")),
            (" menu.pdf. ", Some("menu.pdf")),
        ]);
    }

    #[test]
    fn invisible_characters_are_dropped() {
        assert_sanitised(&[
            ("x\0.jpg", Some("x.jpg")),
            ("a\r\nSet-Cookie: x.jpg", Some("aSet-Cookie_ x.jpg")),
            ("foto\u{202E}gpj.exe", Some("fotogpj.exe")),
            ("\u{2067}a\u{2069}\u{61C}\u{200E}\u{200F}\u{FEFF}\u{85}\u{AD}\u{2028}b", Some("ab")),
            ("\u{202E}\u{200B}.\0", None),
        ]);
    }

    #[test]
    fn characters_that_windows_refuses_are_replaced() {
        assert_sanitised(&[("a\"b:c*d?e<f>g|h", Some("a_b_c_d_e_f_g_h")), ("men\u{FFFD}.pdf", Some("men_.pdf"))]);
    }

    #[test]
    fn a_long_name_is_cut_between_characters_and_keeps_its_extension() {
        let cut = |name: &str| sanitised(name).unwrap();
        assert_eq!(cut(&format!("{}.pdf", "a".repeat(4096))), format!("{}.pdf", "a".repeat(251)));
        assert_eq!(cut(&format!("{}.pdf", "ñ".repeat(4096))), format!("{}.pdf", "ñ".repeat(125)));
        assert_eq!(cut(&format!("{}.pdf", "📷".repeat(4096))), format!("{}.pdf", "📷".repeat(62)));
        assert_eq!(cut(&format!("a.{}", "b".repeat(4096))), format!("a.{}", "b".repeat(253)));
        assert_eq!(cut(&format!("{} {}", "a".repeat(254), "b".repeat(9))), "a".repeat(254));
        assert_eq!(cut(&"a".repeat(255)), "a".repeat(255));
    }
}
