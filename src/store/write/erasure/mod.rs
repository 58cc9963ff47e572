//! Erasures of persons. An erasure goes through the ledger in pieces; each piece removes events and all that followed from
//! them, and leaves marks by which the same events are recognised when they come again.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use super::events::take_numbers;
use super::folding::FoldLimit;
use super::persons::names::give_names;
use super::persons::Learner;
use super::record::Rows;
use crate::StoreError;
use crate::error::{all_written, in_table};
use domain::chat::ChatKey;
use domain::erasure::EventTraces;
use domain::erasure::marks::{EventMarks, Mark, MarkKey};
use domain::event::{Event, EventState};
use domain::instance::InstanceId;
use domain::media::object_key::ObjectKey;
use domain::message::MessageKey;
use domain::time::timestamp::Timestamp;

pub(crate) mod forget;
pub(crate) mod retention;

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
    async fn advance_erasure(&self, id: i64, from: ErasureStage, to: ErasureStage, at: Timestamp)
    -> Result<bool, StoreError>;

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

/// The statements on erasures within a transaction.
#[async_trait]
pub(crate) trait ErasureRows {
    /// Returns the keys of marks, the newest first.
    async fn mark_keys(&mut self) -> Result<Vec<MarkKey>, StoreError>;

    async fn add_mark_key(&mut self, key: &MarkKey, at: Timestamp) -> Result<(), StoreError>;

    /// Returns those of these marks that were made, with the time of the erasure if they are of persons.
    async fn known_marks(&mut self, marks: &[Mark]) -> Result<Vec<(Mark, Option<Timestamp>)>, StoreError>;

    /// Writes marks. One that exists already gets the later time.
    async fn add_marks(
        &mut self,
        erasure: i64,
        marks: &[Mark],
        until: Option<Timestamp>,
    ) -> Result<(), StoreError>;

    /// Writes a new erasure up to a number of the ledger, and returns its number; `None` if there is one of this name.
    async fn add_erasure(
        &mut self,
        name: &str,
        instance_id: Option<&InstanceId>,
        at: Timestamp,
        until_seq: i64,
    ) -> Result<Option<i64>, StoreError>;

    async fn erasure_named(&mut self, name: &str) -> Result<Option<i64>, StoreError>;

    async fn add_erasure_ids(&mut self, erasure: i64, ids: &[String]) -> Result<(), StoreError>;

    /// Notes how far an erasure has come, if it had come as far as `from`. Returns whether it had.
    async fn save_erasure(&mut self, piece: &ErasurePiece) -> Result<bool, StoreError>;

    /// Adds to what an erasure has removed.
    async fn count_erased(&mut self, erasure: i64, events: i64, messages: i64, files: i64) -> Result<(), StoreError>;

    /// Returns the events with these numbers and those about these messages, unless they are gone.
    async fn going_events(&mut self, seqs: &[i64], messages: &[MessageKey]) -> Result<Vec<GoingEvent>, StoreError>;

    /// Removes the content of events, puts `rows` into the place of the SHA-256 of their bodies, and removes their failures.
    /// Returns how many events there were.
    async fn blank_events(&mut self, seqs: &[i64], rows: &[Vec<u8>], state: EventState) -> Result<u64, StoreError>;

    /// Removes messages with their acks, reactions and files, and returns the objects of the files, some of which others may
    /// refer to.
    async fn delete_messages(&mut self, messages: &[MessageKey]) -> Result<Vec<ObjectKey>, StoreError>;

    /// Notes objects that are to be removed unless others refer to them.
    async fn add_removals(&mut self, objects: &[ObjectKey]) -> Result<(), StoreError>;

    /// Returns the ids that evidence names together with these ids.
    async fn linked_ids(
        &mut self,
        instance_id: Option<&InstanceId>,
        ids: &[String],
    ) -> Result<Vec<ChatKey>, StoreError>;

    /// Removes the reactions of these persons, the evidence about them, their aliases and their names. Returns the chats that
    /// had names.
    async fn forget_persons(&mut self, instance_id: Option<&InstanceId>, ids: &[String])
    -> Result<Vec<ChatKey>, StoreError>;

