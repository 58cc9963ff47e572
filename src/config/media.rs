//! The settings of media files: their sources, their store, and their limits.

use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::{ConfigError, SettingSources};
use crate::blob::{BlobLocation, S3Keys, S3Options};

/// The settings of media files.
#[derive(Clone, Debug)]
pub struct MediaConfig {
    /// Origins from which files may be fetched, beside the gateway. Without any, files may come from the public
    /// internet.
    pub origins: Vec<Url>,
    pub location: BlobLocation,
    pub s3: S3Options,
    /// True if a request for a file is answered with a redirect to the bucket.
    pub redirect: bool,
    /// The maximum size of a file, in bytes.
    pub max_size: u64,
    /// The time limit of a download.
    pub timeout: Duration,
    /// The maximum number of downloads at once. With 0, nothing is downloaded.
    pub downloads: u32,
    /// The maximum number of downloads at once from one host.
    pub downloads_per_host: u32,
    /// The number of attempts before a file is given up.
    pub attempts: u32,
    /// The number of bytes that stay free on the disk.
    pub min_free: u64,
    /// The bytes of all files at which downloads stop.
    pub quota: Option<u64>,
}

impl MediaConfig {
    pub(super) fn new(sources: &SettingSources) -> Result<Self, ConfigError> {
        let config = Self {
            origins: sources.parsed("media_origins", origins)?.unwrap_or_default(),
            location: location(sources)?,
            s3: s3(sources)?,
            redirect: sources.flag("media_redirect")?,
            max_size: sources.required("media_max_size", some_bytes)?,
            timeout: sources.required("media_timeout", seconds)?,
            downloads: sources.required("media_downloads", whole)?,
            downloads_per_host: sources.required("media_downloads_per_host", at_least_one)?,
            attempts: sources.required("media_attempts", at_least_one)?,
            min_free: sources.required("media_min_free", bytes)?,
            quota: sources.parsed("media_quota", bytes)?,
        };
        match (&config.location, config.redirect) {
            (BlobLocation::Folder(_), true) => Err(ConfigError::new(
                sources.place("media_redirect"),
                "only a bucket can be redirected to; set media_store to s3://BUCKET/PREFIX, or remove this",
            )),
            _ => Ok(config),
        }
    }
}

/// Returns the location. A configured one is a URL, but the default is a path, which may be relative and contain
/// anything.
fn location(sources: &SettingSources) -> Result<BlobLocation, ConfigError> {
    if sources.is_default("media_store") {
        return sources.required("media_store", |path| Ok::<_, &str>(BlobLocation::Folder(path.into())));
    }
    sources.required("media_store", BlobLocation::parse)
}

fn s3(sources: &SettingSources) -> Result<S3Options, ConfigError> {
    let access_key_id = sources.parsed("s3_access_key_id", text)?;
    let secret_access_key = sources.parsed("s3_secret_access_key", text)?.map(SecretString::from);
    let keys = match (access_key_id, secret_access_key) {
        (Some(access_key_id), Some(secret_access_key)) => Some(S3Keys { access_key_id, secret_access_key }),
        (None, None) => None,
        (Some(_), None) => return Err(halved(sources, "s3_access_key_id", "s3_secret_access_key")),
        (None, Some(_)) => return Err(halved(sources, "s3_secret_access_key", "s3_access_key_id")),
    };
    Ok(S3Options {
        endpoint: sources.parsed("s3_endpoint", super::origin)?,
        region: sources.parsed("s3_region", text)?,
        path_style: sources.text("s3_path_style").map(|_| sources.flag("s3_path_style")).transpose()?,
        keys,
    })
}

fn halved(sources: &SettingSources, set: &str, missing: &str) -> ConfigError {
    ConfigError::new(sources.place(set), format!("it needs {missing} beside it"))
}

fn text(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() { Err("it is empty") } else { Ok(text.to_owned()) }
}

fn origins(text: &str) -> Result<Vec<Url>, &'static str> {
    super::elements(text).map(super::origin).collect()
}

fn whole(text: &str) -> Result<u32, &'static str> {
    text.trim().parse().map_err(|_| "expected a whole number")
}

fn at_least_one(text: &str) -> Result<u32, &'static str> {
    whole(text).and_then(|number| if number > 0 { Ok(number) } else { Err("expected a number of at least 1") })
}

fn seconds(text: &str) -> Result<Duration, &'static str> {
    at_least_one(text).map(|seconds| Duration::from_secs(seconds.into())).map_err(|_| "expected seconds, such as 600")
}

/// Parses a number of bytes, such as `104857600`, `100MiB` or `1 GiB`.
pub(super) fn bytes(text: &str) -> Result<u64, &'static str> {
    const UNITS: [(&str, u64); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];
    let problem = "expected bytes, such as 104857600, 100MiB or 1GiB";
    let text = text.trim();
    let unit = UNITS.iter().find_map(|(name, bytes)| Some((text.strip_suffix(name)?, *bytes)));
    let (number, unit) = unit.unwrap_or((text, 1));
    let number: u64 = number.trim().parse().map_err(|_| problem)?;
    number.checked_mul(unit).ok_or(problem)
}

fn some_bytes(text: &str) -> Result<u64, &'static str> {
    bytes(text).and_then(|bytes| if bytes > 0 { Ok(bytes) } else { Err("expected more than no bytes") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_as_people_write_them() {
        assert_eq!(bytes("104857600"), Ok(104_857_600));
        assert_eq!(bytes("100MiB"), Ok(104_857_600));
        assert_eq!(bytes(" 1 GiB "), Ok(1 << 30));
        assert_eq!(bytes("0"), Ok(0));
        for wrong in ["", "MiB", "1GB", "-1", "1.5GiB", "99999999999TiB"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }
}
