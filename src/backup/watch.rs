//! The state of the backups in each place that the settings name, for the page of the owner.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::{BackupError, BackupName, BackupPlace, BackupState};
use crate::blob::{BlobLocation, S3Options};
use domain::time::timestamp::Timestamp;
use platform::clock::Clock;

/// The group and the name of the file with the last check. A backup has the form of a time for its name, which this has not.
const GROUP: &str = "checks";
const FILE: &str = "last.json";
/// A place is read again after this time, because it may be a bucket and its manifests may be large.
const READ_EVERY: Duration = Duration::from_secs(60);
/// A place that does not answer in this time has a problem.
const PATIENCE: Duration = Duration::from_secs(10);

/// The result of `buzon backup verify`, which is kept beside the backups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupCheck {
    /// The name of the backup that was read.
    pub backup: String,
    /// The time of the check, in RFC 3339.
    pub at: String,
    /// The number of things that were wrong with it.
    pub problems: u64,
}

/// The latest complete backup of a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LatestBackup {
    pub name: String,
    pub begun_at: Timestamp,
    /// The bytes of the copy of the database and of all media files that belong to the backup.
    pub bytes: u64,
    /// The number of media files that it lacks, because the service did not have them.
    pub lacking: u64,
}

/// A place with backups, and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedPlace {
    pub place: String,
    pub latest: Option<LatestBackup>,
    pub check: Option<BackupCheck>,
    /// The reason why the place cannot be read, or why its newest backup is no use.
    pub problem: Option<String>,
}

/// The places that are looked at for the owner.
pub struct BackupWatch {
    places: Vec<BlobLocation>,
    s3: S3Options,
    clock: Arc<dyn Clock>,
    /// The result of the last look. Others wait for one that is under way.
    found: Mutex<Option<(Timestamp, Vec<WatchedPlace>)>>,
}

impl BackupWatch {
    pub fn new(places: Vec<BlobLocation>, s3: S3Options, clock: Arc<dyn Clock>) -> Self {
        Self { places, s3, clock, found: Mutex::default() }
    }

    /// Returns the state of each place, which is at most a minute old.
    pub async fn look(&self) -> Vec<WatchedPlace> {
        let mut found = self.found.lock().await;
        let now = self.clock.now();
        if let Some((at, places)) = found.as_ref()
            && *at > now - READ_EVERY
            && *at <= now
        {
            return places.clone();
        }
        let places = join_all(self.places.iter().map(|location| self.look_at(location))).await;
        *found = Some((now, places.clone()));
        places
    }

    async fn look_at(&self, location: &BlobLocation) -> WatchedPlace {
        // A folder is named as the commands take it.
        let place = match location {
            BlobLocation::Folder(path) => path.display().to_string(),
            bucket => bucket.to_string(),
        };
        let nothing = WatchedPlace { place, latest: None, check: None, problem: None };
        let read = async {
            let place = BackupPlace::open(location, &self.s3)?;
            let (latest, problem) = place.latest().await?;
            Ok::<_, BackupError>(WatchedPlace { latest, problem, check: place.last_check().await?, ..nothing.clone() })
        };
        let problem = match timeout(PATIENCE, read).await {
            Ok(Ok(place)) => return place,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the place does not answer".to_owned(),
        };
        WatchedPlace { problem: Some(problem), ..nothing }
    }
}

impl BackupPlace {
    /// Returns the latest complete backup, and what is wrong with a newer one that cannot be read. One without a manifest
    /// is passed over: it may be under way.
    async fn latest(&self) -> Result<(Option<LatestBackup>, Option<String>), BackupError> {
        let mut problem = None;
        for name in self.names().await?.into_iter().rev() {
            match self.state(&name).await? {
                BackupState::Complete(manifest) => {
                    let (bytes, lacking) = (manifest.copy.size + manifest.bytes(), manifest.lacking.len() as u64);
                    let latest = LatestBackup { begun_at: name.begun_at(), name: name.to_string(), bytes, lacking };
                    return Ok((Some(latest), problem));
                }
                BackupState::Unfinished => {}
                BackupState::Unreadable(reason) => problem = problem.or(Some(format!("{name}: {reason}"))),
            }
        }
        Ok((None, problem))
    }

    /// Keeps the result of a check beside the backups, in the place of that of the check before.
    ///
    /// # Errors
    /// A place that cannot be written to.
    pub async fn note_check(&self, name: &BackupName, at: Timestamp, problems: usize) -> Result<(), BackupError> {
        let check = BackupCheck { backup: name.to_string(), at: at.to_rfc3339(), problems: problems as u64 };
        let text = serde_json::to_vec(&check).map_err(std::io::Error::from)?;
        self.write_beside(GROUP, FILE, text).await
    }

    /// Returns the result of the last check; `None` if there was none, or if the file is not one of buzon.
    async fn last_check(&self) -> Result<Option<BackupCheck>, BackupError> {
        let text = self.read_whole(GROUP, FILE).await?;
        Ok(text.and_then(|text| serde_json::from_slice(&text).ok()))
    }
}