    /// Returns all ids of persons that evidence, aliases or names have.
    async fn all_ids(&mut self) -> Result<Vec<ChatKey>, StoreError>;
}

/// Writes an order, with the marks of the person in all their ids. The transaction holds the ledger's clock, so that each event
/// is either in the ledger before or meets the marks.
pub(crate) async fn begin(rows: &mut impl Rows, order: &ErasureOrder) -> Result<i64, StoreError> {
    if let Some(id) = rows.erasure_named(&order.name).await? {
        return Ok(id);
    }
    let until_seq = take_numbers(rows, 1).await?;
    let key = newest_key(rows, &order.new_key, order.at).await?;
    let scope = order.instance_id.as_ref();
    let added = rows.add_erasure(&order.name, scope, order.at, until_seq).await?;
    let id = added.ok_or(StoreError::Swallowed { table: "erasures" })?;
    let ids = Vec::from_iter(order.ids.iter().cloned());
    rows.add_erasure_ids(id, &ids).await?;
    let scopes = match scope {
        None => vec![None],
        Some(instance) => vec![Some(instance.clone()), Some(InstanceId::unstated())],
    };
    let marks = ids.iter().flat_map(|id| scopes.iter().map(|scope| key.person(scope.as_ref(), id)));
    rows.add_marks(id, &Vec::from_iter(marks), Some(order.at)).await?;
    forget(rows, scope, &ids).await?;
    Ok(id)
}

/// Forgets who these persons are, and works out anew who the others are that were taken for them.
pub(crate) async fn forget(
    rows: &mut impl Rows,
    scope: Option<&InstanceId>,
    ids: &[String],
) -> Result<(), StoreError> {
    let linked = rows.linked_ids(scope, ids).await?;
    let named = rows.forget_persons(scope, ids).await?;
    give_names(rows, named.into_iter().collect()).await?;
    let mut others = BTreeMap::<InstanceId, BTreeSet<String>>::new();
    for it in linked.into_iter().filter(|it| !ids.contains(&it.chat_id)) {
        others.entry(it.instance_id).or_default().insert(it.chat_id);
    }
    let mut learner = Learner::new(FoldLimit::Bounded);
    for (instance_id, others) in others {
        learner.resolve(rows, &instance_id, others).await?;
    }
    Ok(())
}

async fn newest_key(rows: &mut impl Rows, new: &MarkKey, at: Timestamp) -> Result<MarkKey, StoreError> {
    if let Some(key) = rows.mark_keys().await?.into_iter().next() {
        return Ok(key);
    }
    rows.add_mark_key(new, at).await?;
    Ok(new.clone())
}

/// Removes a piece, within the caller's transaction.
pub(crate) async fn erase_piece(rows: &mut impl Rows, piece: &ErasurePiece) -> Result<bool, StoreError> {
    take_numbers(rows, 0).await?;
    if !rows.save_erasure(piece).await? {
        return Ok(false);
    }
    let Some(key) = rows.mark_keys().await?.into_iter().next() else { return Ok(true) };
    // An ack may have come without the instance of its message.
    let unstated = |it: &MessageKey| MessageKey { instance_id: InstanceId::unstated(), id: it.id.clone() };
    let messages: BTreeSet<MessageKey> =
        piece.messages.iter().flat_map(|message| [message.clone(), unstated(message)]).collect();
    let messages = Vec::from_iter(messages);
    let going = rows.going_events(&piece.seqs, &messages).await.map_err(in_table("events"))?;
    let mut marks: Vec<Mark> = messages.iter().flat_map(|it| [key.message(it), key.id(&it.id)]).collect();
    marks.extend(going.iter().map(|event| key.body(&event.body_sha256)));
    marks.sort();
    marks.dedup();
    rows.add_marks(piece.erasure, &marks, None).await?;
    let seqs: Vec<i64> = going.iter().map(|event| event.seq).collect();
    let places: Vec<Vec<u8>> = going.iter().map(|event| key.row(&event.body_sha256).to_vec()).collect();
    if !seqs.is_empty() {
        all_written("events", seqs.len(), rows.blank_events(&seqs, &places, EventState::Erased).await?)?;
    }
    let (removed, files) = forget::messages(rows, &messages).await?;
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    rows.count_erased(piece.erasure, count(seqs.len()), count(removed), count(files)).await?;
    Ok(true)
}

