//! The erasures in a place with backups, so that the restoration of an older backup does not bring back who was erased.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use sha2::{Digest, Sha256};

use super::{BackupError, BackupPlace};
use domain::erasure::marks::{Mark, MarkKey};
use domain::instance::InstanceId;
use domain::time::timestamp::Timestamp;
use store::{ErasureExport, ExportedErasure};

/// The group and the name of the file. A backup has the form of a time for its name, which this has not.
const GROUP: &str = "erasures";
const FILE: &str = "erasures.json";
const FORMAT: u32 = 1;

/// The file, with the hash of its own text, so that damage can be detected.
#[derive(Serialize, Deserialize)]
struct SealedList {
    sha256: String,
    list: Box<RawValue>,
}

#[derive(Default, Serialize, Deserialize)]
struct ErasureList {
    format: u32,
    /// The keys in hexadecimal digits, by their ids.
    keys: BTreeMap<String, String>,
    erasures: BTreeMap<String, ListedErasure>,
}

#[derive(Clone, Serialize, Deserialize)]
struct ListedErasure {
    instance_id: Option<String>,
    begun_at: String,
    /// The marks of messages and events, in hexadecimal digits.
    marks: Vec<String>,
    /// The marks of persons, with the time of the erasure.
    persons: Vec<(String, String)>,
}

impl From<&ErasureExport> for ErasureList {
    fn from(export: &ErasureExport) -> Self {
        let erasure = |it: &ExportedErasure| {
            let person =
                |(mark, until): &(Mark, Option<Timestamp>)| until.map(|until| (mark.to_hex(), until.to_rfc3339()));
            let listed = ListedErasure {
                instance_id: it.instance_id.as_ref().map(|id| id.as_str().to_owned()),
                begun_at: it.begun_at.to_rfc3339(),
                marks: it.marks.iter().filter(|(_, until)| until.is_none()).map(|(mark, _)| mark.to_hex()).collect(),
                persons: it.marks.iter().filter_map(person).collect(),
            };
            (it.name.clone(), listed)
        };
        Self {
            format: FORMAT,
            keys: export.keys.iter().map(|key| (key.id.clone(), hex::encode(&key.key))).collect(),
            erasures: export.erasures.iter().map(erasure).collect(),
        }
    }
}

impl ErasureList {
    /// Returns the erasures, or `None` if something cannot be read.
    fn export(&self) -> Option<ErasureExport> {
        let mark = |text: &String| Mark::from_slice(&hex::decode(text).ok()?);
        let keys = self.keys.iter().map(|(id, key)| Some(MarkKey { id: id.clone(), key: hex::decode(key).ok()? }));
        let erasures = self.erasures.iter().map(|(name, it)| {
            let marks = it.marks.iter().map(|text| Some((mark(text)?, None)));
            let person = |(text, until): &(String, String)| Some((mark(text)?, Some(Timestamp::from_rfc3339(until)?)));
            Some(ExportedErasure {
                name: name.clone(),
                instance_id: it.instance_id.as_deref().map(InstanceId::from_store),
                begun_at: Timestamp::from_rfc3339(&it.begun_at)?,
                marks: marks.chain(it.persons.iter().map(person)).collect::<Option<_>>()?,
            })
        });
        Some(ErasureExport { keys: keys.collect::<Option<_>>()?, erasures: erasures.collect::<Option<_>>()? })
    }
}

impl BackupPlace {
    /// Returns the erasures that the place knows of; `None` if it has no list of them.
    ///
    /// # Errors
    /// [`BackupError::Damaged`] if the list cannot be read.
    pub async fn erasures(&self) -> Result<Option<ErasureExport>, BackupError> {
        let damaged = || BackupError::Damaged("the list of erasures cannot be read".to_owned());
        let Some(list) = self.erasure_list().await? else { return Ok(None) };
        list.export().map(Some).ok_or_else(damaged)
    }

    /// Adds erasures to those that the place knows of.
    pub async fn write_erasures(&self, export: &ErasureExport) -> Result<(), BackupError> {
        let mut list = self.erasure_list().await?.unwrap_or_default();
        let ErasureList { format, keys, erasures } = ErasureList::from(export);
        list.format = format;
        list.keys.extend(keys);
        list.erasures.extend(erasures);
        let list = to_raw_value(&list).map_err(std::io::Error::from)?;
        let sealed = SealedList { sha256: hex::encode(Sha256::digest(list.get())), list };
        let text = serde_json::to_vec(&sealed).map_err(std::io::Error::from)?;
        self.write_beside(GROUP, FILE, text).await
    }

    async fn erasure_list(&self) -> Result<Option<ErasureList>, BackupError> {
        let Some(text) = self.read_whole(GROUP, FILE).await? else { return Ok(None) };
        let damaged = || BackupError::Damaged("the list of erasures is damaged".to_owned());
        let sealed: SealedList = serde_json::from_slice(&text).map_err(|_| damaged())?;
        if hex::encode(Sha256::digest(sealed.list.get())) != sealed.sha256 {
            return Err(damaged());
        }
        let list: ErasureList = serde_json::from_str(sealed.list.get()).map_err(|_| damaged())?;
        if list.format > FORMAT { Err(damaged()) } else { Ok(Some(list)) }
    }
}
