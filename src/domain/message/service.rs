//! Service messages: notices that the gateway reports in the form of a message, and that nobody wrote.
//!
//! Only the guide's types are documented. These are the words of the programs that connect to WhatsApp, so that the
//! list is a guess about the gateway.

use super::MessageFields;

/// The type of a copy that says that its message was deleted.
pub const REVOKED: &str = "revoked";

/// The type of a copy that is a reaction to the message that it quotes.
pub const REACTION: &str = "reaction";

const SERVICE_TYPES: [&str; 12] = [
    "broadcast_notification",
    "call_log",
    "ciphertext",
    "debug",
    "e2e_notification",
    "gp2",
    "notification",
    "notification_template",
    "pinned_message",
    "protocol",
    REACTION,
    REVOKED,
];

/// The type of what the gateway did not understand. It may be a message nevertheless.
const UNKNOWN: &str = "unknown";

/// Returns whether a copy with these fields is of a service type.
pub(crate) fn is_service(fields: &MessageFields) -> bool {
    match fields.kind.as_deref() {
        Some(UNKNOWN) => fields.body.is_none() && fields.media_url.is_none(),
        Some(kind) => SERVICE_TYPES.contains(&kind),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_type_is_one_of_the_list_or_unknown_without_text_and_file() {
        let is_service = |kind: Option<&str>, body: Option<&str>, media_url: Option<&str>| {
            let [kind, body, media_url] = [kind, body, media_url].map(|text| text.map(str::to_owned));
            is_service(&MessageFields { kind, body, media_url, ..MessageFields::default() })
        };
        for kind in SERVICE_TYPES {
            assert!(is_service(Some(kind), Some("Ana joined"), Some("/uploads/x.jpg")), "{kind}");
        }
        assert!(is_service(Some("unknown"), None, None));
        assert!(!is_service(Some("unknown"), Some("Hola"), None));
        assert!(!is_service(Some("unknown"), None, Some("/uploads/x.jpg")));
        for kind in ["text", "image", "location", "vcard", "sticker", "poll_creation", "Protocol", "reactions"] {
            assert!(!is_service(Some(kind), None, None), "{kind}");
        }
        assert!(!is_service(None, None, None), "a stub without a type");
    }
}
