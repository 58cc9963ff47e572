//! Instances (WhatsApp numbers at the gateway), and which one an event belongs to. The instance comes first in every
//! key.

use std::fmt;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Serialize, Serializer};
use url::Url;

use crate::access::signature::{Keyring, Signer};

/// The id of an instance: 1 to 64 bytes without NUL, or [`InstanceId::unstated`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(Arc<str>);

/// The error for a text that cannot be an instance id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an instance id has 1 to {} bytes and no NUL", InstanceId::MAX_BYTES)]
pub struct InvalidInstanceId;

/// The error for an id that cannot be part of a webhook's URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotUrlSafe {
    #[error(transparent)]
    Invalid(#[from] InvalidInstanceId),
    #[error("an instance with the id {0} has no URL of its own: {1} do not reach a server in a path as they are")]
    Altered(InstanceId, &'static str),
    #[error("an instance with the id {0} has no URL of its own: braces stand in one for an id that is to be filled in")]
    Placeholder(InstanceId),
}

/// The characters to encode: all except those that RFC 3986 calls unreserved (section 2.3), which no proxy or server
/// interprets.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Returns the webhook's URL of a buzon at `base`: the instance's own one, or the one that all instances share.
pub fn webhook_url(base: &Url, instance: Option<&InstanceId>) -> Url {
    let mut url = base.clone();
    let folder = base.path().trim_end_matches('/');
    url.set_path(&match instance {
        Some(instance) => format!("{folder}/webhook/{}", instance.path_segment()),
        None => format!("{folder}/webhook"),
    });
    url
}

impl InstanceId {
    /// The limit is low because the id is part of every unique key, next to ids of up to 512 bytes.
    pub const MAX_BYTES: usize = 64;

    const UNSTATED: &'static str = "-";

    pub fn new(id: &str) -> Result<Self, InvalidInstanceId> {
        let usable = !id.is_empty() && id.len() <= Self::MAX_BYTES && !id.contains('\0');
        usable.then(|| Self(id.into())).ok_or(InvalidInstanceId)
    }

    /// Checks that the id can be part of a webhook's URL, percent-encoded. Proxies and clients change slashes, control
    /// characters and the segments `.` and `..`, however these are encoded.
    pub fn for_url(id: &str) -> Result<Self, NotUrlSafe> {
        let instance = Self::new(id)?;
        let altered = match id {
            "." | ".." => Some("dots alone"),
            _ if id.contains(['/', '\\']) => Some("slashes"),
            _ if id.contains(char::is_control) => Some("control characters"),
            _ => None,
        };
        match altered {
            Some(altered) => Err(NotUrlSafe::Altered(instance, altered)),
            None if id.contains(['{', '}']) => Err(NotUrlSafe::Placeholder(instance)),
            None => Ok(instance),
        }
    }

    /// Returns the id as a segment of a URL's path.
    pub fn path_segment(&self) -> String {
        utf8_percent_encode(&self.0, RESERVED).to_string()
    }

    /// Takes an id from the database without checks: it was checked before it was written.
    pub fn from_store(id: &str) -> Self {
        Self(id.into())
    }

    /// Returns `-`, the id of events that name no instance, such as the guide's `ack_update`.
    pub fn unstated() -> Self {
        Self(Self::UNSTATED.into())
    }

    pub fn is_unstated(&self) -> bool {
        *self.0 == *Self::UNSTATED
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Writes the id as it is.
impl Serialize for InstanceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Writes the id for people and logs. Control characters are escaped, so that an id cannot forge a line of a log. For
/// data, use [`InstanceId::as_str`].
impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_debug().fmt(f)
    }
}

/// Decides which instance an event belongs to. The first of these that is known decides:
///
/// 1. the path of the URL;
/// 2. the instance whose own secret verified the event;
/// 3. the instance that the body states, unless that instance has secrets of its own: the event was then not signed
///    with one of them;
/// 4. without a stated instance, the only configured one, with the same exception.
///
/// Otherwise it is `-`.
///
/// If the body states another instance than the one that was decided on, [`super::event`] quarantines the event.
pub fn attribute(
    keyring: &Keyring,
    path: Option<&InstanceId>,
    signer: &Signer,
    stated: Option<&InstanceId>,
) -> InstanceId {
    let instance = match (path, stated, signer) {
        (Some(path), _, _) => Some(path),
        (None, _, Signer::Instance(owner)) => Some(owner),
        (None, Some(stated), _) => Some(stated).filter(|id| !keyring.has_own_secrets(id)),
        (None, None, _) => keyring.only_instance().filter(|id| !keyring.has_own_secrets(id)),
    };
    instance.cloned().unwrap_or_else(InstanceId::unstated)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::signature::Secret;

    fn id(text: &str) -> InstanceId {
        InstanceId::new(text).unwrap()
    }

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned()).unwrap()
    }

    fn ring(instances: &[&str], with_own_secret: &[&str]) -> Keyring {
        let secrets = |name: &str| match with_own_secret.contains(&name) {
            true => vec![secret(&format!("{name:0>32}"))],
            false => vec![],
        };
        let instances = instances.iter().map(|name| (id(name), secrets(name))).collect();
        Keyring::new(Some(secret("the secret for all the rest")), instances).unwrap()
    }

    #[test]
    fn the_path_decides_first_then_the_secret_then_the_body_then_the_only_instance() {
        let ring = ring(&["7"], &[]);
        let (seven, eight, nine) = (id("7"), id("8"), id("9"));
        let instance = |path, signer: &Signer, stated| attribute(&ring, path, signer, stated).to_string();
        assert_eq!(instance(Some(&eight), &Signer::Shared, Some(&nine)), "8");
        assert_eq!(instance(None, &Signer::Shared, Some(&nine)), "9");
        assert_eq!(instance(None, &Signer::Instance(seven.clone()), Some(&seven)), "7");
        assert_eq!(instance(None, &Signer::Instance(seven.clone()), None), "7");
        assert_eq!(instance(None, &Signer::Shared, None), "7");
        assert_eq!(instance(None, &Signer::Nobody, None), "7");
    }

    #[test]
    fn an_event_that_states_no_instance_has_none_if_several_are_configured() {
        assert!(attribute(&ring(&["7", "8"], &[]), None, &Signer::Shared, None).is_unstated());
    }

    #[test]
    fn a_secret_that_contradicts_the_body_keeps_the_event_under_its_own_instance() {
        let ring = ring(&["7", "8"], &["7", "8"]);
        let signer = Signer::Instance(id("8"));
        assert_eq!(attribute(&ring, None, &signer, Some(&id("7"))), id("8"));
    }

    #[test]
    fn the_shared_secret_is_not_enough_for_an_instance_with_secrets_of_its_own() {
        let ring = ring(&["7"], &["7"]);
        assert!(attribute(&ring, None, &Signer::Shared, Some(&id("7"))).is_unstated());
        assert!(attribute(&ring, None, &Signer::Shared, None).is_unstated());
    }

    #[test]
    fn a_url_has_the_id_percent_encoded_and_ids_that_would_be_altered_are_refused() {
        let url = |base: &str, instance: Option<&str>| {
            let instance = instance.map(|id| InstanceId::for_url(id).unwrap());
            webhook_url(&Url::parse(base).unwrap(), instance.as_ref()).to_string()
        };
        assert_eq!(url("https://b.example.com", None), "https://b.example.com/webhook");
        assert_eq!(url("https://b.example.com/", Some("123")), "https://b.example.com/webhook/123");
        assert_eq!(url("https://b.example.com/x/", Some("a-b_c.d~")), "https://b.example.com/x/webhook/a-b_c.d~");
        let odd = "https://b.example.com/webhook/100%25%20%2B%20%C3%B1%2525%3F%23%40";
        assert_eq!(url("https://b.example.com", Some("100% + ñ%25?#@")), odd);
        for unsafe_id in [".", "..", "a/b", "../x", "a\\b", "a\nb", "\u{7f}", "{instance_id}", "a}"] {
            assert!(InstanceId::for_url(unsafe_id).is_err(), "{unsafe_id}");
        }
        assert_eq!(InstanceId::for_url(""), Err(NotUrlSafe::Invalid(InvalidInstanceId)));
    }

    #[test]
    fn an_id_that_is_empty_too_long_or_holds_a_nul_is_refused() {
        for unusable in ["", &"7".repeat(65), "7\0"] {
            assert_eq!(InstanceId::new(unusable), Err(InvalidInstanceId));
        }
        assert!(InstanceId::new(&"7".repeat(64)).is_ok());
    }
}
