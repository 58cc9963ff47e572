//! The media types that may be shown in a browser.

/// The types that a browser shows without running code in them. SVG and HTML are missing because they can contain
/// scripts.
const INLINE_SAFE: [&str; 7] =
    ["image/jpeg", "image/png", "image/gif", "image/webp", "video/mp4", "audio/ogg", "audio/mpeg"];

/// Returns whether a file of this type may be shown in the page. Any other is served as an attachment.
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
