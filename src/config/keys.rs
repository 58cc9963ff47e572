//! The names of settings, in the environment and in the file.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

use super::ConfigError;

pub(super) const ENV_PREFIX: &str = "BUZON_";
const FOREIGN_PREFIXES: [&str; 3] = ["BUZON_TEST_", "BUZON_SERVICE_", "BUZON_PORT_"];

/// Returns the environment variables that are meant for buzon.
pub(super) fn variables(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<BTreeMap<String, String>, ConfigError> {
    let named = environment.into_iter().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    let ours = named.filter(|(name, _)| name.starts_with(ENV_PREFIX) && !is_foreign(name));
    ours.map(|(name, value)| match value.into_string() {
        Ok(value) => Ok((name, value)),
        Err(_) => Err(ConfigError::new(name, "it is not UTF-8 text")),
    })
    .collect()
}

/// Returns whether another program sets this variable with our prefix: the tests, or Kubernetes for a Service named
/// buzon.
fn is_foreign(name: &str) -> bool {
    name == "BUZON_PORT" || FOREIGN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Returns the error of a key that no setting has, with the nearest one that exists.
pub(super) fn unknown_key(place: &dyn fmt::Display, unknown: &str, known: &[String]) -> ConfigError {
    /// The similarity above which a key is taken for a misspelling of another one.
    const ALIKE: f64 = 0.8;
    let likeness = |key: &String| strsim::normalized_damerau_levenshtein(unknown, key);
    let nearest = known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b))).filter(|key| likeness(key) > ALIKE);
    match nearest {
        Some(nearest) => ConfigError::new(place, format!("there is no such setting; did you mean {nearest}?")),
        None => ConfigError::new(place, "there is no such setting; the README lists them"),
    }
}
