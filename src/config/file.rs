//! The TOML file, which has settings with one value each, `[[instances]]` and `[[forwards]]`.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::forwards::{self, FORWARDS, ForwardEntry};
use super::{ConfigError, ConfiguredInstance, OwnSecrets, retention};
use domain::instance::InstanceId;
use domain::retention::Periods;

pub(super) const INSTANCES: &str = "instances";
/// The settings that may be written as a list.
const LISTS: [&str; 5] = ["trusted_proxies", "webhook_allow_from", "cors_origins", "media_origins", "backup_to"];

/// The contents of the file, which are empty if there is none.
#[derive(Debug, Default)]
pub(super) struct ConfigFile {
    pub(super) path: PathBuf,
    /// True if the file exists.
    pub(super) is_there: bool,
    /// Every value as text. The elements of a list are joined with commas.
    pub(super) values: BTreeMap<String, String>,
    pub(super) instances: Vec<InstanceEntry>,
    pub(super) forwards: Vec<ForwardEntry>,
}

/// An instance with the text of its secrets.
pub(super) struct InstanceEntry {
    pub(super) instance: ConfiguredInstance,
    /// The periods for which its messages and files are kept, if it says so itself.
    pub(super) periods: Periods,
    pub(super) secrets: Vec<String>,
    /// Its token at the gateway.
    pub(super) token: Option<String>,
    /// The file that names the instance.
    pub(super) place: String,
    /// The files that hold its secrets and its token.
    pub(super) secret_files: Vec<PathBuf>,
}

/// Writes the instance for people, without its secrets and its token: `123 "Sales" (2 secrets of its own) (a token for
/// the gateway)`.
impl fmt::Display for InstanceEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.instance.id)?;
        if let Some(name) = &self.instance.name {
            write!(f, " {name:?}")?;
        }
        match self.secrets.len() {
            0 => {}
            1 => f.write_str(" (a secret of its own)")?,
            count => write!(f, " ({count} secrets of its own)")?,
        }
        if self.token.is_some() { f.write_str(" (a token for the gateway)") } else { Ok(()) }
    }
}

impl fmt::Debug for InstanceEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InstanceEntry({self})")
    }
}

impl ConfigFile {
    pub(super) fn read(path: PathBuf) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(&path).map_err(|error| ConfigError::new(path.display(), error))?;
        let mut table: Table = toml::from_str(&text).map_err(|error| syntax(&path, &text, &error))?;
        let instances = match table.remove(INSTANCES) {
            Some(instances) => entries(&path, instances)?,
            None => vec![],
        };
        let forwards = match table.remove(FORWARDS) {
            Some(forwards) => forwards::entries(&path, forwards)?,
            None => vec![],
        };
        let mut values = BTreeMap::new();
        for (key, value) in table {
            let list = LISTS.contains(&key.as_str());
            let text = scalar(&value, list).ok_or_else(|| {
                let expected = match list {
                    true => "expected a list of texts, each in quotes",
                    false => "expected text in quotes, a number, true or false",
                };
                ConfigError::new(format!("{}: {key}", path.display()), expected)
            })?;
            values.insert(key, text);
        }
        Ok(Self { path, is_there: true, values, instances, forwards })
    }
}

/// Returns the error in one line, with the line number but without the content of the line.
fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    let mut message = error.message().lines().collect::<Vec<_>>().join(" ");
    if is_unquoted(text.lines().nth(line - 1).unwrap_or_default()) {
        message = r#"text stands in quotes, as in: listen = "127.0.0.1:8080""#.to_owned();
    }
    ConfigError::new(format!("{}: line {line}", path.display()), message)
}

/// Returns whether the value of an invalid line, or the first element of its list, begins without a quotation mark.
fn is_unquoted(line: &str) -> bool {
    let Some((_, value)) = line.split_once('=') else { return false };
    !value.trim_start_matches(['[', ' ', '\t']).starts_with(['"', '\'', '{'])
}

fn scalar(value: &Value, list: bool) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Boolean(flag) => Some(flag.to_string()),
        Value::Array(_) if list => Some(texts(Some(value.clone()))?.join(",")),
        Value::Array(_) | Value::Float(_) | Value::Datetime(_) | Value::Table(_) => None,
    }
}

