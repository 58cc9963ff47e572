//! The contract of erasures, and its types.

use std::collections::BTreeSet;

use async_trait::async_trait;

use crate::StoreError;
use domain::erasure::marks::{Mark, MarkKey};
use domain::event::Event;
use domain::instance::InstanceId;
use domain::media::object_key::ObjectKey;
use domain::message::MessageKey;
use domain::time::timestamp::Timestamp;

/// The contract of erasures.
#[async_trait]
pub trait ErasureStore: Send + Sync {
    /// Returns the instances in which something is known of one of these persons, with the evidence about all of them.
    async fn instances_of_persons(&self, ids: &[String]) -> Result<Vec<InstanceId>, StoreError>;

    /// Begins an erasure, and forgets who the person is: aliases, names and evidence. Returns its number; that of an erasure of
    /// the same name, if there is one.
    async fn begin_erasure(&self, order: &ErasureOrder) -> Result<i64, StoreError>;

    /// Returns the first erasure that has not ended.
    async fn unfinished_erasure(&self) -> Result<Option<UnfinishedErasure>, StoreError>;

    /// Returns events of the ledger that may be those of persons, at most `limit`, and the number up to which there are no
    /// others.
    async fn suspects(&self, scan: &ErasureScan) -> Result<(Vec<SuspectedEvent>, i64), StoreError>;

    /// Returns which of these events are erased, by the marks that there are, whenever they were sent.
    async fn judge(&self, events: &[Event]) -> Result<Vec<bool>, StoreError>;

    /// Removes these events, with everything about these messages, if the erasure has come as far as `from`. Returns whether
    /// it had.
    async fn erase_piece(&self, piece: &ErasurePiece) -> Result<bool, StoreError>;

    /// Brings an erasure to another stage, and returns whether it was in the one before.
    async fn advance_erasure(
        &self,
        id: i64,
        from: ErasureStage,
        to: ErasureStage,
        at: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Returns whether this database can remove what is left of removed rows beside a running service.
    fn scrubs_beside(&self) -> bool;

    /// Removes what is left of removed rows in the pages of the files, as far as this database can do that beside a running
    /// service. Returns whether nothing is left.
    async fn scrub_beside(&self) -> Result<bool, StoreError>;

    /// Writes all tables anew, so that nothing of removed rows is left in them. Nothing can be stored meanwhile.
    async fn scrub(&self) -> Result<(), StoreError>;

    /// Notes that nothing is left of removed rows.
    async fn note_scrubbed(&self, at: Timestamp) -> Result<(), StoreError>;

    async fn erasures(&self) -> Result<Vec<ErasureReport>, StoreError>;

    /// Returns objects that are to be removed.
    async fn removals(&self, limit: u32) -> Result<Vec<ObjectKey>, StoreError>;

    async fn removed(&self, key: &ObjectKey) -> Result<(), StoreError>;

    /// Returns all erasures with their marks and keys, for other copies of this database.
    async fn export_erasures(&self) -> Result<ErasureExport, StoreError>;

    /// Takes over the erasures that are not known yet, to be carried out here. Returns how many.
    async fn import_erasures(&self, export: &ErasureExport, at: Timestamp) -> Result<usize, StoreError>;
}

/// The stages of an erasure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ErasureStage {
    /// It goes through the ledger.
    Rows,
    /// The remains in the files of the database and in the media store are removed.
    Files,
    /// The places with backups are to learn of it.
    Backups,
    Ended,
}

impl ErasureStage {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Files => "files",
            Self::Backups => "backups",
            Self::Ended => "ended",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        [Self::Rows, Self::Files, Self::Backups, Self::Ended].into_iter().find(|stage| stage.as_str() == word)
    }
}

/// The order to erase a person.
#[derive(Clone, Debug)]
pub struct ErasureOrder {
    /// The name of the erasure in all copies of the database.
    pub name: String,
    /// The only instance in which the person is erased. The events without an instance go with it.
    pub instance_id: Option<InstanceId>,
    pub ids: BTreeSet<String>,
    pub at: Timestamp,
    /// The key of the marks, if there is none yet.
    pub new_key: MarkKey,
}

