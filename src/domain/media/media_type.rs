//! The media types that may be shown in a browser, those that are not the file of a message, and their file extensions.

/// The types that a browser shows without running code in them. SVG and HTML are missing because they can contain
/// scripts.
const INLINE_SAFE: [&str; 7] =
    ["image/jpeg", "image/png", "image/gif", "image/webp", "video/mp4", "audio/ogg", "audio/mpeg"];

/// Returns whether a file of this type may be shown in the page. Any other is served as an attachment.
pub fn is_inline_safe(content_type: &str) -> bool {
    INLINE_SAFE.contains(&content_type)
}

/// The types of messages whose file is looked at or listened to. Beside the guide's there are those that libraries
/// under gateways use.
const SEEN_OR_HEARD: [&str; 8] = ["image", "video", "audio", "ptt", "voice", "sticker", "gif", "ptv"];

const HTML: &str = "a page of HTML";
const JSON: &str = "JSON";

/// Returns what a server has sent instead of the file of a message of type `kind`: a page that asks to sign in, or an
/// error. `stated` is the server's `Content-Type`, and `found` the type by the first bytes, `head`. Bytes with the
/// signature of a format are the file, whatever the server states.
pub fn instead_of_file(kind: Option<&str>, stated: Option<&str>, found: &str, head: &[u8]) -> Option<&'static str> {
    kind.filter(|kind| SEEN_OR_HEARD.contains(kind))?;
    let begins_json = || matches!(head.trim_ascii_start().first(), Some(b'{' | b'['));
    match found {
        "text/html" => Some(HTML),
        "text/plain" if begins_json() => Some(JSON),
        "text/plain" | "application/octet-stream" => {
            let stated = stated?.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            match stated.as_str() {
                "text/html" | "application/xhtml+xml" => Some(HTML),
                "application/json" | "text/json" => Some(JSON),
                other => other.ends_with("+json").then_some(JSON),
            }
        }
        _ => None,
    }
}

/// The usual extension of the files of each type that is found by content.
const EXTENSIONS: [(&str, &str); 62] = [
    ("application/dicom", "dcm"),
    ("application/epub+zip", "epub"),
    ("application/gzip", "gz"),
    ("application/msword", "doc"),
    ("application/pdf", "pdf"),
    ("application/postscript", "ps"),
    ("application/rtf", "rtf"),
    ("application/vnd.android.package-archive", "apk"),
    ("application/vnd.ms-cab-compressed", "cab"),
    ("application/vnd.ms-excel", "xls"),
    ("application/vnd.ms-powerpoint", "ppt"),
    ("application/vnd.oasis.opendocument.graphics", "odg"),
    ("application/vnd.oasis.opendocument.presentation", "odp"),
    ("application/vnd.oasis.opendocument.spreadsheet", "ods"),
    ("application/vnd.oasis.opendocument.text", "odt"),
    ("application/vnd.openxmlformats-officedocument.presentationml.presentation", "pptx"),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"),
    ("application/vnd.rar", "rar"),
    ("application/vnd.sqlite3", "sqlite"),
    ("application/x-7z-compressed", "7z"),
    ("application/x-bzip2", "bz2"),
    ("application/x-mobipocket-ebook", "mobi"),
    ("application/x-tar", "tar"),
    ("application/x-xz", "xz"),
    ("application/zip", "zip"),
    ("application/zstd", "zst"),
    ("audio/aac", "aac"),
    ("audio/amr", "amr"),
    ("audio/flac", "flac"),
    ("audio/midi", "mid"),
    ("audio/mp4", "m4a"),
    ("audio/mpeg", "mp3"),
    ("audio/ogg", "ogg"),
    ("audio/x-aiff", "aiff"),
    ("audio/x-wav", "wav"),
    ("image/avif", "avif"),
    ("image/bmp", "bmp"),
    ("image/gif", "gif"),
    ("image/heif", "heic"),
    ("image/jp2", "jp2"),
    ("image/jpeg", "jpg"),
    ("image/jxl", "jxl"),
    ("image/png", "png"),
    ("image/svg+xml", "svg"),
    ("image/tiff", "tif"),
    ("image/vnd.adobe.photoshop", "psd"),
    ("image/vnd.dwg", "dwg"),
    ("image/vnd.microsoft.icon", "ico"),
    ("image/webp", "webp"),
    ("text/html", "html"),
    ("text/plain", "txt"),
    ("text/xml", "xml"),
    ("video/3gpp", "3gp"),
    ("video/matroska", "mkv"),
    ("video/mp4", "mp4"),
    ("video/mpeg", "mpg"),
    ("video/quicktime", "mov"),
    ("video/webm", "webm"),
    ("video/x-flv", "flv"),
    ("video/x-m4v", "m4v"),
    ("video/x-msvideo", "avi"),
];

