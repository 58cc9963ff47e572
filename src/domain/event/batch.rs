//! A batch of events, folded into one row for each key before any SQL is run. The same key twice in one statement is an
//! error on PostgreSQL, and goes unnoticed on SQLite.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::{Effect, Event};
use crate::media::{MediaJob, MediaKey};
use crate::message::ack::MessageAck;
use crate::message::fold::LedgerCopy;
use crate::message::reaction::MessageReaction;
use crate::message::{MessageCopy, MessageKey};
use crate::time::timestamp::Timestamp;

/// The result of recording one event of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// True if the ledger had the same body of the same instance before.
    pub duplicate: bool,
    /// True if the store quarantined the event because of what the ledger had before.
    pub quarantined: bool,
}

/// A row of `events` to write: the earliest of the exact repeats of an event within the batch.
#[derive(Clone, Debug)]
pub struct LedgerRow<'e> {
    pub event: &'e Event,
    /// The number that the row gets if it turns out to be new.
    pub seq: i64,
    /// 1 plus the number of repeats within the batch.
    pub deliveries: i64,
    pub last_received_at: Timestamp,
}

/// The rows of a batch in the order of their keys, numbered in the order of arrival.
#[derive(Debug)]
pub struct LedgerRows<'e> {
    rows: BTreeMap<(&'e str, &'e [u8; 32]), LedgerRow<'e>>,
    events: &'e [Event],
}

impl<'e> LedgerRows<'e> {
    /// Numbers the events, the last of them with `last_seq`. The caller has reserved `events.len()` numbers up to it.
    pub fn fold(events: &'e [Event], last_seq: i64) -> Self {
        let mut rows = BTreeMap::<_, LedgerRow<'e>>::new();
        for (event, seq) in events.iter().rev().zip((0..=last_seq).rev()) {
            let row = LedgerRow { event, seq, deliveries: 1, last_received_at: event.received_at };
            rows.entry(key(event)).and_modify(|later| later.merge_earlier(&row)).or_insert(row);
        }
        Self { rows, events }
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = &LedgerRow<'e>> {
        self.rows.values()
    }

    /// Returns the rows that are new. `new` has their numbers, and may also have those of older events.
    pub fn new_rows(&self, new: &HashSet<i64>) -> Vec<&LedgerRow<'e>> {
        self.iter().filter(|row| new.contains(&row.seq)).collect()
    }

    /// Returns the media jobs of the repeated rows, which ask for their files again.
    pub fn media_of_repeats(&self, new: &HashSet<i64>) -> Vec<MediaJob> {
        let repeated = self.iter().filter(|row| row.deliveries > 1 || !new.contains(&row.seq));
        let jobs = repeated.filter_map(|row| match &row.event.interpretation.effect {
            Effect::Message(copy) => copy.media_job(&row.event.instance_id, row.last_received_at),
            _ => None,
        });
        fold_media(jobs.collect())
    }

    /// Returns a receipt for each event, in the order in which the events were given. `new` and `quarantined` have the
    /// numbers of the rows that are new, and of those among them that were quarantined.
    pub fn receipts(&self, new: &HashSet<i64>, quarantined: &HashSet<i64>) -> Vec<Receipt> {
        let mut unseen = new.clone();
        let receipt = |event| {
            let seq = self.rows[&key(event)].seq;
            Receipt { duplicate: !unseen.remove(&seq), quarantined: quarantined.contains(&seq) }
        };
        self.events.iter().map(receipt).collect()
    }
}

fn key(event: &Event) -> (&str, &[u8; 32]) {
    (event.instance_id.as_str(), &event.body_sha256)
}

impl<'e> LedgerRow<'e> {
    /// Returns the row of an event that is in the ledger already.
    pub fn of_ledger(event: &'e Event, seq: i64) -> Self {
        Self { event, seq, deliveries: 1, last_received_at: event.received_at }
    }

