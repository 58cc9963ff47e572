//! The configuration: every setting, read and checked once at the start, and immutable after that.
//!
//! `sources` finds the text of each setting and where it comes from. This file parses the texts, and reports a wrong or
//! contradictory setting in one line that names its place. `data_dir` manages the files in the data folder, and
//! `exposure` finds secrets that others can read.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::{IpNet, Ipv4Net};
use secrecy::SecretString;
use tracing_subscriber::filter::Targets;
use url::Url;

use crate::blob::BlobLocation;
use domain::access::signature::{Keyring, Secret};
use domain::instance::InstanceId;
use domain::retention::RetentionPolicy;
use domain::time::zone::Zone;
use platform::outbound::plain_url;
use store::Database;

mod file;
mod forwards;
mod gateway;
mod keys;
mod media;
mod placeholder;
mod retention;
mod sources;

pub use forwards::ForwardConfig;
pub use gateway::{GatewayConfig, gateway_token};
pub use media::MediaConfig;
pub use sources::{Flags, SettingLine, SettingSources, SettingsFile};

pub mod data_dir;
pub mod exposure;

/// All settings of a service.
#[derive(Clone, Debug)]
pub struct Config {
    pub data_dir: PathBuf,
    pub database: Database,
    /// The name of this cell among several, which is a label of all metrics.
    pub cell: Option<String>,
    /// True if PostgreSQL may run with `fsync` or `full_page_writes` off, as managed services do that protect the log
    /// themselves.
    pub allow_managed_pg: bool,
    /// The bytes that stay free on the disk of the SQLite file. With less, no event is taken.
    pub min_free: u64,
    /// The address of the webhook.
    pub listen: SocketAddr,
    /// The address of the read API, if it is another one.
    pub api_listen: Option<SocketAddr>,
    /// The public address of the webhook, for the URL to register.
    pub public_url: Option<Url>,
    /// The proxies that are believed about the client's address.
    pub trusted_proxies: Vec<IpNet>,
    /// The networks that may send events. Without it, events may come from anywhere.
    pub webhook_allow_from: Option<Vec<IpNet>>,
    /// The maximum size of the body of an event, in bytes.
    pub max_body: usize,
    /// The maximum number of open connections of each listener.
    pub max_connections: usize,
    /// The maximum number of open connections of each client address.
    pub max_connections_per_address: usize,
    pub keyring: Keyring,
    pub instances: Vec<ConfiguredInstance>,
    /// True if unsigned events are taken from anywhere.
    pub allow_unsigned: bool,
    /// The token of the read API. Without one, the first start writes a random one into the data folder.
    pub api_token: Option<SecretString>,
    /// The key that signs tickets. Without one, the first start writes a random one into the data folder.
    pub ticket_key: Option<SecretString>,
    /// The origins whose pages may read the API, in the form in which a browser sends them.
    pub cors_origins: Vec<String>,
    /// True if a page for browsers is served at `/`, beside the read API.
    pub dashboard: bool,
    /// The time zone of days and hours in views and statistics.
    pub time_zone: Zone,
    pub gateway: GatewayConfig,
    pub media: MediaConfig,
    /// The receivers that events are handed on to.
    pub forwards: Vec<ForwardConfig>,
    /// The periods for which messages and files are kept.
    pub retention: RetentionPolicy,
    /// The places with backups that learn of erasures.
    pub backup_to: Vec<BlobLocation>,
    /// The levels that are logged, by the module that writes.
    pub log: Targets,
    pub secret_places: SecretPlaces,
}

/// The places of the configured secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretPlaces {
    /// The settings file if it contains a secret itself, and the files of secrets that settings name.
    pub files: BTreeSet<PathBuf>,
    /// True if a secret was given as a flag.
    pub command_line: bool,
}

/// A configured instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfiguredInstance {
    pub id: InstanceId,
    /// The name that the owner gave it.
    pub name: Option<String>,
    pub own_secrets: OwnSecrets,
}

/// The place of the secrets of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnSecrets {
    /// The instance has no secrets of its own.
    None,
    /// All are in this file, one in a line: first the one for the gateway, then the previous one.
    File(PathBuf),
    /// They are in the settings themselves, or in several files.
    Scattered,
}

/// An error of a setting, in one line: its place, and what is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl ConfigError {
    fn new(place: impl fmt::Display, problem: impl fmt::Display) -> Self {
        Self(format!("{place}: {problem}"))
    }
}

