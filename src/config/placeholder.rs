//! The placeholders of the guides. A setting that still has one is refused, because the service would start, but nobody
//! could reach it.

use super::{ConfigError, SettingSources};

/// The placeholders in README.md, docs/ and deploy/. A test compares those files with this list.
const PLACEHOLDERS: [&str; 7] =
    ["YOUR-HOST", "YOUR-GATEWAY", "USER:PASSWORD", "TOKEN_OF_THE_INSTANCE", "TU-DOMINIO", "TU-GATEWAY", "ACCOUNT_ID"];

/// Refuses placeholders in settings.
///
/// # Errors
/// If a setting, a secret or token of an instance, or the URL of a forward contains a placeholder.
pub(super) fn refuse(sources: &SettingSources) -> Result<(), ConfigError> {
    let instances = sources.instances().iter().flat_map(|entry| {
        let texts = entry.secrets.iter().chain(&entry.token);
        texts.map(|text| (format!("{}: instance {}", entry.place, entry.instance.id), text.as_str()))
    });
    let given = sources.given().chain(instances).map(|(place, text)| (place, text.to_owned()));
    // A host is in lower case there.
    let forwards = sources.forwards().iter().map(|entry| {
        let place = format!("{}: forward {}", entry.place, entry.forward.name);
        (place, entry.forward.destination.url().as_str().to_ascii_uppercase())
    });
    let found = given.chain(forwards).find_map(|(place, text)| {
        let placeholder = PLACEHOLDERS.into_iter().find(|placeholder| text.contains(placeholder))?;
        Some(ConfigError::new(place, format!("{placeholder} is a placeholder; write your own value in its place")))
    });
    found.map_or(Ok(()), Err)
}