/// Returns the extension of a file of this type, if it is known.
pub fn extension(content_type: &str) -> Option<&'static str> {
    EXTENSIONS.iter().find(|(known, _)| *known == content_type).map(|(_, extension)| *extension)
}

/// The types that a program may run or load other things for if it opens such a file from a disk.
const ACTIVE: [&str; 4] = ["image/svg+xml", "text/html", "text/xml", "application/postscript"];

/// Returns the extension for a file of this type that a person opens from a folder: no page, picture or script that acts by
/// itself keeps an extension by which it would.
pub fn harmless_extension(content_type: &str) -> &'static str {
    match extension(content_type) {
        _ if ACTIVE.contains(&content_type) || content_type.starts_with("text/") => "txt",
        Some("apk") | None => "bin",
        Some(extension) => extension,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_or_an_error_is_not_the_file_of_a_picture() {
        let jpeg: &[u8] = b"\xFF\xD8\xFF";
        for (kind, stated, found, head, came) in [
            (Some("image"), None, "text/html", &b"<html>"[..], Some(HTML)),
            (Some("ptt"), Some("audio/ogg"), "text/plain", b" {\"error\":1}", Some(JSON)),
            (Some("sticker"), None, "text/plain", b"[]", Some(JSON)),
            (Some("video"), Some("Text/HTML; charset=utf-8"), "text/plain", b"please sign in", Some(HTML)),
            (Some("audio"), Some("application/problem+json"), "text/plain", b"\"no\"", Some(JSON)),
            (Some("image"), Some("text/html"), "application/octet-stream", b"\xFF\xFE<\0", Some(HTML)),
            // Servers state text/html of files without an extension.
            (Some("image"), Some("text/html"), "image/jpeg", jpeg, None),
            (Some("image"), Some("image/jpeg"), "application/octet-stream", b"\0\x01", None),
            (Some("image"), None, "text/plain", b"hola", None),
            (Some("document"), Some("text/html"), "text/html", b"<html>", None),
            (None, None, "text/html", b"<html>", None),
        ] {
            assert_eq!(instead_of_file(kind, stated, found, head), came, "{kind:?} {stated:?} {found}");
        }
    }

    #[test]
    fn each_type_has_one_extension() {
        assert!(EXTENSIONS.windows(2).all(|two| two[0].0 < two[1].0), "they are sorted");
        assert_eq!((extension("image/jpeg"), extension("application/octet-stream")), (Some("jpg"), None));
    }

    #[test]
    fn a_file_that_could_act_by_itself_is_text_for_whoever_opens_it() {
        for (content_type, extension) in [
            ("image/jpeg", "jpg"),
            ("application/pdf", "pdf"),
            ("text/html", "txt"),
            ("image/svg+xml", "txt"),
            ("text/xml", "txt"),
            ("text/javascript", "txt"),
            ("text/plain", "txt"),
            ("application/x-sh", "bin"),
            ("application/vnd.android.package-archive", "bin"),
            ("application/octet-stream", "bin"),
        ] {
            assert_eq!(harmless_extension(content_type), extension, "{content_type}");
        }
    }

    #[test]
    fn pictures_videos_and_voice_messages_are_shown_in_the_page() {
        for safe in ["image/jpeg", "image/png", "image/gif", "image/webp", "video/mp4", "audio/ogg", "audio/mpeg"] {
            assert!(is_inline_safe(safe), "{safe}");
        }
    }

    #[test]
    fn files_of_other_types_are_attachments() {
        for other in [
            "image/svg+xml",
            "text/html",
            "text/xml",
            "text/plain",
            "application/pdf",
            "audio/mp4",
            "application/octet-stream",
            "image/jpeg; x",
            "IMAGE/JPEG",
            "",
        ] {
            assert!(!is_inline_safe(other), "{other}");
        }
    }
}
