//! The words that the guides have where a value of one's own belongs. One that is left in is refused by name: the service
//! would start, and be reached by nobody.

use super::{ConfigError, SettingSources};

/// Each stands for something in README.md, docs/ or deploy/; a test holds those to this list.
const PLACEHOLDERS: [&str; 7] =
    ["YOUR-HOST", "YOUR-GATEWAY", "USER:PASSWORD", "TOKEN_OF_THE_INSTANCE", "TU-DOMINIO", "TU-GATEWAY", "ACCOUNT_ID"];

/// # Errors
/// A setting, or a secret or token of an instance, holds one of them.
pub(super) fn refuse(sources: &SettingSources) -> Result<(), ConfigError> {
    let instances = sources.instances().iter().flat_map(|entry| {
        let texts = entry.secrets.iter().chain(&entry.token);
        texts.map(|text| (format!("{}: instance {}", entry.place, entry.instance.id), text.as_str()))
    });
    let found = sources.given().chain(instances).find_map(|(place, text)| {
        let placeholder = PLACEHOLDERS.into_iter().find(|placeholder| text.contains(placeholder))?;
        Some(ConfigError::new(place, format!("{placeholder} is a placeholder; write your own value in its place")))
    });
    found.map_or(Ok(()), Err)
}
