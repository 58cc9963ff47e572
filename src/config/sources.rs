//! The sources of settings: flags, the environment, the file, and the defaults. The first source that has a setting
//! counts.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use super::file::{self, InstanceEntry};
use super::forwards::{FORWARDS, ForwardEntry};
use super::keys::{ENV_PREFIX, unknown_key, variables};
use super::{ConfigError, SecretPlaces, placeholder};

/// The file that is read if none is named.
const DEFAULT_FILE: &str = "buzon.toml";
/// The settings whose defaults depend on data_dir: a file and a folder in it.
const DATABASE_URL: &str = "database_url";
const DATABASE_FILE: &str = "buzon.db";
const MEDIA_STORE: &str = "media_store";
const MEDIA_FOLDER: &str = "media";
/// The environment variable that names the file.
const CONFIG_VARIABLE: &str = "BUZON_CONFIG";
const FILE_SUFFIX: &str = "_file";

/// A setting with its key in the file. In the environment, it is `BUZON_` and the key in capitals.
struct Setting {
    key: &'static str,
    kind: SettingKind,
    default: Option<&'static str>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum SettingKind {
    Plain,
    /// The value is never shown. It may also be in a file of its own, which the key with `_file` names.
    Secret,
    /// Like a secret, but it can be shown in part.
    Database,
}

/// All settings with one value, in the order in which they are shown.
const SETTINGS: [Setting; 41] = [
    Setting { key: "data_dir", kind: SettingKind::Plain, default: Some("./data") },
    Setting { key: DATABASE_URL, kind: SettingKind::Database, default: None },
    Setting { key: "cell", kind: SettingKind::Plain, default: None },
    Setting { key: "allow_managed_pg", kind: SettingKind::Plain, default: Some("false") },
    Setting { key: "min_free", kind: SettingKind::Plain, default: Some("128MiB") },
    Setting { key: "listen", kind: SettingKind::Plain, default: Some("127.0.0.1:8080") },
    Setting { key: "api_listen", kind: SettingKind::Plain, default: None },
    Setting { key: "public_url", kind: SettingKind::Plain, default: None },
    Setting { key: "trusted_proxies", kind: SettingKind::Plain, default: None },
    Setting { key: "webhook_allow_from", kind: SettingKind::Plain, default: None },
    Setting { key: "max_body", kind: SettingKind::Plain, default: Some("4MiB") },
    Setting { key: "max_connections", kind: SettingKind::Plain, default: Some("8192") },
    Setting { key: "max_connections_per_address", kind: SettingKind::Plain, default: Some("256") },
    Setting { key: "webhook_secret", kind: SettingKind::Secret, default: None },
    Setting { key: "allow_unsigned", kind: SettingKind::Plain, default: Some("false") },
    Setting { key: "api_token", kind: SettingKind::Secret, default: None },
    Setting { key: "ticket_key", kind: SettingKind::Secret, default: None },
    Setting { key: "cors_origins", kind: SettingKind::Plain, default: None },
    Setting { key: "dashboard", kind: SettingKind::Plain, default: Some("true") },
    Setting { key: "time_zone", kind: SettingKind::Plain, default: Some("UTC") },
    Setting { key: "gateway_url", kind: SettingKind::Plain, default: None },
    Setting { key: "gateway_replay", kind: SettingKind::Plain, default: Some("true") },
    Setting { key: "media_origins", kind: SettingKind::Plain, default: None },
    Setting { key: MEDIA_STORE, kind: SettingKind::Plain, default: None },
    Setting { key: "media_redirect", kind: SettingKind::Plain, default: Some("false") },
    Setting { key: "media_max_size", kind: SettingKind::Plain, default: Some("100MiB") },
    Setting { key: "media_timeout", kind: SettingKind::Plain, default: Some("600") },
    Setting { key: "media_downloads", kind: SettingKind::Plain, default: Some("32") },
    Setting { key: "media_downloads_per_host", kind: SettingKind::Plain, default: Some("16") },
    Setting { key: "media_attempts", kind: SettingKind::Plain, default: Some("600") },
    Setting { key: "media_min_free", kind: SettingKind::Plain, default: Some("1GiB") },
    Setting { key: "media_quota", kind: SettingKind::Plain, default: None },
    Setting { key: "retention_messages", kind: SettingKind::Plain, default: None },
    Setting { key: "retention_media", kind: SettingKind::Plain, default: None },
    Setting { key: "backup_to", kind: SettingKind::Plain, default: None },
    Setting { key: "s3_endpoint", kind: SettingKind::Plain, default: None },
    Setting { key: "s3_region", kind: SettingKind::Plain, default: None },
    Setting { key: "s3_path_style", kind: SettingKind::Plain, default: None },
    Setting { key: "s3_access_key_id", kind: SettingKind::Secret, default: None },
    Setting { key: "s3_secret_access_key", kind: SettingKind::Secret, default: None },
    Setting { key: "log", kind: SettingKind::Plain, default: Some("info,actix_server=warn,actix_http=off") },
];

