//! Checks whether everything that a service needs is set up correctly, beside a running service or without one, and
//! says what to do if not. It changes nothing except for a file in the media store, which it removes again.

use std::path::Path;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use crate::config::{Config, data_dir};
use domain::access::token::TokenDigest;
use platform::outbound;
use platform::tls;

mod clock;
mod database;
mod disk;
mod erasures;
mod forwards;
mod gateway;
mod media;
mod prober;
mod proxies;
mod public_url;
mod report;
mod secrets;
mod service;

pub use report::{Finding, Report, Verdict};

use prober::Prober;

/// The time limit of a request.
const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// Checks everything that valid settings refer to.
///
/// # Errors
/// If the HTTP client cannot be made.
pub async fn examine(config: &Config) -> Result<Report, reqwest::Error> {
    tls::install_provider();
    let client = outbound::client()?.http1_only().connect_timeout(ANSWER_WAIT).timeout(ANSWER_WAIT).build()?;
    let token = owners_token(config);
    let prober = Prober::new(client.clone(), token.as_ref().map(digest));

    let mut report = Report::default();
    report.add([Finding::ok("settings", "they can be read, and do not contradict each other")]);
    report.add(secrets::check(config, token.as_ref()));
    let (database, found) = database::check(config).await;
    report.add([database]);
    report.add(disk::check(config));
    let id = found.as_ref().and_then(|found| found.id.as_deref());
    report.add([media::check(config, id).await]);
    report.add(erasures::check(config).await);
    report.add(forwards::check(config).await);
    let (gateway, gateway_time) = gateway::check(config, &client).await;
    report.add(gateway);
    let database_time = found.as_ref().and_then(|found| found.sample.clone());
    report.add([clock::check(gateway_time.or(database_time))]);
    let (service, here) = service::check(config, &prober, &client, id).await;
    report.add([service]);
    let (public_url, claims) = public_url::check(config, &prober, here.as_ref(), id).await;
    report.add([public_url]);
    report.add(claims.map(|claims| proxies::check(config, &claims)));
    Ok(report)
}

/// Returns the owner's token, if there is one already.
fn owners_token(config: &Config) -> Option<SecretString> {
    config.api_token.clone().or_else(|| data_dir::written_token(&config.data_dir).ok().flatten())
}

fn digest(token: &SecretString) -> TokenDigest {
    TokenDigest::of(token.expose_secret().as_bytes())
}

/// Returns the nearest existing folder, which is this one or an ancestor.
fn existing(folder: &Path) -> &Path {
    folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."))
}
