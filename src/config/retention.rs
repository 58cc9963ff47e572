//! The settings of what is kept, and of the places with backups that learn of erasures.

use toml::{Table, Value};

use super::{ConfigError, SettingSources};
use crate::blob::BlobLocation;
use domain::retention::{InvalidRetention, Periods, RetentionPolicy, period};

/// Reads how long messages and files are kept.
pub(super) fn policy(sources: &SettingSources) -> Result<RetentionPolicy, ConfigError> {
    let general = Periods {
        messages: sources.parsed("retention_messages", period)?,
        media: sources.parsed("retention_media", period)?,
    };
    let own = sources.instances().iter().filter(|entry| entry.periods != Periods::default());
    let by_instance = own.map(|entry| (entry.instance.id.clone(), entry.periods)).collect();
    Ok(RetentionPolicy { general, by_instance })
}

/// Reads the periods of an instance.
pub(super) fn periods(fields: &mut Table) -> Result<Periods, String> {
    let mut read = |field: &str| match fields.remove(field) {
        None => Ok(None),
        Some(Value::String(text)) => period(&text).map(Some).map_err(|error| format!("{field}: {error}")),
        Some(_) => Err(format!("{field}: {InvalidRetention}")),
    };
    Ok(Periods { messages: read("retention_messages")?, media: read("retention_media")? })
}

/// Reads places with backups: folders, or `s3://BUCKET/PREFIX`.
pub(super) fn backup_places(text: &str) -> Result<Vec<BlobLocation>, String> {
    let places = text.split(',').map(str::trim).filter(|place| !place.is_empty());
    let place = |place: &str| match place.contains("://") {
        true => BlobLocation::parse(place).map_err(|error| error.to_string()),
        false => std::path::absolute(place).map(BlobLocation::Folder).map_err(|error| error.to_string()),
    };
    places.map(place).collect()
}