/// Returns the environment variable for a key of the file.
fn variable(key: &str) -> String {
    format!("{ENV_PREFIX}{}", key.to_uppercase())
}

impl Setting {
    /// Returns the keys in the file.
    fn keys(&self) -> impl Iterator<Item = String> {
        [self.key.to_owned()].into_iter().chain(self.file_key())
    }

    fn file_key(&self) -> Option<String> {
        (self.kind != SettingKind::Plain).then(|| format!("{}{FILE_SUFFIX}", self.key))
    }
}

/// The settings that were given as flags, by key.
pub type Flags = Vec<(&'static str, Option<String>)>;

/// The place of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum SettingPlace {
    Flag(&'static str),
    Environment(String),
    File(PathBuf, String),
    Default,
}

impl fmt::Display for SettingPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(key) => write!(f, "--{}", key.replace('_', "-")),
            Self::Environment(variable) => f.write_str(variable),
            Self::File(path, key) => write!(f, "{}: {key}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

#[derive(Debug)]
struct FoundSetting {
    text: String,
    place: SettingPlace,
    /// The file that contains the text.
    file: Option<PathBuf>,
}

impl FoundSetting {
    fn by_default(text: impl Into<String>) -> Self {
        Self { text: text.into(), place: SettingPlace::Default, file: None }
    }
}

/// The file with settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingsFile {
    /// The absolute path.
    pub path: PathBuf,
    /// True if the file exists. A file that was named explicitly always exists.
    pub is_there: bool,
}

/// The text of every setting, with its place.
#[derive(Debug, Default)]
pub struct SettingSources {
    found: BTreeMap<&'static str, FoundSetting>,
    instances: Vec<InstanceEntry>,
    forwards: Vec<ForwardEntry>,
    file: SettingsFile,
}

/// A line of `buzon check-config`.
#[derive(Debug, PartialEq, Eq)]
pub struct SettingLine {
    pub key: String,
    /// The value, or only the length of a secret.
    pub value: String,
    pub place: String,
}

impl SettingSources {
    /// Gathers the settings. The file is the one that `config` names, or else `BUZON_CONFIG`, or else `buzon.toml` in
    /// the working folder if that exists.
    ///
    /// # Errors
    /// If there is an unknown key, a file that cannot be read, a secret that is given both directly and as a file, or a
    /// placeholder of the guides.
    pub fn gather(
        config: Option<PathBuf>,
        flags: Flags,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let is_setting = |key: &str| SETTINGS.iter().any(|setting| setting.key == key);
        debug_assert!(flags.iter().all(|(key, _)| is_setting(key)), "every flag stands for a setting");
        let environment = variables(environment)?;
        let file = config_file(config, &environment)?;
        check_variables(&environment)?;
        check_keys(&file)?;
        let mut found = BTreeMap::<_, FoundSetting>::new();
        for setting in &SETTINGS {
            if let Some(value) = find(setting, &flags, &environment, &file)? {
                found.insert(setting.key, value);
            }
        }
        if let Some(data_dir) = found.get("data_dir").map(|found| PathBuf::from(&found.text)) {
            let database = format!("sqlite://{}", data_dir.join(DATABASE_FILE).display());
            found.entry(DATABASE_URL).or_insert_with(|| FoundSetting::by_default(database));
            let folder = data_dir.join(MEDIA_FOLDER).display().to_string();
            found.entry(MEDIA_STORE).or_insert_with(|| FoundSetting::by_default(folder));
        }
        // The path stays relative if the working folder is gone.
        let path = std::path::absolute(&file.path).unwrap_or(file.path);
        let settings_file = SettingsFile { path, is_there: file.is_there };
        let sources = Self { found, instances: file.instances, forwards: file.forwards, file: settings_file };
        placeholder::refuse(&sources)?;
        Ok(sources)
    }

    /// Returns the file that was read, or that was looked for.
    pub fn file(&self) -> &SettingsFile {
        &self.file
    }

    pub(super) fn secret_places(&self) -> SecretPlaces {
        let found = SETTINGS.iter().filter_map(|setting| Some((setting, self.found.get(setting.key)?)));
        let secrets: Vec<_> =
            found.filter(|(setting, found)| setting.is_secret(&found.text)).map(|(_, found)| found).collect();
        let named = secrets.iter().filter_map(|found| found.file.clone());
        let forwards = self.forwards.iter().flat_map(|entry| entry.secret_files.clone());
        let instances = self.instances.iter().flat_map(|entry| entry.secret_files.clone());
        SecretPlaces {
            files: named.chain(instances).chain(forwards).collect(),
            command_line: secrets.iter().any(|found| matches!(found.place, SettingPlace::Flag(_))),
        }
    }

    /// Returns the settings in force, with secrets hidden.
    pub fn report(&self) -> Vec<SettingLine> {
        let setting = |setting: &Setting| {
            let (value, place) = match self.found.get(setting.key) {
                Some(found) => (setting.shown(&found.text), found.place.to_string()),
                None => ("-".to_owned(), "not set".to_owned()),
            };
            SettingLine { key: setting.key.to_owned(), value, place }
        };
        let instance = |entry: &InstanceEntry| SettingLine {
            key: "instance".to_owned(),
            value: entry.to_string(),
            place: entry.place.clone(),
        };
        let forward = |entry: &ForwardEntry| SettingLine {
            key: "forward".to_owned(),
            value: entry.to_string(),
            place: entry.place.clone(),
        };
        let instances = self.instances.iter().map(instance);
        SETTINGS.iter().map(setting).chain(instances).chain(self.forwards.iter().map(forward)).collect()
    }

    pub(super) fn instances(&self) -> &[InstanceEntry] {
        &self.instances
    }

    pub(super) fn forwards(&self) -> &[ForwardEntry] {
        &self.forwards
    }

    /// Returns every text that is not a default, with its place.
    pub(super) fn given(&self) -> impl Iterator<Item = (String, &str)> {
        let given = self.found.values().filter(|found| found.place != SettingPlace::Default);
        given.map(|found| (found.place.to_string(), found.text.as_str()))
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.found.get(key).map(|found| found.text.as_str())
    }

    pub(super) fn place(&self, key: &str) -> String {
        self.found.get(key).map_or_else(|| key.to_owned(), |found| found.place.to_string())
    }

    pub(super) fn is_default(&self, key: &str) -> bool {
        self.found.get(key).is_some_and(|found| found.place == SettingPlace::Default)
    }

    pub(super) fn parsed<T, E: fmt::Display>(
        &self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, ConfigError> {
        let parsed = self.text(key).map(|text| parse(text).map_err(|error| ConfigError::new(self.place(key), error)));
        parsed.transpose()
    }

    /// Parses a setting that has a default.
    pub(super) fn required<T, E: fmt::Display>(
        &self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, ConfigError> {
        self.parsed(key, parse)?.ok_or_else(|| ConfigError::new(key, "it is not set"))
    }

    pub(super) fn flag(&self, key: &str) -> Result<bool, ConfigError> {
        let flag = |text: &str| match text.to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err("expected true or false"),
        };
        self.required(key, flag)
    }
}

impl Setting {
    /// Returns whether the text is a secret.
    fn is_secret(&self, text: &str) -> bool {
        match self.kind {
            SettingKind::Plain => false,
            SettingKind::Secret => true,
            SettingKind::Database => store::Database::parse(text).is_ok_and(|database| database.has_password()),
        }
    }

    fn shown(&self, text: &str) -> String {
        match self.kind {
            SettingKind::Plain => text.to_owned(),
            SettingKind::Secret => format!("set, {} characters", text.chars().count()),
            SettingKind::Database => {
                store::Database::parse(text).map_or_else(|_| "set".to_owned(), |it| it.to_string())
            }
        }
    }
}

/// Returns the value of a setting from the first source that has one.
fn find(
    setting: &Setting,
    flags: &Flags,
    environment: &BTreeMap<String, String>,
    file: &file::ConfigFile,
) -> Result<Option<FoundSetting>, ConfigError> {
    let flag = flags.iter().find(|(key, _)| *key == setting.key).and_then(|(_, text)| text.clone());
    let direct = flag.map(|text| FoundSetting { text, place: SettingPlace::Flag(setting.key), file: None });
    let direct = direct.or_else(|| lookup(setting.key, environment, file));
    let in_file = setting.file_key().and_then(|key| lookup(&key, environment, file));
    match (direct, in_file) {
        (Some(direct), Some(in_file)) => {
            let problem = format!("{} says the same thing in another way; remove one of the two", in_file.place);
            Err(ConfigError::new(direct.place, problem))
        }
        (None, Some(in_file)) => {
            Ok(Some(FoundSetting { text: secret_file(&in_file)?, file: Some(in_file.text.into()), ..in_file }))
        }
        (direct, None) => Ok(direct.or_else(|| setting.default.map(FoundSetting::by_default))),
    }
}

fn lookup(key: &str, environment: &BTreeMap<String, String>, file: &file::ConfigFile) -> Option<FoundSetting> {
    let variable = variable(key);
    if let Some(text) = environment.get(&variable) {
        return Some(FoundSetting { text: text.clone(), place: SettingPlace::Environment(variable), file: None });
    }
    let text = file.values.get(key)?;
    let place = SettingPlace::File(file.path.clone(), key.to_owned());
    Some(FoundSetting { text: text.clone(), place, file: Some(file.path.clone()) })
}

fn secret_file(found: &FoundSetting) -> Result<String, ConfigError> {
    file::read_secret(Path::new(&found.text)).map_err(|error| ConfigError::new(&found.place, error))
}

fn config_file(
    config: Option<PathBuf>,
    environment: &BTreeMap<String, String>,
) -> Result<file::ConfigFile, ConfigError> {
    let named = config.or_else(|| environment.get(CONFIG_VARIABLE).map(PathBuf::from));
    match named {
        Some(path) => file::ConfigFile::read(path),
        None if Path::new(DEFAULT_FILE).exists() => file::ConfigFile::read(DEFAULT_FILE.into()),
        None => Ok(file::ConfigFile { path: DEFAULT_FILE.into(), ..file::ConfigFile::default() }),
    }
}

fn check_variables(environment: &BTreeMap<String, String>) -> Result<(), ConfigError> {
    let variables = SETTINGS.iter().flat_map(Setting::keys).map(|key| variable(&key));
    let known: Vec<String> = variables.chain([CONFIG_VARIABLE.to_owned()]).collect();
    match environment.keys().find(|name| !known.contains(name)) {
        Some(unknown) => Err(unknown_key(unknown, unknown, &known)),
        None => Ok(()),
    }
}

fn check_keys(file: &file::ConfigFile) -> Result<(), ConfigError> {
    let known: Vec<String> =
        SETTINGS.iter().flat_map(Setting::keys).chain([file::INSTANCES, FORWARDS].map(str::to_owned)).collect();
    match file.values.keys().find(|key| !known.contains(key)) {
        Some(unknown) => Err(unknown_key(&SettingPlace::File(file.path.clone(), unknown.clone()), unknown, &known)),
        None => Ok(()),
    }
}
