//! The settings of forwards, `[[forwards]]` in the file.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::{Table, Value};

use super::file::{read_secret, texts};
use super::{Config, ConfigError};
use domain::access::signature::Secret;
use domain::forward::ForwardName;
use domain::forward::destination::Destination;
use domain::forward::max_age::{MaxAge, parse_duration};
use domain::forward::selection::ForwardFilter;
use domain::instance::InstanceId;
use platform::outbound;

pub(super) const FORWARDS: &str = "forwards";
/// The maximum number of forwards.
const MOST: usize = 16;
/// The maximum number of instances, and of types of events, that a forward names.
const MOST_NAMED: usize = 256;
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(120);

/// The settings of a forward.
#[derive(Clone, Debug)]
pub struct ForwardConfig {
    pub name: ForwardName,
    pub destination: Destination,
    pub filter: ForwardFilter,
    pub max_age: MaxAge,
    /// The secret that signs instead of the one that the gateway uses.
    pub secret: Option<Secret>,
    /// The time limit of an answer.
    pub timeout: Duration,
    /// Certificates to trust beside those of the system, in PEM.
    pub certificates: Option<Vec<u8>>,
}

/// A forward with the files that hold its secrets.
#[derive(Debug)]
pub(super) struct ForwardEntry {
    pub(super) forward: ForwardConfig,
    /// The file that names the forward.
    pub(super) place: String,
    pub(super) secret_files: Vec<PathBuf>,
}

/// Writes the forward for people, without the secret parts of its URL.
impl fmt::Display for ForwardEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ForwardConfig { name, destination, filter, max_age, secret, timeout, .. } = &self.forward;
        write!(f, "{name} to {destination} (max_age {max_age}, timeout {}s", timeout.as_secs())?;
        for (word, is_set) in [
            ("instances", !filter.instances.is_empty()),
            ("events", !filter.event_types.is_empty()),
            ("unsigned", filter.unsigned),
            ("quarantined", filter.quarantined),
            ("a secret of its own", secret.is_some()),
        ] {
            if is_set {
                write!(f, ", {word}")?;
            }
        }
        f.write_str(")")
    }
}

/// Reads `[[forwards]]`.
pub(super) fn entries(path: &Path, forwards: Value) -> Result<Vec<ForwardEntry>, ConfigError> {
    let place = path.display().to_string();
    let Value::Array(elements) = forwards else {
        return Err(ConfigError::new(
            &place,
            "forwards are written as [[forwards]], each with a name, a url and max_age",
        ));
    };
    if elements.len() > MOST {
        return Err(ConfigError::new(&place, format!("there are at most {MOST} forwards")));
    }
    let mut names = BTreeSet::new();
    let mut entries = Vec::new();
    for (index, element) in elements.into_iter().enumerate() {
        let here = format!("{place}: forwards, number {}", index + 1);
        let entry = entry(&place, element).map_err(|error| ConfigError::new(&here, error))?;
        if !names.insert(entry.forward.name.clone()) {
            return Err(ConfigError::new(&here, format!("there are two forwards named {}", entry.forward.name)));
        }
        entries.push(entry);
    }
    Ok(entries)
}

/// Refuses a forward to this buzon itself.
pub(super) fn refuse_own(config: &Config, entries: &[ForwardEntry]) -> Result<(), ConfigError> {
    let listeners = [Some(config.listen), config.api_listen];
    let is_own = |destination: &Destination| {
        listeners.into_iter().flatten().any(|address| destination.is_listener(address))
            || config.public_url.as_ref().is_some_and(|url| destination.is_webhook_of(url))
    };
    let own = entries.iter().find(|entry| is_own(&entry.forward.destination));
    own.map_or(Ok(()), |entry| {
        let problem = "its URL is this buzon itself, which would send every event to itself; set that of the receiver";
        Err(ConfigError::new(format!("{}: forward {}", entry.place, entry.forward.name), problem))
    })
}

