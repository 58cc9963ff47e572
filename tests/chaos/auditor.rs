//! What must hold of the database after every fault.

use std::collections::HashSet;
use std::fmt;

use buzon::store::{self, Aim, Options, Pending};
use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};
use sqlx::{Connection, PgConnection, Row, SqliteConnection};

use super::ledger::{Fate, Sent};
use crate::support::world::{Backend, World};

/// What was found, when all was as it should be.
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

/// Messages whose ack is not the highest that is stored for them, and media jobs that nobody will ever look at again.
const WRONG: [(&str, &str); 3] = [
    (
        "messages with another ack than the highest of theirs",
        "SELECT count(*) FROM messages WHERE ack_rank <> coalesce((SELECT max(message_acks.ack_rank) FROM message_acks \
         WHERE message_acks.instance_id = messages.instance_id AND message_acks.message_id = messages.id), ack_rank)",
    ),
    (
        "files that have neither ended nor are due",
        "SELECT count(*) FROM media WHERE state NOT IN ('stored', 'expired', 'refused', 'too_large', 'failed') \
         AND (state <> 'pending' OR next_attempt_at IS NULL)",
    ),
    ("events above the ledger's clock", "SELECT count(*) FROM events WHERE seq > (SELECT seq FROM ledger_clock)"),
];

/// Holds acknowledged ⊆ stored ⊆ sent, and everything that follows.
///
/// # Panics
/// If anything does not hold.
pub async fn audit(world: &World, sent: &Sent) -> Audit {
    let stored = stored(world).await;
    let acked: Vec<_> = sent.iter().filter(|(_, fate)| **fate == Fate::Acked).map(|(body, _)| body).collect();
    let lost: Vec<String> = acked.iter().filter(|body| !stored.contains(**body)).map(hex::encode).collect();
    assert!(lost.is_empty(), "LOST: {} of {} acknowledged events: {:.10?}", lost.len(), acked.len(), lost.first());
    let invented = stored.iter().filter(|body| !sent.contains_key(*body)).count();
    assert_eq!(invented, 0, "events that nobody sent");
    for (what, query) in WRONG {
        assert_eq!(world.value(query).await, "0", "{what}");
    }
    whole(world).await;
    let options = Options { pending: Pending::Refuse, ..world.options() };
    let differences = store::rebuild(&options, Aim::Check, &|_| ()).await.expect("the ledger can be read");
    for difference in differences {
        assert!(difference.is_none(), "the tables are not what the ledger says: {difference:?}");
    }
    let failed = sent.values().filter(|fate| **fate == Fate::Failed).count();
    Audit { sent: sent.len(), acked: acked.len(), failed, stored: stored.len() }
}

/// The bodies in the ledger, each held against its hash.
async fn stored(world: &World) -> HashSet<[u8; 32]> {
    const EVENTS: &str = "SELECT body, body_sha256 FROM events";
    let mut stored = HashSet::new();
    let mut keep = |body: Vec<u8>, noted: Vec<u8>| {
        let hash: [u8; 32] = Sha256::digest(&body).into();
        assert_eq!(hash.as_slice(), noted, "a body is not the one that came");
        stored.insert(hash);
    };
    match world.backend {
        Backend::Sqlite => {
            let mut connection = SqliteConnection::connect(&world.url).await.expect("SQLite opens");
            let mut rows = sqlx::query(EVENTS).fetch(&mut connection);
            while let Some(row) = rows.try_next().await.expect("the ledger can be read") {
                keep(row.get(0), row.get(1));
            }
        }
        Backend::Postgres => {
            let mut connection = PgConnection::connect(&world.url).await.expect("PostgreSQL answers");
            let mut rows = sqlx::query(EVENTS).fetch(&mut connection);
            while let Some(row) = rows.try_next().await.expect("the ledger can be read") {
                keep(row.get(0), row.get(1));
            }
        }
    }
    stored
}

/// The database's own opinion of itself.
async fn whole(world: &World) {
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