/// An erasure that has not ended.
#[derive(Clone, Debug)]
pub struct UnfinishedErasure {
    pub id: i64,
    pub name: String,
    pub instance_id: Option<InstanceId>,
    pub begun_at: Timestamp,
    pub stage: ErasureStage,
    pub reached_seq: i64,
    pub until_seq: i64,
    /// The ids of the person. None are known if the erasure was taken over from another copy.
    pub ids: Vec<String>,
}

/// A request for events that may be those of persons.
#[derive(Clone, Debug)]
pub struct ErasureScan {
    pub instance_id: Option<InstanceId>,
    pub after: i64,
    pub until: i64,
    /// The ids of the persons. Without any, all events are returned.
    pub ids: Vec<String>,
    pub limit: u32,
}

/// An event that may be that of a person.
#[derive(Clone, Debug)]
pub struct SuspectedEvent {
    pub seq: i64,
    pub instance_id: InstanceId,
    pub body: Vec<u8>,
    pub received_at: Timestamp,
    pub signed: bool,
}

impl SuspectedEvent {
    /// Interprets the event again.
    pub fn into_event(self) -> Event {
        Event::of_ledger(self.instance_id, self.body, self.received_at, self.signed)
    }
}

/// A piece of the ledger, and what goes of it.
#[derive(Clone, Debug)]
pub struct ErasurePiece {
    pub erasure: i64,
    pub from: i64,
    pub to: i64,
    pub seqs: Vec<i64>,
    pub messages: Vec<MessageKey>,
}

/// An erasure as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErasureReport {
    pub id: i64,
    pub name: String,
    pub instance_id: Option<InstanceId>,
    pub stage: ErasureStage,
    pub begun_at: Timestamp,
    pub events: i64,
    pub messages: i64,
    pub files: i64,
    /// The forwards that there were, which have received the person's events.
    pub forwards: String,
    pub removed_at: Option<Timestamp>,
    pub scrubbed_at: Option<Timestamp>,
}

/// The erasures of a database.
#[derive(Clone, Debug, Default)]
pub struct ErasureExport {
    pub keys: Vec<MarkKey>,
    pub erasures: Vec<ExportedErasure>,
}

/// An erasure and its marks.
#[derive(Clone, Debug)]
pub struct ExportedErasure {
    pub name: String,
    pub instance_id: Option<InstanceId>,
    pub begun_at: Timestamp,
    pub marks: Vec<(Mark, Option<Timestamp>)>,
}

/// An event of the ledger that goes.
pub(crate) struct GoingEvent {
    pub(crate) seq: i64,
    pub(crate) body_sha256: Vec<u8>,
}

/// The columns of `erasures`.
pub(crate) struct ErasureColumns {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) instance_id: Option<InstanceId>,
    pub(crate) begun_at: Timestamp,
    pub(crate) stage: String,
    pub(crate) reached_seq: i64,
    pub(crate) until_seq: i64,
    pub(crate) events: i64,
    pub(crate) messages: i64,
    pub(crate) files: i64,
    pub(crate) forwards: String,
    pub(crate) removed_at: Option<Timestamp>,
    pub(crate) scrubbed_at: Option<Timestamp>,
}

impl ErasureColumns {
    fn stage(&self) -> Result<ErasureStage, StoreError> {
        ErasureStage::parse(&self.stage).ok_or_else(|| StoreError::unreadable("erasures", "stage"))
    }

    pub(crate) fn unfinished(self, ids: Vec<String>) -> Result<UnfinishedErasure, StoreError> {
        Ok(UnfinishedErasure {
            stage: self.stage()?,
            id: self.id,
            name: self.name,
            instance_id: self.instance_id,
            begun_at: self.begun_at,
            reached_seq: self.reached_seq,
            until_seq: self.until_seq,
            ids,
        })
    }
}

impl TryFrom<ErasureColumns> for ErasureReport {
    type Error = StoreError;

    fn try_from(row: ErasureColumns) -> Result<Self, StoreError> {
        Ok(Self {
            stage: row.stage()?,
            id: row.id,
            name: row.name,
            instance_id: row.instance_id,
            begun_at: row.begun_at,
            events: row.events,
            messages: row.messages,
            files: row.files,
            forwards: row.forwards,
            removed_at: row.removed_at,
            scrubbed_at: row.scrubbed_at,
        })
    }
}
