//! Checks that a file can be written to the media store, read back and removed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rustix::process::geteuid;
use tokio::time::timeout;

use super::Finding;
use crate::blob::{BlobError, BlobLocation, Blobs};
use crate::config::Config;
use platform::random;

const MEDIA: &str = "media";
/// The time limit for all three steps.
const WAIT: Duration = Duration::from_secs(30);

pub(super) async fn check(config: &Config, database: Option<&str>) -> Finding {
    let location = &config.media.location;
    if let BlobLocation::Folder(folder) = location {
        if !folder.exists() {
            return Finding::ok(MEDIA, format!("the start makes {}", folder.display()));
        }
        if let Some(owner) = other_owner(folder) {
            return Finding::warning(
                MEDIA,
                format!("{} is user {owner}'s, so writing to it was not tried", folder.display()),
                format!("run doctor as the user that buzon runs as: sudo -u '#{owner}' buzon doctor"),
            );
        }
    }
    let probed = timeout(WAIT, probe(config, database)).await;
    let probed =
        probed.unwrap_or_else(|_| Err(BlobError::Unavailable(format!("no answer within {} s", WAIT.as_secs()))));
    match probed {
        Ok(FileOwner::Ours) => Finding::ok(MEDIA, format!("{location}: a file was written, read back and removed")),
        Ok(FileOwner::Anothers) => Finding::failure(
            MEDIA,
            format!("{location} holds the files of another database"),
            "give every database a media_store of its own; if the database was moved here from a copy, see docs/media.md",
        ),
        Err(error) => Finding::failure(MEDIA, format!("{location}: {error}"), remedy(location)),
    }
}

/// Returns the owner of a folder that belongs to another user. A folder that this user would create in it could not be
/// written by its owner.
fn other_owner(folder: &Path) -> Option<u32> {
    let owner = fs::metadata(folder).ok()?.uid();
    (owner != geteuid().as_raw()).then_some(owner)
}

/// The owner of the files in the store.
enum FileOwner {
    Ours,
    Anothers,
}

async fn probe(config: &Config, database: Option<&str>) -> Result<FileOwner, BlobError> {
    let blobs = Blobs::open(&config.media.location, &config.media.s3)?;
    let random: [u8; 32] = random::bytes().map_err(|error| BlobError::Unavailable(error.to_string()))?;
    blobs.probe(&[b"buzon doctor ".as_slice(), &random].concat()).await?;
    let owner = blobs.owner().await?;
    let is_anothers = owner.zip(database).is_some_and(|(owner, ours)| owner != ours);
    Ok(if is_anothers { FileOwner::Anothers } else { FileOwner::Ours })
}

fn remedy(location: &BlobLocation) -> &'static str {
    match location {
        BlobLocation::Folder(_) => {
            "let the user that buzon runs as write there, or set media_store to another folder; until then files are lost \
             when the gateway deletes them"
        }
        BlobLocation::Bucket { .. } => {
            "are the bucket, s3_endpoint, s3_region and the keys right, and may they read, write and delete there?"
        }
    }
}