/// The largest size that can be set for the body of an event. Twice as much is held in memory while two are read.
pub const MAX_BODY_LIMIT: u64 = 64 * 1024 * 1024;
/// The smallest one. Text messages have up to 65,536 characters.
const MIN_BODY_LIMIT: u64 = 512 * 1024;

/// The minimum length of a token or a key. A shorter one could be guessed.
pub const MIN_TOKEN_CHARACTERS: usize = 32;

impl Config {
    /// Parses every setting.
    ///
    /// # Errors
    /// The first setting that is wrong or contradicts another one.
    pub fn new(sources: &SettingSources) -> Result<Self, ConfigError> {
        let config = Self {
            database: sources.required("database_url", Database::parse)?,
            cell: sources.parsed("cell", cell)?,
            allow_managed_pg: sources.flag("allow_managed_pg")?,
            min_free: sources.required("min_free", media::bytes)?,
            listen: sources.required("listen", address)?,
            api_listen: sources.parsed("api_listen", address)?,
            public_url: sources.parsed("public_url", public_url)?,
            trusted_proxies: sources.parsed("trusted_proxies", networks)?.unwrap_or_default(),
            webhook_allow_from: sources.parsed("webhook_allow_from", some_networks)?,
            max_body: sources.required("max_body", body_size)?,
            max_connections: sources.required("max_connections", count)?,
            max_connections_per_address: sources.required("max_connections_per_address", count)?,
            keyring: keyring(sources)?,
            instances: sources.instances().iter().map(|entry| entry.instance.clone()).collect(),
            allow_unsigned: sources.flag("allow_unsigned")?,
            api_token: sources.parsed("api_token", token)?,
            ticket_key: sources.parsed("ticket_key", token)?,
            cors_origins: sources.parsed("cors_origins", cors_origins)?.unwrap_or_default(),
            dashboard: sources.flag("dashboard")?,
            time_zone: sources.required("time_zone", Zone::parse)?,
            gateway: GatewayConfig::new(sources)?,
            media: MediaConfig::new(sources)?,
            forwards: sources.forwards().iter().map(|entry| entry.forward.clone()).collect(),
            retention: retention::policy(sources)?,
            backup_to: sources.parsed("backup_to", retention::backup_places)?.unwrap_or_default(),
            log: sources.required("log", log_filter)?,
            data_dir: sources.required("data_dir", path)?,
            secret_places: sources.secret_places(),
        };
        forwards::refuse_own(&config, sources.forwards())?;
        config.contradiction().map_or(Ok(config), |(key, problem)| Err(ConfigError::new(sources.place(key), problem)))
    }

    /// Returns a setting that contradicts another one, and why.
    fn contradiction(&self) -> Option<(&'static str, &'static str)> {
        match (self.keyring.is_empty(), self.allow_unsigned) {
            (false, true) => Some((
                "allow_unsigned",
                "it contradicts the configured secrets, which make every event signed; remove one of the two",
            )),
            // Behind a proxy or a tunnel, a stranger can look like a client on this machine.
            (true, false) if self.public_url.is_some() => Some((
                "public_url",
                "a public webhook needs a secret: set webhook_secret, made with openssl rand -hex 32",
            )),
            _ if self.dashboard && self.public_url.as_ref().is_some_and(|url| url.path() != "/") => Some((
                "public_url",
                "the page for browsers needs a host name of its own: leave the path out, or set dashboard = false",
            )),
            _ => None,
        }
    }

    /// Returns the gateway that is asked for failed deliveries after an outage, if that is enabled.
    pub fn replays_at(&self) -> Option<&Url> {
        self.gateway.url.as_ref().filter(|_| self.gateway.replay && !self.gateway.tokens.is_empty())
    }

    /// Returns the URL to register at the gateway for an instance. Without an instance or without `public_url`, it has
    /// a placeholder in that place.
    pub fn webhook_url(&self, instance: Option<&InstanceId>) -> String {
        let base = self.public_url.as_ref().map_or("https://YOUR-HOST", |url| url.as_str().trim_end_matches('/'));
        let segment = instance.map_or_else(|| "{instance_id}".to_owned(), InstanceId::path_segment);
        format!("{base}/webhook/{segment}")
    }
}

