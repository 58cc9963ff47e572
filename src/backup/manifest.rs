//! The manifest, which describes a backup.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use sha2::{Digest, Sha256};

use domain::media::object_key::ObjectKey;
use domain::time::timestamp::Timestamp;
use store::{Contents, DatabaseKind, StoredObject};

/// The format of manifests that this version writes and reads.
const FORMAT: u32 = 1;

/// The positions in a name where the time has colons, which not every file system allows.
const COLONS: [usize; 2] = [13, 16];

/// The name of a backup, which is the time at which it began in UTC. Later names sort after earlier ones.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BackupName(String);

impl BackupName {
    pub(super) fn at(time: Timestamp) -> Self {
        Self(time.to_rfc3339().replace(':', "-"))
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::time(text).map(|_| Self(text.to_owned()))
    }

    /// Returns the first name after this one.
    pub(super) fn next(&self) -> Option<Self> {
        Self::time(&self.0).map(|time| Self::at(time.next()))
    }

    fn time(text: &str) -> Option<Timestamp> {
        let colon = |(index, c)| if COLONS.contains(&index) && c == '-' { ':' } else { c };
        let time = Timestamp::from_rfc3339(&text.char_indices().map(colon).collect::<String>())?;
        (Self::at(time).0 == text).then_some(time)
    }

    /// Returns the time at which the backup began.
    pub fn begun_at(&self) -> Timestamp {
        Self::time(&self.0).expect("a name is a time")
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BackupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The contents of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    /// The version of buzon that made the backup.
    pub buzon: String,
    pub database: Contents,
    /// The copy of the database.
    pub copy: CopyFile,
    /// The files that are in `media`.
    pub objects: Vec<StoredObject>,
    /// The files that are stored according to the database, but that the media store did not have.
    pub lacking: Vec<FlawedFile>,
}

/// The file with the copy of the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyFile {
    /// The size in bytes.
    pub size: u64,
    /// The hash of the content, in hexadecimal digits.
    pub sha256: ObjectKey,
}

/// A media file that a backup should have, but that is missing or damaged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlawedFile {
    pub key: ObjectKey,
    /// The size in bytes.
    pub size: u64,
    pub flaw: FileFlaw,
}

/// A flaw of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileFlaw {
    Missing,
    /// The size is not the one that the database states.
    Size,
    /// The content does not have the hash that is its name.
    Content,
}

impl fmt::Display for FileFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "is not there",
            Self::Size => "has another size",
            Self::Content => "has another content",
        })
    }
}

/// The manifest as it is written, with the hash of its own text, so that damage can be detected.
#[derive(Serialize, Deserialize)]
struct SealedManifest {
    sha256: String,
    manifest: Box<RawValue>,
}

impl Manifest {
    pub(super) fn new(
        database: Contents,
        copy: CopyFile,
        objects: Vec<StoredObject>,
        lacking: Vec<FlawedFile>,
    ) -> Self {
        Self { format: FORMAT, buzon: env!("CARGO_PKG_VERSION").to_owned(), database, copy, objects, lacking }
    }

    /// Returns the name of the file with the copy of the database.
    pub fn copy_name(&self) -> &'static str {
        copy_name(self.database.kind)
    }

    /// Returns the bytes of all files in `media`.
    pub fn bytes(&self) -> u64 {
        self.objects.iter().map(|object| object.size).sum()
    }

    pub(super) fn sealed(&self) -> serde_json::Result<Vec<u8>> {
        let manifest = to_raw_value(self)?;
        serde_json::to_vec(&SealedManifest { sha256: digest(&manifest), manifest })
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// A text about why the manifest cannot be read.
    pub(super) fn unsealed(text: &[u8]) -> Result<Self, String> {
        let sealed: SealedManifest = serde_json::from_slice(text).map_err(|_| "the manifest is damaged".to_owned())?;
        if digest(&sealed.manifest) != sealed.sha256 {
            return Err("the manifest is damaged".to_owned());
        }
        let manifest: Self = serde_json::from_str(sealed.manifest.get())
            .map_err(|error| format!("this version of buzon cannot read the manifest: {error}"))?;
        match manifest.format {
            FORMAT => Ok(manifest),
            other => Err(format!(
                "the manifest has format {other}, and this version of buzon reads format {FORMAT}; use a newer one"
            )),
        }
    }
}

pub(super) fn copy_name(kind: DatabaseKind) -> &'static str {
    match kind {
        DatabaseKind::Sqlite => "database.sqlite",
        DatabaseKind::Postgres => "database.pgdump",
    }
}

fn digest(manifest: &RawValue) -> String {
    hex::encode(Sha256::digest(manifest.get()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let contents = Contents {
            kind: DatabaseKind::Sqlite,
            database_id: "abc".to_owned(),
            schema_version: 6,
            last_seq: 12,
            postgres: None,
        };
        let key = ObjectKey::of_digest([7; 32]);
        let objects = vec![StoredObject { key: key.clone(), size: 3 }];
        let lacking = vec![FlawedFile { key: ObjectKey::of_digest([8; 32]), size: 4, flaw: FileFlaw::Missing }];
        Manifest::new(contents, CopyFile { size: 9, sha256: key }, objects, lacking)
    }

    #[test]
    fn a_manifest_reads_back_and_any_changed_byte_of_it_shows() {
        let text = manifest().sealed().unwrap();
        assert_eq!(Manifest::unsealed(&text), Ok(manifest()));
        for place in 0..text.len() {
            let mut changed = text.clone();
            changed[place] ^= 1;
            assert!(Manifest::unsealed(&changed).is_err(), "byte {place}");
        }
        assert!(Manifest::unsealed(&text[..text.len() - 1]).is_err());
    }

    #[test]
    fn names_sort_by_time_and_nothing_else_is_one() {
        let name = BackupName::at(Timestamp::from_millis(1_724_716_800_999));
        assert_eq!(name.as_str(), "2024-08-27T00-00-00.999Z");
        assert_eq!(BackupName::parse(name.as_str()), Some(name.clone()));
        assert_eq!(name.next().unwrap().as_str(), "2024-08-27T00-00-01.000Z");
        assert!(name.next() > Some(name));
        for text in ["media", "", "2024-08-27", "2024-08-27T00:00:00.999Z", "2024-08-27T00-00-00.999Z~"] {
            assert_eq!(BackupName::parse(text), None, "{text}");
        }
    }
}
