//! The meaning of events, stated independently: nothing here asks the program for its interpretation.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::ledger::{Fate, SentEvents};
use crate::support::database::world::World;

/// The rows that follow from an event, in the form of [`World::rows`].
#[derive(Clone, Debug, Default)]
pub struct ExpectedRows(Vec<(Table, String)>);

/// The tables that follow from the ledger, by the columns that identify a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Table {
    Messages,
    /// The contents of messages as their latest copies state them. Any of the copies that were sent may be the latest.
    Contents,
    /// The messages that the instance sent.
    Outgoing,
    /// The messages that were deleted.
    Deleted,
    /// The messages that nobody wrote.
    Notices,
    Acks,
    Reactions,
    Media,
    /// The numbers that messages state of persons whose numbers are hidden.
    Links,
}

/// Each table with the query for its rows, and whether every acknowledged row must be among them.
const TABLES: [(Table, &str, bool); 9] = [
    (Table::Messages, "SELECT instance_id, id FROM messages", true),
    (Table::Contents, "SELECT instance_id, id, coalesce(stated_chat_id, chat_id), length(body) FROM messages", false),
    (Table::Outgoing, "SELECT instance_id, id FROM messages WHERE from_me", true),
    (Table::Deleted, "SELECT instance_id, id FROM messages WHERE revoked_at IS NOT NULL", true),
    (Table::Notices, "SELECT instance_id, id FROM messages WHERE is_service AND type <> 'revoked'", true),
    (Table::Acks, "SELECT instance_id, message_id, ack FROM message_acks", true),
    (
        Table::Reactions,
        "SELECT instance_id, message_id, from_number, reaction, reacted_at FROM message_reactions",
        true,
    ),
    (Table::Media, "SELECT instance_id, message_id, source_url FROM media", true),
    (Table::Links, "SELECT instance_id, a, b FROM chat_links WHERE source = 'stated'", true),
];

impl ExpectedRows {
    pub fn row(&mut self, table: Table, row: String) {
        self.0.push((table, row));
    }
}

/// The rows of a table that must exist because their event was acknowledged, and those that may exist.
#[derive(Default)]
struct Rows {
    must: HashSet<String>,
    may: HashSet<String>,
}

/// Asserts that every table holds all that was acknowledged, once, and nothing that was not sent.
///
/// # Panics
/// If a row is missing, exists twice, or follows from nothing that was sent.
pub async fn assert_rows(world: &World, sent: &SentEvents) {
    let mut expected = HashMap::<Table, Rows>::new();
    for event in sent.values() {
        for (table, row) in &event.meaning.0 {
            let rows = expected.entry(*table).or_default();
            rows.may.insert(row.clone());
            if event.fate == Fate::Acked {
                rows.must.insert(row.clone());
            }
        }
    }
    copy_unclaimed_acks(&mut expected);
    for (table, query, complete) in TABLES {
        let rows = expected.remove(&table).unwrap_or_default();
        let found = world.rows(query).await;
        let unique: HashSet<&String> = found.iter().collect();
        assert_eq!(unique.len(), found.len(), "{table:?} has a row twice");
        let invented: BTreeSet<_> = found.iter().filter(|row| !rows.may.contains(*row)).collect();
        assert!(invented.is_empty(), "{table:?} has {} rows of nothing sent: {:?}", invented.len(), invented.first());
        let lost: BTreeSet<_> = rows.must.iter().filter(|row| complete && !unique.contains(row)).collect();
        assert!(lost.is_empty(), "{table:?} lacks {} acknowledged rows: {:?}", lost.len(), lost.first());
    }
}

/// Adds the copies of acks without an instance: such an ack also belongs to every outgoing message with its id.
fn copy_unclaimed_acks(expected: &mut HashMap<Table, Rows>) {
    let mut owners = HashMap::<String, Vec<(String, bool)>>::new();
    if let Some(outgoing) = expected.get(&Table::Outgoing) {
        for row in &outgoing.may {
            let (instance, id) = row.split_once('|').expect("an id follows");
            owners.entry(id.to_owned()).or_default().push((instance.to_owned(), outgoing.must.contains(row)));
        }
    }
    let Some(acks) = expected.get_mut(&Table::Acks) else { return };
    let unclaimed: Vec<String> = acks.may.iter().filter(|row| row.starts_with("-|")).cloned().collect();
    for row in unclaimed {
        let (id, word) = row[2..].split_once('|').expect("a word follows");
        for (instance, owner_must) in owners.get(id).into_iter().flatten() {
            let copy = format!("{instance}|{id}|{word}");
            if *owner_must && acks.must.contains(&row) {
                acks.must.insert(copy.clone());
            }
            acks.may.insert(copy);
        }
    }
}
