//! The token of an instance at the gateway.

use std::fs;
use std::io::{self, IsTerminal};

use secrecy::SecretString;

use super::{AccountArgs, prompt};
use crate::cli::WrongUse;
use buzon::config::{Config, gateway_token};

/// Returns the instance's token at the gateway, from the named file, the settings, or a prompt.
pub(super) fn find(config: &Config, account: &AccountArgs) -> anyhow::Result<SecretString> {
    let instance = &account.instance;
    if let Some(path) = &account.token_file {
        let problem = |problem: String| WrongUse(format!("--token-file: {}: {problem}", path.display()));
        let text = fs::read_to_string(path).map_err(|error| problem(error.to_string()))?;
        return Ok(gateway_token(&text).map_err(|error| problem(error.to_owned()))?);
    }
    if let Some(token) = config.gateway.tokens.get(instance) {
        return Ok(token.clone());
    }
    if !io::stdin().is_terminal() {
        let remedy = "give --token-file FILE, or token_file in its [[instances]]";
        return Err(WrongUse(format!("there is no token of instance {instance} for the gateway; {remedy}")).into());
    }
    let typed = prompt::hidden(&format!("Token of instance {instance} at the gateway (it is not shown): "))?;
    Ok(gateway_token(&typed).map_err(|error| WrongUse(error.to_owned()))?)
}