/// Reads an element. Its errors name fields and do not quote URLs and secrets.
fn entry(place: &str, element: Value) -> Result<ForwardEntry, String> {
    let Value::Table(mut fields) = element else { return Err("forwards are written as [[forwards]]".to_owned()) };
    let fields = &mut fields;
    let mut secret_files = Vec::new();
    let name = text(fields, "name")?.ok_or("the name is missing")?;
    let name = ForwardName::new(&name).map_err(|error| error.to_string())?;
    let url = match (text(fields, "url")?, text(fields, "url_file")?) {
        (Some(_), Some(_)) => return Err("url and url_file say the same thing; remove one of the two".to_owned()),
        (Some(url), None) => url,
        (None, Some(file)) => {
            secret_files.push(file.clone().into());
            read_secret(Path::new(&file))?
        }
        (None, None) => return Err("url or url_file is missing".to_owned()),
    };
    let destination = Destination::parse(&url)?;
    let max_age = text(fields, "max_age")?
        .ok_or("max_age is missing: 1h, for example, for what answers people, or none for an archive")?;
    let max_age = MaxAge::parse(&max_age).map_err(|error| format!("max_age: {error}"))?;
    let instances = list(fields, "instances")?.iter().map(|id| InstanceId::new(id)).collect::<Result<_, _>>();
    let filter = ForwardFilter {
        instances: instances.map_err(|error| error.to_string())?,
        event_types: list(fields, "events")?.into_iter().collect(),
        unsigned: flag(fields, "unsigned")?,
        quarantined: flag(fields, "quarantined")?,
    };
    let secret = match text(fields, "secret_file")? {
        Some(file) => {
            let secret = read_secret(Path::new(&file))?;
            secret_files.push(file.into());
            Some(Secret::new(secret).map_err(|error| format!("secret_file: {error}"))?)
        }
        None => None,
    };
    let timeout = match text(fields, "timeout")? {
        Some(text) => parse_duration(&text)
            .filter(|timeout| !timeout.is_zero() && *timeout <= LONGEST_TIMEOUT)
            .ok_or("timeout: expected 1s to 120s")?,
        None => DEFAULT_TIMEOUT,
    };
    let certificates = text(fields, "ca_file")?.map(|file| certificates(Path::new(&file))).transpose()?;
    if let Some(unknown) = fields.keys().next() {
        return Err(format!(
            "a forward has no {unknown}; it has name, url, url_file, max_age, instances, events, unsigned, quarantined, \
             secret_file, timeout, ca_file"
        ));
    }
    let forward = ForwardConfig { name, destination, filter, max_age, secret, timeout, certificates };
    Ok(ForwardEntry { forward, place: place.to_owned(), secret_files })
}

fn text(fields: &mut Table, name: &str) -> Result<Option<String>, String> {
    match fields.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("{name} is a text in quotes")),
    }
}

fn flag(fields: &mut Table, name: &str) -> Result<bool, String> {
    match fields.remove(name) {
        None => Ok(false),
        Some(Value::Boolean(flag)) => Ok(flag),
        Some(_) => Err(format!("{name} is true or false")),
    }
}

fn list(fields: &mut Table, name: &str) -> Result<Vec<String>, String> {
    let list = fields.remove(name);
    let is_empty = list.is_some();
    let list = texts(list).ok_or_else(|| format!("{name} is a list of texts"))?;
    match list.len() {
        0 if is_empty => Err(format!("{name} names nothing; remove it to have everything")),
        0..=MOST_NAMED => Ok(list),
        _ => Err(format!("{name} names at most {MOST_NAMED}")),
    }
}

fn certificates(file: &Path) -> Result<Vec<u8>, String> {
    let pem = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let usable = outbound::certificates(&pem).is_some();
    usable.then_some(pem).ok_or_else(|| format!("{}: it holds no certificates in PEM", file.display()))
}
