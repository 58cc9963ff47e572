//! The TOML file: settings of one value each, and `[[instances]]`.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

use super::{ConfigError, Instance};
use crate::domain::instance::InstanceId;

pub(super) const INSTANCES: &str = "instances";

/// What a file says; empty where there is none.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) path: PathBuf,
    /// Every value as text; lists with commas between their elements.
    pub(super) values: BTreeMap<String, String>,
    pub(super) instances: Vec<InstanceEntry>,
}

/// An instance with the text of its secrets.
pub(super) struct InstanceEntry {
    pub(super) instance: Instance,
    pub(super) secrets: Vec<String>,
    /// The file it stands in.
    pub(super) place: String,
}

/// `123 "Sales" (2 secrets)`: for people, without the secrets.
impl fmt::Display for InstanceEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.instance.id)?;
        if let Some(name) = &self.instance.name {
            write!(f, " {name:?}")?;
        }
        match self.secrets.len() {
            0 => Ok(()),
            1 => f.write_str(" (a secret of its own)"),
            count => write!(f, " ({count} secrets of its own)"),
        }
    }
}

impl fmt::Debug for InstanceEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InstanceEntry({self})")
    }
}

/// An element of `[[instances]]` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: Value,
    name: Option<String>,
    #[serde(default)]
    secrets: Vec<String>,
    #[serde(default)]
    secret_files: Vec<PathBuf>,
}

impl File {
    pub(super) fn read(path: PathBuf) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(&path).map_err(|error| ConfigError::new(path.display(), error))?;
        let mut table: Table = toml::from_str(&text).map_err(|error| syntax(&path, &text, &error))?;
        let instances = match table.remove(INSTANCES) {
            Some(instances) => entries(&path, instances)?,
            None => vec![],
        };
        let mut values = BTreeMap::new();
        for (key, value) in table {
            let text = scalar(&value).ok_or_else(|| {
                ConfigError::new(format!("{}: {key}", path.display()), "expected text, a number, true, false or a list")
            })?;
            values.insert(key, text);
        }
        Ok(Self { path, values, instances })
    }
}

/// The error in one line, with the number of the line it is about, and nothing of its content.
fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    let message = error.message().lines().collect::<Vec<_>>().join(" ");
    ConfigError::new(format!("{}: line {line}", path.display()), message)
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Boolean(flag) => Some(flag.to_string()),
        Value::Array(elements) => Some(elements.iter().map(scalar).collect::<Option<Vec<_>>>()?.join(",")),
        Value::Float(_) | Value::Datetime(_) | Value::Table(_) => None,
    }
}

fn entries(path: &Path, instances: Value) -> Result<Vec<InstanceEntry>, ConfigError> {
    let place = path.display().to_string();
    let Value::Array(elements) = instances else {
        return Err(ConfigError::new(&place, "instances are written as [[instances]], each with an id"));
    };
    let numbered = elements.into_iter().enumerate();
    numbered
        .map(|(index, element)| entry(&place, &format!("{place}: instances, number {}", index + 1), element))
        .collect()
}

fn entry(place: &str, here: &str, element: Value) -> Result<InstanceEntry, ConfigError> {
    let written = Written::deserialize(element).map_err(|error| ConfigError::new(here, error.message()))?;
    let id = match &written.id {
        Value::String(id) => id.clone(),
        Value::Integer(id) => id.to_string(),
        _ => return Err(ConfigError::new(here, "an id is text or a whole number")),
    };
    let id = InstanceId::new(&id).map_err(|error| ConfigError::new(here, error))?;
    if id.is_unstated() {
        return Err(ConfigError::new(here, "the id - stands for events that name no instance"));
    }
    let mut secrets = written.secrets;
    for path in &written.secret_files {
        secrets.push(read_secret(path).map_err(|error| ConfigError::new(here, error))?);
    }
    Ok(InstanceEntry { instance: Instance { id, name: written.name }, secrets, place: place.to_owned() })
}

/// A secret's file holds the secret, and perhaps a line break after it.
pub(super) fn read_secret(path: &Path) -> Result<String, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
