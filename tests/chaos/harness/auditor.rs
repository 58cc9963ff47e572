//! The conditions that the database must meet after every fault.

use std::collections::HashMap;
use std::fmt;

use buzon::store::{self, Aim, Options, Pending};
use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};
use sqlx::{Connection, PgConnection, Row, SqliteConnection};

use super::expected_rows;
use super::ledger::{Fate, SentEvents};
use crate::support::database::world::{Backend, World};

/// The numbers of an audit that found nothing wrong.
#[derive(Debug)]
pub struct Audit {
    sent: usize,
    acked: usize,
    failed: usize,
    stored: usize,
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, acked, failed, stored } = self;
        write!(f, "{sent} bodies sent, {acked} acknowledged, {failed} refused, {stored} stored, 0 lost")
    }
}

/// Returns an SQL expression for an ack's rank in the guide's order, in which `sent` and `failed` are equal. It is
/// deliberately not taken from the program.
fn rank(ack: &str) -> String {
    let places = [("pending", 1), ("sent", 2), ("failed", 2), ("delivered", 3), ("read", 4), ("played", 5)];
    let places = places.map(|(word, place)| format!(" WHEN '{word}' THEN {place}")).concat();
    format!("CASE {ack}{places} ELSE 0 END")
}

/// Returns queries that count rows that must not exist.
fn forbidden_rows() -> [(&'static str, String); 7] {
    let stated = "instance_id = messages.instance_id AND message_acks.message_id = messages.id";
    let (own, highest) = (rank("messages.ack"), rank("message_acks.ack"));
    [
        (
            "messages with another ack than the highest of theirs",
            format!(
                "SELECT count(*) FROM messages WHERE {own} <> \
                 coalesce((SELECT max({highest}) FROM message_acks WHERE message_acks.{stated}), 1)"
            ),
        ),
        (
            "sent or failed messages of which the other was stated later",
            format!(
                "SELECT count(*) FROM messages WHERE ack IN ('sent', 'failed') AND ack <> \
                 (SELECT ack FROM message_acks WHERE message_acks.{stated} AND ack IN ('sent', 'failed') \
                 ORDER BY last_received_at DESC, ack LIMIT 1)"
            ),
        ),
        (
            "chats that count other messages than theirs",
            "SELECT count(*) FROM chats WHERE (message_count, service_count) <> (SELECT \
             count(*) FILTER (WHERE NOT is_service), count(*) FILTER (WHERE is_service) FROM messages \
             WHERE messages.instance_id = chats.instance_id AND messages.chat_id = chats.chat_id)"
                .to_owned(),
        ),
        (
            "messages outside the conversation of their person that are not on their way",
            "SELECT count(*) FROM messages LEFT JOIN chat_aliases AS known ON known.instance_id = messages.instance_id \
             AND known.alias = coalesce(messages.stated_chat_id, messages.chat_id) \
             WHERE messages.chat_id <> coalesce(known.chat_id, messages.stated_chat_id, messages.chat_id) AND NOT EXISTS \
             (SELECT 1 FROM chat_moves WHERE chat_moves.instance_id = messages.instance_id AND chat_moves.alias = known.alias)"
                .to_owned(),
        ),
        (
            "answers to a last question that is earlier than the first or later than the answer",
            "SELECT count(*) FROM responses WHERE last_asked_at < waiting_since OR seconds_from_last < 0".to_owned(),
        ),
        (
            "files that have neither ended nor are due",
            "SELECT count(*) FROM media WHERE state NOT IN ('stored', 'expired', 'refused', 'too_large', 'failed') \
             AND (state <> 'pending' OR next_attempt_at IS NULL)"
                .to_owned(),
        ),
        (
            "events above the ledger's clock",
            "SELECT count(*) FROM events WHERE seq > (SELECT seq FROM ledger_clock)".to_owned(),
        ),
    ]
}

/// Asserts acknowledged ⊆ stored ⊆ sent, and everything that follows from it.
///
/// # Panics
/// If anything does not hold.
pub async fn audit(world: &World, sent: &SentEvents) -> Audit {
    let stored = stored(world).await;
    let acked: Vec<_> = sent.iter().filter(|(_, event)| event.fate == Fate::Acked).map(|(body, _)| body).collect();
    let lost: Vec<String> = acked.iter().filter(|body| !stored.contains_key(**body)).map(hex::encode).collect();
    assert!(lost.is_empty(), "LOST: {} of {} acknowledged events: {:.10?}", lost.len(), acked.len(), lost.first());
    for (body, instance) in &stored {
        let event = sent.get(body).expect("nothing is stored that nobody sent");
        assert_eq!(instance, event.instance, "an event has another instance");
    }
    expected_rows::assert_rows(world, sent).await;
    for (what, query) in forbidden_rows() {
        assert_eq!(world.value(&query).await, "0", "{what}");
    }
    assert_consistent(world).await;
    let failed = sent.values().filter(|event| event.fate == Fate::Failed).count();
    Audit { sent: sent.len(), acked: acked.len(), failed, stored: stored.len() }
}

/// Asserts that the database passes its own check, and that every table is what the ledger says.
///
/// # Panics
/// If anything does not hold.
pub async fn assert_consistent(world: &World) {
    assert_sound(world).await;
    let options = Options { pending: Pending::Refuse, ..world.options() };
    let differences = store::rebuild(&options, Aim::Check, &|_| ()).await.expect("the ledger can be read");
    for difference in differences {
        assert!(difference.is_none(), "the tables are not what the ledger says: {difference:?}");
    }
}

/// Returns the instance of every body in the ledger by the body's hash, which must be the hash that the ledger states.
async fn stored(world: &World) -> HashMap<[u8; 32], String> {
    const EVENTS: &str = "SELECT body, body_sha256, instance_id FROM events";
    let mut stored = HashMap::new();
    let mut keep = |body: Vec<u8>, noted: Vec<u8>, instance: String| {
        let hash: [u8; 32] = Sha256::digest(&body).into();
        assert_eq!(hash.as_slice(), noted, "a body is not the one that was sent");
        assert_eq!(stored.insert(hash, instance), None, "an event is there twice");
    };
    match world.backend {
        Backend::Sqlite => {
            let mut connection = SqliteConnection::connect(&world.url).await.expect("SQLite opens");
            let mut rows = sqlx::query(EVENTS).fetch(&mut connection);
            while let Some(row) = rows.try_next().await.expect("the ledger can be read") {
                keep(row.get(0), row.get(1), row.get(2));
            }
        }
        Backend::Postgres => {
            let mut connection = PgConnection::connect(&world.url).await.expect("PostgreSQL answers");
            let mut rows = sqlx::query(EVENTS).fetch(&mut connection);
            while let Some(row) = rows.try_next().await.expect("the ledger can be read") {
                keep(row.get(0), row.get(1), row.get(2));
            }
        }
    }
    stored
}

/// Runs the database's own consistency check.
async fn assert_sound(world: &World) {
    match world.backend {
        Backend::Sqlite => assert_eq!(world.rows("PRAGMA integrity_check").await, ["ok"]),
        Backend::Postgres => {
            world.execute("CREATE EXTENSION IF NOT EXISTS amcheck").await;
            let heaps = "SELECT count(*) FROM pg_class, verify_heapam(oid) \
                         WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace";
            assert_eq!(world.value(heaps).await, "0", "damaged tables");
            let indexes = "SELECT count(bt_index_check(indexrelid, TRUE)::text) FROM pg_index \
                           JOIN pg_class ON pg_class.oid = indexrelid JOIN pg_am ON pg_am.oid = relam \
                           WHERE amname = 'btree' AND relnamespace = 'public'::regnamespace";
            world.value(indexes).await;
        }
    }
}