fn keyring(sources: &SettingSources) -> Result<Keyring, ConfigError> {
    let shared = sources.parsed("webhook_secret", |text| Secret::new(text.to_owned()))?;
    let own = |entry: &file::InstanceEntry| {
        let secrets = entry.secrets.iter().map(|secret| Secret::new(secret.clone()));
        let secrets = secrets.collect::<Result<Vec<_>, _>>();
        secrets
            .map(|secrets| (entry.instance.id.clone(), secrets))
            .map_err(|error| ConfigError::new(format!("{}: instance {}", entry.place, entry.instance.id), error))
    };
    let own = sources.instances().iter().map(own).collect::<Result<Vec<_>, _>>()?;
    Keyring::new(shared, own).map_err(|error| ConfigError::new("instances", error))
}

fn path(text: &str) -> Result<PathBuf, &'static str> {
    if text.is_empty() { Err("expected a folder") } else { Ok(text.into()) }
}

fn cell(text: &str) -> Result<String, &'static str> {
    let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
    let usable = (1..=32).contains(&text.len()) && text.chars().all(known);
    usable.then(|| text.to_owned()).ok_or("expected 1 to 32 small letters, digits, - or _")
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "expected an address and a port, such as 127.0.0.1:8080 or [::1]:8080")
}

/// Parses a plain http or https URL.
fn origin(text: &str) -> Result<Url, &'static str> {
    plain_url(text).ok_or("expected an address such as https://gateway.example.com or http://192.168.1.5:3000")
}

fn public_url(text: &str) -> Result<Url, &'static str> {
    let url = plain_url(text).filter(|url| !url.path().contains("webhook"));
    url.ok_or("expected a URL without /webhook, such as https://buzon.example.com")
}

/// Returns the elements of a list with commas.
fn elements(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|text| !text.is_empty())
}

fn networks(text: &str) -> Result<Vec<IpNet>, &'static str> {
    let network = |text: &str| text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    elements(text)
        .map(|text| network(text).map(unmapped))
        .collect::<Result<_, _>>()
        .map_err(|_| "expected addresses or networks with commas between them, such as 127.0.0.1,10.0.0.0/8")
}

/// Returns an IPv4 network that is written as an IPv6 one (`::ffff:10.0.0.0/104`) in its IPv4 form, since addresses are
/// compared in that form.
fn unmapped(network: IpNet) -> IpNet {
    const MAPPED_BITS: u8 = 96;
    let IpNet::V6(v6) = network else { return network };
    let v4 = v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(MAPPED_BITS));
    v4.and_then(|(address, prefix)| Ipv4Net::new(address, prefix).ok()).map_or(network, IpNet::V4)
}

fn some_networks(text: &str) -> Result<Vec<IpNet>, &'static str> {
    let networks = networks(text)?;
    if networks.is_empty() { Err("it names nobody; remove it if events may come from anywhere") } else { Ok(networks) }
}

fn count(text: &str) -> Result<usize, &'static str> {
    text.trim().parse().ok().filter(|count| *count > 0).ok_or("expected a number of at least 1")
}

fn body_size(text: &str) -> Result<usize, &'static str> {
    let size = media::bytes(text)?;
    let size = Some(size).filter(|size| (MIN_BODY_LIMIT..=MAX_BODY_LIMIT).contains(size));
    size.and_then(|size| size.try_into().ok()).ok_or("expected 512KiB to 64MiB")
}

/// Parses origins into exactly the form that a browser sends as `Origin`.
fn cors_origins(text: &str) -> Result<Vec<String>, &'static str> {
    let origin = |text: &str| {
        let url = plain_url(text).filter(|url| url.path() == "/" && !text.contains('*'))?;
        Some(url.origin().ascii_serialization())
    };
    let expected = "expected origins with commas between them, such as https://panel.example.com,http://localhost:5173";
    elements(text).map(|text| origin(text).ok_or(expected)).collect()
}

fn token(text: &str) -> Result<SecretString, String> {
    let usable = text.len() >= MIN_TOKEN_CHARACTERS && text.bytes().all(|byte| byte.is_ascii_graphic());
    usable.then(|| text.to_owned().into()).ok_or_else(|| {
        format!(
            "it has at least {MIN_TOKEN_CHARACTERS} letters, digits or signs and no space; \
             make one with: openssl rand -hex 32"
        )
    })
}

fn log_filter(text: &str) -> Result<Targets, &'static str> {
    let expected = "expected a level (error, warn, info, debug, trace) or directives such as buzon=debug,info";
    text.parse().map_err(|_| expected)
}
