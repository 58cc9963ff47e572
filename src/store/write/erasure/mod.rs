//! Erasures of persons. An erasure goes through the ledger in pieces; each piece removes events and all that followed from
//! them, and leaves marks by which the same events are recognised when they come again.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use contract::{ErasureExport, ErasureOrder, ErasurePiece, GoingEvent};

use super::events::take_numbers;
use super::folding::FoldLimit;
use super::persons::Learner;
use super::persons::names::give_names;
use super::record::Rows;
use crate::StoreError;
use crate::error::{all_written, in_table};
use domain::chat::ChatKey;
use domain::erasure::EventTraces;
use domain::erasure::marks::{ErasureVerdict, EventMarks, Mark, MarkKey};
use domain::event::{Event, EventState};
use domain::instance::InstanceId;
use domain::media::object_key::ObjectKey;
use domain::message::MessageKey;
use domain::time::timestamp::Timestamp;

pub(crate) mod contract;
pub(crate) mod forget;
pub(crate) mod retention;

/// The statements on erasures within a transaction.
#[async_trait]
pub(crate) trait ErasureRows {
    /// Returns the keys of marks, the newest first.
    async fn mark_keys(&mut self) -> Result<Vec<MarkKey>, StoreError>;

    async fn add_mark_key(&mut self, key: &MarkKey, at: Timestamp) -> Result<(), StoreError>;

    /// Returns those of these marks that were made, with the time of the erasure if they are of persons.
    async fn known_marks(&mut self, marks: &[Mark]) -> Result<Vec<(Mark, Option<Timestamp>)>, StoreError>;

    /// Writes marks. One that exists already gets the later time.
    async fn add_marks(&mut self, erasure: i64, marks: &[Mark], until: Option<Timestamp>) -> Result<(), StoreError>;

    /// Writes a new erasure up to a number of the ledger, and returns its number; `None` if there is one of this name.
    async fn add_erasure(
        &mut self,
        name: &str,
        instance_id: Option<&InstanceId>,
        at: Timestamp,
        until_seq: i64,
    ) -> Result<Option<i64>, StoreError>;

    async fn erasure_named(&mut self, name: &str) -> Result<Option<i64>, StoreError>;

    /// Returns the number of the latest erasure.
    async fn latest_erasure(&mut self) -> Result<Option<i64>, StoreError>;

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
    async fn forget_persons(
        &mut self,
        instance_id: Option<&InstanceId>,
        ids: &[String],
    ) -> Result<Vec<ChatKey>, StoreError>;

    /// Returns all ids of persons that evidence, aliases or names have.
    async fn all_ids(&mut self) -> Result<Vec<ChatKey>, StoreError>;
}

/// Writes an order, with the marks of the person in all their ids. The transaction holds the ledger's clock, so that each event
/// is either in the ledger before or meets the marks.
pub(crate) async fn begin(rows: &mut dyn Rows, order: &ErasureOrder) -> Result<i64, StoreError> {
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
pub(crate) async fn forget(rows: &mut dyn Rows, scope: Option<&InstanceId>, ids: &[String]) -> Result<(), StoreError> {
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

async fn newest_key(rows: &mut dyn Rows, new: &MarkKey, at: Timestamp) -> Result<MarkKey, StoreError> {
    if let Some(key) = rows.mark_keys().await?.into_iter().next() {
        return Ok(key);
    }
    rows.add_mark_key(new, at).await?;
    Ok(new.clone())
}

/// Removes a piece, within the caller's transaction.
pub(crate) async fn erase_piece(rows: &mut dyn Rows, piece: &ErasurePiece) -> Result<bool, StoreError> {
    take_numbers(rows, 0).await?;
    if !rows.save_erasure(piece).await? {
        return Ok(false);
    }
    remove(rows, piece).await?;
    Ok(true)
}

/// Removes the events and messages of a piece, and writes their marks.
async fn remove(rows: &mut dyn Rows, piece: &ErasurePiece) -> Result<(), StoreError> {
    let Some(key) = rows.mark_keys().await?.into_iter().next() else { return Ok(()) };
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
    rows.count_erased(piece.erasure, count(seqs.len()), count(removed), count(files)).await
}

/// A batch with what is left of the erased events.
pub(crate) struct LeftBatch {
    pub(crate) events: Vec<Event>,
    /// The messages of erased persons that were not known to be theirs.
    pub(crate) messages: Vec<MessageKey>,
}

/// Returns a batch with what is left of the erased events; `None` if none is erased.
pub(crate) async fn without_erased(rows: &mut dyn Rows, events: &[Event]) -> Result<Option<LeftBatch>, StoreError> {
    let keys = rows.mark_keys().await?;
    if keys.is_empty() {
        return Ok(None);
    }
    let verdicts = verdicts(rows, events, &keys, false).await?;
    if verdicts.iter().all(Option::is_none) {
        return Ok(None);
    }
    let mut messages = BTreeSet::new();
    let left = events.iter().zip(verdicts).map(|(event, verdict)| match verdict {
        Some(ErasureVerdict { key, is_new }) => {
            messages.extend(EventTraces::of(event).message(event).filter(|_| is_new));
            event.erased(keys[key].row(&event.body_sha256))
        }
        None => event.clone(),
    });
    let events = left.collect();
    Ok(Some(LeftBatch { events, messages: messages.into_iter().collect() }))
}

/// Erases what had come of messages before it was known whose they are.
pub(crate) async fn erase_messages(rows: &mut dyn Rows, messages: &[MessageKey]) -> Result<(), StoreError> {
    if messages.is_empty() {
        return Ok(());
    }
    let Some(erasure) = rows.latest_erasure().await? else { return Ok(()) };
    let piece = ErasurePiece { erasure, from: 0, to: 0, seqs: vec![], messages: messages.to_vec() };
    remove(rows, &piece).await
}

/// Returns which of the events are erased, and under which keys.
pub(crate) async fn verdicts(
    rows: &mut dyn Rows,
    events: &[Event],
    keys: &[MarkKey],
    whenever: bool,
) -> Result<Vec<Option<ErasureVerdict>>, StoreError> {
    let marks: Vec<EventMarks> =
        events.iter().map(|event| EventMarks::of(event, &EventTraces::of(event), keys)).collect();
    let asked: BTreeSet<Mark> = marks.iter().flat_map(EventMarks::iter).collect();
    let known = rows.known_marks(&Vec::from_iter(asked)).await?.into_iter().collect();
    Ok(marks.iter().map(|marks| marks.verdict(&known, whenever)).collect())
}

/// Takes over erasures, and forgets the persons that they are of.
pub(crate) async fn import(rows: &mut dyn Rows, export: &ErasureExport, at: Timestamp) -> Result<usize, StoreError> {
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
async fn forget_marked(rows: &mut dyn Rows) -> Result<(), StoreError> {
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