    /// Merges a repeat that came before this row in the batch.
    fn merge_earlier(&mut self, earlier: &Self) {
        if earlier.event.received_at <= self.event.received_at {
            self.event = earlier.event;
        }
        self.seq = earlier.seq;
        self.deliveries += earlier.deliveries;
        self.last_received_at = self.last_received_at.max(earlier.last_received_at);
    }

    fn ledger_copy(&self, copy: &Arc<MessageCopy>) -> LedgerCopy {
        LedgerCopy {
            instance_id: self.event.instance_id.clone(),
            copy: copy.clone(),
            received_at: self.event.received_at,
            seq: self.seq,
        }
    }
}

/// Returns the copies of messages among new rows of the ledger, sorted by message.
pub fn message_copies(rows: &[&LedgerRow<'_>]) -> BTreeMap<MessageKey, Vec<LedgerCopy>> {
    let mut copies = BTreeMap::<MessageKey, Vec<LedgerCopy>>::new();
    for row in rows {
        if let Effect::Message(copy) = &row.event.interpretation.effect {
            let copy = row.ledger_copy(copy);
            copies.entry(copy.key()).or_default().push(copy);
        }
    }
    copies
}

/// The rows that new events write to tables other than `messages`: one for each key, sorted by key.
#[derive(Debug, Default)]
pub struct TableChanges {
    /// The acks that copies of messages state, and those of `ack_update` events.
    pub acks: Vec<MessageAck>,
    /// The reactions that copies of messages are, and those of `message_reaction` events.
    pub reactions: Vec<MessageReaction>,
    pub media: Vec<MediaJob>,
}

impl TableChanges {
    pub fn of<'r>(rows: impl Iterator<Item = &'r LedgerRow<'r>>) -> Self {
        let mut changes = Self::default();
        rows.for_each(|row| changes.add(row));
        Self {
            acks: fold_acks(changes.acks),
            reactions: fold_reactions(changes.reactions),
            media: fold_media(changes.media),
        }
    }

    fn add(&mut self, row: &LedgerRow<'_>) {
        match &row.event.interpretation.effect {
            Effect::Nothing => {}
            Effect::Message(copy) => {
                let (instance_id, at) = (&row.event.instance_id, row.event.received_at);
                self.acks.extend(copy.stated_ack(instance_id, at));
                self.reactions.extend(copy.stated_reaction(instance_id, at));
                self.media.extend(copy.media_job(instance_id, at));
            }
            Effect::Ack(ack) => self.acks.push(ack.clone()),
            Effect::Reaction(reaction) => self.reactions.push(reaction.clone()),
        }
    }
}

/// Returns one row for each key, with the first and the last arrival.
pub fn fold_acks(acks: Vec<MessageAck>) -> Vec<MessageAck> {
    folded(acks, |a, b| a.key().cmp(&b.key()), MessageAck::merge)
}

fn fold_reactions(reactions: Vec<MessageReaction>) -> Vec<MessageReaction> {
    folded(reactions, |a, b| a.key().cmp(&b.key()), MessageReaction::merge)
}

/// Returns one row for each key, with the earliest value of each of its two times. These may come from two copies.
fn fold_media(jobs: Vec<MediaJob>) -> Vec<MediaJob> {
    let mut folded = BTreeMap::<MediaKey, MediaJob>::new();
    for job in jobs {
        let known = folded.entry(job.key.clone()).or_insert_with(|| job.clone());
        known.occurred_at = known.occurred_at.min(job.occurred_at);
        known.due_at = known.due_at.min(job.due_at);
    }
    folded.into_values().collect()
}

/// Merges the rows of each key into one. Returns them sorted by key.
fn folded<R>(mut rows: Vec<R>, by_key: impl Fn(&R, &R) -> Ordering, merge: impl Fn(&mut R, &R)) -> Vec<R> {
    rows.sort_by(&by_key);
    rows.dedup_by(|row, kept| {
        let is_same = by_key(row, kept).is_eq();
        if is_same {
            merge(kept, row);
        }
        is_same
    });
    rows
}
