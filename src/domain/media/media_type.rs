//! What may be done with a file of which media type.

/// The types that a browser shows without running anything in them. Not SVG and HTML, which carry scripts.
const INLINE_SAFE: [&str; 7] =
    ["image/jpeg", "image/png", "image/gif", "image/webp", "video/mp4", "audio/ogg", "audio/mpeg"];

/// Whether a file of this type may be shown in the page. Any other is handed out as an attachment.
pub fn is_inline_safe(content_type: &str) -> bool {
    INLINE_SAFE.contains(&content_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_videos_and_voice_messages_are_shown_in_the_page() {
        for safe in ["image/jpeg", "image/png", "image/gif", "image/webp", "video/mp4", "audio/ogg", "audio/mpeg"] {
            assert!(is_inline_safe(safe), "{safe}");
        }
    }

    #[test]
    fn all_else_is_an_attachment() {
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
