//! Checks that secrets are hard to guess and that nobody else can read them.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

use super::Finding;
use crate::config::exposure::exposures;
use crate::config::{Config, data_dir};
use domain::instance::InstanceId;

const SECRETS: &str = "secrets";
const API_TOKEN: &str = "api_token";
/// The minimum length of a good secret. A shorter one is often a word that can be guessed.
const GOOD_LENGTH: usize = 32;
/// The minimum number of different characters. Only one in millions of random secrets of 32 hexadecimal digits has
/// fewer.
const GOOD_VARIETY: usize = 8;
const ANOTHER: &str = "make a new one: openssl rand -hex 32";
const OTHERS: u32 = 0o077;

pub(super) fn check(config: &Config, token: Option<&SecretString>) -> Vec<Finding> {
    let exposures = exposures(config).into_iter().map(|exposure| {
        let is_tokens = exposure.file.is_some_and(|file| file == data_dir::token_path(&config.data_dir));
        Finding::warning(if is_tokens { API_TOKEN } else { SECRETS }, exposure.detail, exposure.remedy)
    });
    [webhook(config), api(config, token)].into_iter().chain(exposures).collect()
}

fn webhook(config: &Config) -> Finding {
    if config.keyring.is_empty() {
        return unsigned(config);
    }
    let weak: Vec<_> = config.keyring.secrets().filter(|(_, secret)| is_weak(secret.expose())).collect();
    if let Some((owner, _)) = weak.first() {
        let which = owner.map_or_else(|| "webhook_secret".to_owned(), |id| format!("a secret of instance {id}"));
        return Finding::warning(
            SECRETS,
            format!(
                "{which} could be guessed: it has fewer than {GOOD_LENGTH} characters, or only a few different ones"
            ),
            format!("{ANOTHER}; then: buzon gateway register INSTANCE"),
        );
    }
    if let Some(id) = unprotected(config).first() {
        return Finding::warning(
            SECRETS,
            format!("instance {id} has no secret, so none of its events is taken"),
            "give it one under [[instances]], or set webhook_secret for all",
        );
    }
    Finding::ok(SECRETS, "events must be signed, and no secret can be guessed")
}

fn unsigned(config: &Config) -> Finding {
    let remedy = "make a secret with: openssl rand -hex 32. Set it as webhook_secret here, and at the gateway with: \
                  buzon gateway register INSTANCE";
    match config.allow_unsigned {
        true => Finding::warning(SECRETS, "anybody who reaches the webhook can send forged events", remedy),
        false => Finding::warning(SECRETS, "there is no secret: events are taken from this machine only", remedy),
    }
}

fn unprotected(config: &Config) -> Vec<&InstanceId> {
    config.keyring.instances().filter(|id| config.keyring.signing(Some(id)).is_none()).collect()
}

fn is_weak(secret: &str) -> bool {
    secret.chars().count() < GOOD_LENGTH || secret.chars().collect::<BTreeSet<_>>().len() < GOOD_VARIETY
}

fn api(config: &Config, token: Option<&SecretString>) -> Finding {
    let path = data_dir::token_path(&config.data_dir);
    match (token, &config.api_token) {
        (Some(token), _) if is_weak(token.expose_secret()) => Finding::warning(
            API_TOKEN,
            "the token of the read API could be guessed: it has only a few different characters",
            format!("{ANOTHER}, and set it as api_token"),
        ),
        (Some(_), Some(_)) => Finding::ok(API_TOKEN, "it is long enough"),
        (Some(_), None) => private(&config.data_dir),
        (None, _) if path.exists() => Finding::failure(
            API_TOKEN,
            format!("the token in {} cannot be used", path.display()),
            format!("run doctor as the user that buzon runs as; or delete {} and start buzon again", path.display()),
        ),
        (None, _) => Finding::ok(API_TOKEN, format!("the first start writes one to {}", path.display())),
    }
}

/// Checks the mode of the data folder. Others who can open it may be able to read all messages.
fn private(folder: &Path) -> Finding {
    let is_open = fs::metadata(folder).is_ok_and(|found| found.permissions().mode() & OTHERS != 0);
    if is_open {
        return Finding::warning(
            API_TOKEN,
            format!("other users of this machine can look into {}", folder.display()),
            format!("run: chmod 700 {}", folder.display()),
        );
    }
    Finding::ok(API_TOKEN, "it is random, and in a folder that only its owner can open")
}
