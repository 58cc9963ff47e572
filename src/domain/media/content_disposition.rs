//! A lenient parser for the file name in `Content-Disposition` (RFC 6266), because servers write it in many forms.

use percent_encoding::percent_decode_str;

/// Returns the name as it is in the header; it is not safe to use yet. `filename*` is preferred to `filename`
/// (section 4.3), and the disposition type does not matter.
///
/// Crates for mail are not used here, because they prefer `filename`, as mail does.
pub fn file_name(header: &str) -> Option<String> {
    let parameters = parameters(header);
    let value = |name: &str| parameters.iter().find(|parameter| parameter.0 == name).map(|parameter| &parameter.1);
    let extended = value("filename*").and_then(|value| extended(value));
    extended.or_else(|| value("filename").cloned())
}

/// Splits a header into the names of its parameters, in lower case, and their values.
fn parameters(header: &str) -> Vec<(String, String)> {
    let mut parameters = Vec::new();
    let mut rest = header;
    while let Some((before, after)) = rest.split_once('=') {
        let name = before.rsplit(';').next().unwrap_or(before);
        let (value, end) = value(after.trim_start());
        parameters.push((name.trim().to_ascii_lowercase(), value));
        rest = end;
    }
    parameters
}

/// Returns the value that `text` begins with, and the rest of the text.
fn value(text: &str) -> (String, &str) {
    match text.strip_prefix('"') {
        Some(quoted) => unquoted(quoted),
        None => {
            let (token, rest) = text.split_once(';').unwrap_or((text, ""));
            (token.trim().to_owned(), rest)
        }
    }
}

/// Reads up to the closing quote, or to the end. A backslash escapes only a quote or a backslash: in `"C:\menu.pdf"`,
/// which browsers on Windows used to send, it is part of the name.
fn unquoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &text[at + 1..]),
            '\\' => {
                let escaped = characters.next_if(|(_, next)| matches!(next, '"' | '\\'));
                value.push(escaped.map_or('\\', |(_, next)| next));
            }
            other => value.push(other),
        }
    }
    (value, "")
}

/// Decodes an extended value (RFC 8187): charset, language and percent-encoded text. UTF-8 is the only charset that the
/// RFC requires.
fn extended(value: &str) -> Option<String> {
    let (charset, rest) = value.split_once('\'')?;
    let (_language, text) = rest.split_once('\'')?;
    let text = charset.trim().eq_ignore_ascii_case("utf-8").then(|| percent_decode_str(text).decode_utf8().ok())??;
    Some(text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_names(cases: &[(&str, Option<&str>)]) {
        for (header, name) in cases {
            assert_eq!(file_name(header).as_deref(), *name, "{header}");
        }
    }

    #[test]
    fn a_name_is_a_token_or_a_quoted_string() {
        assert_names(&[
            ("attachment; filename=menu.pdf", Some("menu.pdf")),
            ("attachment; filename=menu.pdf ; size=3", Some("menu.pdf")),
            ("inline;FileName = \"men\u{fa}; hoy.pdf\" ; x=y", Some("menú; hoy.pdf")),
            (r#"attachment; filename="a \"b\" = c.pdf""#, Some(r#"a "b" = c.pdf"#)),
            (r#"attachment; filename="C:\\temp\\menu.pdf""#, Some(r"C:\temp\menu.pdf")),
            (r#"attachment; filename="C:\temp\menu.pdf""#, Some(r"C:\temp\menu.pdf")),
        ]);
    }

    #[test]
    fn the_extended_name_is_preferred_if_it_can_be_read() {
        assert_names(&[
            ("attachment; filename*=UTF-8''men%C3%BA.pdf", Some("menú.pdf")),
            (
                "attachment; filename=menu.pdf; filename*=utf-8'es'men%C3%BA%20del%20d%C3%ADa.pdf",
                Some("menú del día.pdf"),
            ),
            ("attachment; filename*=\"UTF-8''x.pdf\"; filename=y.pdf", Some("x.pdf")),
            ("attachment; filename*=UTF-8''%FF.pdf; filename=y.pdf", Some("y.pdf")),
            ("attachment; filename*=KOI8-R''%C3.pdf; filename=y.pdf", Some("y.pdf")),
            ("attachment; filename*=x.pdf; filename=y.pdf", Some("y.pdf")),
        ]);
    }

    #[test]
    fn a_malformed_header_is_read_as_far_as_possible() {
        assert_names(&[
            ("", None),
            ("attachment", None),
            ("attachment; name=x", None),
            ("attachment; x; filename=y.pdf", Some("y.pdf")),
            ("filename=y.pdf", Some("y.pdf")),
            ("attachment; filename=\"y.pdf", Some("y.pdf")),
            ("attachment; filename=\"y.pdf\\", Some("y.pdf\\")),
            ("attachment; filename=a.pdf; filename=b.pdf", Some("a.pdf")),
            ("attachment; name=\"filename=a.pdf\"; filename=b.pdf", Some("b.pdf")),
            ("attachment; filename=", Some("")),
            ("=;=\"=;filename=\"", None),
        ]);
    }
}
