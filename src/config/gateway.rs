//! The settings of the gateway's own API.

use std::collections::BTreeMap;

use secrecy::SecretString;
use url::Url;

use super::file::InstanceEntry;
use super::{ConfigError, SettingSources};
use domain::instance::InstanceId;

/// The settings of the gateway.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// The gateway's own address. It is the base of its API and of the relative URLs of files, and an allowed origin of
    /// files.
    pub url: Option<Url>,
    /// True to ask the gateway to send again what could not be delivered while the store or the process was away.
    pub replay: bool,
    /// The tokens of the instances that have one configured.
    pub tokens: BTreeMap<InstanceId, SecretString>,
}

impl GatewayConfig {
    pub(super) fn new(sources: &SettingSources) -> Result<Self, ConfigError> {
        let url = sources.parsed("gateway_url", super::origin)?;
        let tokens = sources.instances().iter().filter_map(|entry| Some((entry, entry.token.as_deref()?)));
        let tokens = tokens.map(|(entry, text)| {
            let problem = |problem| ConfigError::new(place(entry), problem);
            let token = gateway_token(text).map_err(problem)?;
            // Without the URL, the token is of no use.
            url.as_ref()
                .ok_or_else(|| problem("its token needs gateway_url beside it: the address that the token is for"))?;
            Ok((entry.instance.id.clone(), token))
        });
        let tokens = tokens.collect::<Result<_, _>>()?;
        Ok(Self { url, replay: sources.flag("gateway_replay")?, tokens })
    }
}

fn place(entry: &InstanceEntry) -> String {
    format!("{}: instance {}", entry.place, entry.instance.id)
}

/// Reads a token of the gateway from the text of a setting or a file.
///
/// # Errors
/// If the text is empty or cannot be a token. The error does not quote it.
pub fn gateway_token(text: &str) -> Result<SecretString, &'static str> {
    let text = text.trim_end_matches(['\r', '\n']);
    let usable = !text.is_empty() && text.chars().all(|c| !c.is_control() && !c.is_whitespace());
    usable.then(|| text.to_owned().into()).ok_or("the gateway's token is one word without spaces; the panel shows it")
}