fn entries(path: &Path, instances: Value) -> Result<Vec<InstanceEntry>, ConfigError> {
    let place = path.display().to_string();
    let Value::Array(elements) = instances else {
        return Err(ConfigError::new(&place, "instances are written as [[instances]], each with an id"));
    };
    let numbered = elements.into_iter().enumerate();
    numbered
        .map(|(index, element)| entry(path, &format!("{place}: instances, number {}", index + 1), element))
        .collect()
}

/// Reads an element of `[[instances]]`. Its errors name fields and never quote them: they may be secrets.
fn entry(path: &Path, here: &str, element: Value) -> Result<InstanceEntry, ConfigError> {
    let problem = |problem: &str| ConfigError::new(here, problem);
    let Value::Table(mut fields) = element else { return Err(problem("instances are written as [[instances]]")) };
    let id = match fields.remove("id") {
        Some(Value::String(id)) => id,
        Some(Value::Integer(id)) => id.to_string(),
        Some(_) => return Err(problem("an id is text or a whole number")),
        None => return Err(problem("the id is missing")),
    };
    let id = InstanceId::for_url(&id).map_err(|error| problem(&error.to_string()))?;
    if id.is_unstated() {
        return Err(problem("the id - stands for events that name no instance"));
    }
    let name = match fields.remove("name") {
        Some(Value::String(name)) => Some(name),
        Some(_) => return Err(problem("a name is text")),
        None => None,
    };
    let periods = retention::periods(&mut fields).map_err(|error| problem(&error))?;
    let secret_files = secret_files(path, &fields);
    let (own_secrets, secrets) = secrets(&mut fields).map_err(|error| problem(&error))?;
    let token = token(&mut fields).map_err(|error| problem(&error))?;
    match fields.keys().next() {
        Some(unknown) => Err(problem(&format!(
            "an instance has no {unknown}; it has id, name, secrets, secret_files, token, token_file, retention_messages, \
             retention_media"
        ))),
        None => {
            let instance = ConfiguredInstance { id, name, own_secrets };
            Ok(InstanceEntry { instance, periods, secrets, token, place: path.display().to_string(), secret_files })
        }
    }
}

/// Returns the files with the secrets and the token of an instance, including this one if it contains them itself.
fn secret_files(path: &Path, fields: &Table) -> Vec<PathBuf> {
    let is_here = fields.contains_key("secrets") || fields.contains_key("token");
    let named = texts(fields.get("secret_files").cloned()).unwrap_or_default();
    let token = fields.get("token_file").and_then(Value::as_str);
    let named = named.iter().map(String::as_str).chain(token).map(PathBuf::from);
    is_here.then(|| path.to_owned()).into_iter().chain(named).collect()
}

/// Returns the secrets in the settings, and then those of the files.
fn secrets(fields: &mut Table) -> Result<(OwnSecrets, Vec<String>), String> {
    let mut secrets = texts(fields.remove("secrets")).ok_or("secrets is a list of texts")?;
    let files = texts(fields.remove("secret_files")).ok_or("secret_files is a list of paths")?;
    let place = match (secrets.as_slice(), files.as_slice()) {
        ([], []) => OwnSecrets::None,
        ([], [file]) => OwnSecrets::File(file.into()),
        _ => OwnSecrets::Scattered,
    };
    for path in files {
        let text = read_secret(Path::new(&path))?;
        secrets.extend(text.lines().map(str::to_owned));
        if text.is_empty() {
            secrets.push(text);
        }
    }
    Ok((place, secrets))
}

fn token(fields: &mut Table) -> Result<Option<String>, String> {
    let text = |name: &str, value: Option<Value>, what: &str| match value {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("{name} is {what}")),
    };
    let token = text("token", fields.remove("token"), "a text")?;
    match (token, text("token_file", fields.remove("token_file"), "a path")?) {
        (Some(_), Some(_)) => Err("token and token_file say the same thing; remove one of the two".to_owned()),
        (None, Some(path)) => read_secret(Path::new(&path)).map(Some),
        (token, None) => Ok(token),
    }
}

/// Returns the elements of a list of texts. A missing list is empty.
pub(super) fn texts(list: Option<Value>) -> Option<Vec<String>> {
    let elements = match list {
        None => vec![],
        Some(Value::Array(elements)) => elements,
        Some(_) => return None,
    };
    elements.into_iter().map(|element| element.as_str().map(str::to_owned)).collect()
}

/// Reads a file with a secret, without the line breaks at its end.
pub(super) fn read_secret(path: &Path) -> Result<String, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
