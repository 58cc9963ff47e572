//! Looks whether everything that a service needs is as it must be, beside a running service or without one, and says
//! what to do where it is not. It changes nothing but for a file in the media store that it takes away again.

use std::path::Path;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use crate::config::Config;
use crate::config::data_dir;
use domain::access::token::TokenDigest;
use platform::outbound;
use platform::tls;

mod caller;
mod clock;
mod database;
mod disk;
mod gateway;
mod media;
mod proxies;
mod public_url;
mod report;
mod secrets;
mod service;

pub use report::{Finding, Report, Verdict};

use caller::Prober;

/// How long anybody may take for an answer.
const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// Checks everything that these settings, which are right in themselves, speak of.
///
/// # Errors
/// If the HTTP client cannot be made.
pub async fn examine(config: &Config) -> Result<Report, reqwest::Error> {
    tls::install_provider();
    let client = outbound::client()?.http1_only().connect_timeout(ANSWER_WAIT).timeout(ANSWER_WAIT).build()?;
    let token = owners_token(config);
    let caller = Prober::new(client.clone(), token.as_ref().map(digest));

    let mut report = Report::default();
    report.add([Finding::ok("settings", "they can be read, and contradict each other nowhere")]);
    report.add(secrets::check(config, token.as_ref()));
    let (database, found) = database::check(config).await;
    report.add([database]);
    report.add(disk::check(config));
    let id = found.as_ref().and_then(|found| found.id.as_deref());
    report.add([media::check(config, id).await]);
    let (gateway, gateway_time) = gateway::check(config, &client).await;
    report.add(gateway);
    let database_time = found.as_ref().and_then(database::time);
    report.add([clock::check(gateway_time.or(database_time))]);
    let (service, here) = service::check(config, &caller, &client, id).await;
    report.add([service]);
    let (public_url, statement) = public_url::check(config, &caller, here.as_ref(), id).await;
    report.add([public_url]);
    report.add(statement.map(|statement| proxies::check(config, &statement)));
    Ok(report)
}

/// The token that opens everything, if there is one already.
fn owners_token(config: &Config) -> Option<SecretString> {
    config.api_token.clone().or_else(|| data_dir::written_token(&config.data_dir).ok().flatten())
}

fn digest(token: &SecretString) -> TokenDigest {
    TokenDigest::of(token.expose_secret().as_bytes())
}

/// The nearest folder above that is there.
fn existing(folder: &Path) -> &Path {
    folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."))
}