/// Returns the events of a batch with what is left of those that are erased; `None` if none is.
pub(crate) async fn without_erased(
    rows: &mut impl ErasureRows,
    events: &[Event],
) -> Result<Option<Vec<Event>>, StoreError> {
    let keys = rows.mark_keys().await?;
    if keys.is_empty() {
        return Ok(None);
    }
    let verdicts = verdicts(rows, events, &keys, false).await?;
    if verdicts.iter().all(Option::is_none) {
        return Ok(None);
    }
    let left = events.iter().zip(verdicts).map(|(event, verdict)| match verdict {
        Some(place) => event.erased(keys[place].row(&event.body_sha256)),
        None => event.clone(),
    });
    Ok(Some(left.collect()))
}

/// Returns the place of the key under which each of the events is erased.
pub(crate) async fn verdicts(
    rows: &mut impl ErasureRows,
    events: &[Event],
    keys: &[MarkKey],
    whenever: bool,
) -> Result<Vec<Option<usize>>, StoreError> {
    let marks: Vec<EventMarks> =
        events.iter().map(|event| EventMarks::of(event, &EventTraces::of(event), keys)).collect();
    let asked: BTreeSet<Mark> = marks.iter().flat_map(EventMarks::iter).collect();
    let known = rows.known_marks(&Vec::from_iter(asked)).await?.into_iter().collect();
    Ok(marks.iter().map(|marks| marks.verdict(&known, whenever)).collect())
}

/// Takes over erasures, and forgets the persons that they are of.
pub(crate) async fn import(rows: &mut impl Rows, export: &ErasureExport, at: Timestamp) -> Result<usize, StoreError> {
    let until_seq = take_numbers(rows, 1).await?;
    let known: BTreeSet<String> = rows.mark_keys().await?.into_iter().map(|key| key.id).collect();
    for key in export.keys.iter().filter(|key| !known.contains(&key.id)) {
        rows.add_mark_key(key, at).await?;
    }
    let mut imported = 0;
    for erasure in &export.erasures {
        let scope = erasure.instance_id.as_ref();
        if rows.erasure_named(&erasure.name).await?.is_some() {
            continue;
        }
        let added = rows.add_erasure(&erasure.name, scope, erasure.begun_at, until_seq).await?;
        let id = added.ok_or(StoreError::Swallowed { table: "erasures" })?;
        for until in erasure.marks.iter().map(|(_, until)| *until).collect::<BTreeSet<_>>() {
            let marks = erasure.marks.iter().filter(|(_, of)| *of == until).map(|(mark, _)| *mark);
            rows.add_marks(id, &Vec::from_iter(marks), until).await?;
        }
        imported += 1;
    }
    if imported > 0 {
        forget_marked(rows).await?;
    }
    Ok(imported)
}

/// Forgets the persons of whom there are marks.
async fn forget_marked(rows: &mut impl Rows) -> Result<(), StoreError> {
    /// The number of ids that are looked up together.
    const TOGETHER: usize = 1_000;
    let keys = rows.mark_keys().await?;
    let mut forgotten = BTreeMap::<InstanceId, Vec<String>>::new();
    for ids in rows.all_ids().await?.chunks(TOGETHER) {
        let marked = |it: &ChatKey| {
            let scopes = [None, Some(&it.instance_id)];
            Vec::from_iter(keys.iter().flat_map(move |key| scopes.map(|scope| key.person(scope, &it.chat_id))))
        };
        let asked: BTreeSet<Mark> = ids.iter().flat_map(marked).collect();
        let known: BTreeMap<Mark, Option<Timestamp>> =
            rows.known_marks(&Vec::from_iter(asked)).await?.into_iter().collect();
        for id in ids.iter().filter(|id| marked(id).iter().any(|mark| known.contains_key(mark))) {
            forgotten.entry(id.instance_id.clone()).or_default().push(id.chat_id.clone());
        }
    }
    for (instance_id, ids) in forgotten {
        forget(rows, Some(&instance_id), &ids).await?;
    }
    Ok(())
}
