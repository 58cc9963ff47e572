//! Every table but the ledger, worked out from the ledger again.

use std::sync::Arc;

use buzon::store::{self, Aim, Difference, Options, Store};
use serde_json::json;

use crate::support::clock::later;
use crate::support::database::world::{Backend, World, on_both, record};
use crate::support::events::{ack, event, reaction, received, sent};

const MINUTE: i64 = 60_000;

/// Records events of every kind, out of order and more than once.
async fn filled(world: &World) -> Arc<dyn Store> {
    let store = world.open().await;
    for n in 0..40_i64 {
        let person = format!("57300{}@c.us", n % 3);
        let id = format!("A{}", n % 30);
        let at = 1_724_716_800 + n * 7 % 40;
        let fields = json!({
            "chat_id": person, "from": person, "timestamp": at, "body": format!("¿El menú {n}?"),
            "media_url": if n % 4 == 0 { format!("/{n}.jpg") } else { String::new() },
        });
        let instance = ["7", "8", "-"][n as usize % 3];
        let said = if n % 2 == 0 { received(&id, fields) } else { sent(&id, fields) };
        let events = [
            event(
                if n % 5 == 0 { "-" } else { instance },
                ack(&id, ["read", "sent"][n as usize % 2]),
                later(n * MINUTE),
            ),
            event(instance, said, later(n % 7 * MINUTE)),
            event(instance, reaction(&id, &person, json!("👍"), json!(at)), later(n)),
            event(instance, json!({"event_type": "presence", "n": n}).to_string().into_bytes(), later(n)),
        ];
        record(&store, &events).await;
        record(&store, &events[..2]).await;
    }
    store
}

async fn run(world: &World, aim: Aim) -> Vec<Difference> {
    let options = Options { pending: store::Pending::Refuse, ..world.options() };
    let differences = store::rebuild(&options, aim, &|_| ()).await.expect("the ledger can be read");
    differences.into_iter().filter(|difference| !difference.is_none()).collect()
}

async fn every_row(world: &World) -> Vec<String> {
    let mut rows = world.dump().await;
    for query in
        ["SELECT * FROM media ORDER BY 1, 2, 3", "SELECT instance_id, id, event_seq FROM messages ORDER BY 1, 2"]
    {
        rows.extend(world.rows(query).await);
    }
    rows
}

#[test]
async fn what_was_recorded_is_what_the_ledger_says() {
    on_both(async |world| {
        let store = filled(&world).await;
        let before = every_row(&world).await;
        assert!(before.len() > 200);
        assert_eq!(run(&world, Aim::Check).await, [], "beside the store");
        store.close().await;
        assert_eq!(run(&world, Aim::Rebuild).await, []);
        assert_eq!(every_row(&world).await, before);
    })
    .await;
}

#[test]
async fn a_check_finds_what_is_missing_surplus_or_different_and_changes_nothing() {
    on_both(async |world| {
        filled(&world).await.close().await;
        let before = every_row(&world).await;
        let harm = [
            ("messages", "DELETE FROM messages WHERE id = 'A1'", (-1, 0, 0)),
            ("messages", "UPDATE messages SET body = NULL WHERE instance_id = '7' AND id = 'A0'", (0, 0, 1)),
            (
                "message_acks",
                "INSERT INTO message_acks SELECT '7', 'nobody', ack, ack_rank, received_at, last_received_at \
                 FROM message_acks LIMIT 1",
                (0, 1, 0),
            ),
            ("message_acks", "UPDATE message_acks SET ack_rank = 9 WHERE message_id = 'A3'", (0, 0, -1)),
            ("message_reactions", "DELETE FROM message_reactions", (-1, 0, 0)),
            ("chats", "UPDATE chats SET message_count = message_count + 1", (0, 0, -1)),
            ("responses", "UPDATE responses SET seconds = seconds + 1", (0, 0, -1)),
            ("message_search", "DELETE FROM message_search WHERE id = 'A2'", (-1, 0, 0)),
            (
                "message_search",
                "UPDATE message_search SET occurred_at = '2020-01-01T00:00:00.000Z' WHERE id = 'A2'",
                (-1, -1, 0),
            ),
            ("media", "DELETE FROM media WHERE message_id = 'A4'", (-1, 0, 0)),
        ];
        for (table, statement, expected) in harm {
            world.execute(statement).await;
            let differences = run(&world, Aim::Check).await;
            let [difference] = differences.as_slice() else { panic!("{statement}: {differences:?}") };
            let found = (difference.missing, difference.surplus, difference.different);
            // A negative number stands for "some".
            let sign = |found: i64, expected: i64| if expected < 0 { -i64::from(found > 0) } else { found };
            let signs = (sign(found.0, expected.0), sign(found.1, expected.1), sign(found.2, expected.2));
            assert_eq!((difference.table, signs), (table, expected), "{statement}: {difference:?}");
            assert!(!difference.examples.is_empty() && difference.examples.iter().all(|it| it.contains('/')));
            assert_eq!(run(&world, Aim::Check).await, differences, "a check changes nothing");
            assert_eq!(run(&world, Aim::Rebuild).await, differences);
            assert_eq!(run(&world, Aim::Check).await, []);
        }
        assert_eq!(every_row(&world).await, before);
    })
    .await;
}

/// On PostgreSQL, a key forbids this.
#[test]
async fn words_that_are_there_twice_on_sqlite_are_surplus() {
    let world = World::new(Backend::Sqlite).await;
    filled(&world).await.close().await;
    let before = every_row(&world).await;
    let twice = "INSERT INTO message_search (search_key, instance_id, id, occurred_at, words, facets)
                 SELECT search_key + 1000, instance_id, id, occurred_at, words, facets FROM message_search LIMIT 1";
    world.execute(twice).await;
    let differences = run(&world, Aim::Check).await;
    let [difference] = differences.as_slice() else { panic!("{differences:?}") };
    assert_eq!(difference.table, "message_search");
    assert_eq!((difference.missing, difference.surplus, difference.different), (0, 1, 0));
    assert_eq!(run(&world, Aim::Rebuild).await, differences);
    assert_eq!(every_row(&world).await, before);
}

#[test]
async fn from_the_ledger_alone_everything_comes_back() {
    on_both(async |world| {
        filled(&world).await.close().await;
        let before = every_row(&world).await;
        for table in ["messages", "message_acks", "message_reactions", "chats", "responses", "media"] {
            world.execute(&format!("DELETE FROM {table}")).await;
        }
        assert_eq!(run(&world, Aim::Rebuild).await.len(), 6);
        assert_eq!(every_row(&world).await, before);
        let store = world.open().await;
        record(&store, &[event("7", received("NEW", json!({"body": "¿Y el menú?"})), later(99 * MINUTE))]).await;
        store.close().await;
        assert_eq!(run(&world, Aim::Check).await, []);
    })
    .await;
}

#[test]
async fn what_has_become_of_files_stays() {
    on_both(async |world| {
        filled(&world).await.close().await;
        let stored =
            "UPDATE media SET state = 'stored', object_key = 'k', size = 3, attempts = 2 WHERE message_id = 'A4'";
        world.execute(stored).await;
        world.execute("INSERT INTO media SELECT * FROM media WHERE FALSE").await;
        assert_eq!(run(&world, Aim::Check).await, []);
        world.execute("DELETE FROM media WHERE message_id = 'A8'; DELETE FROM messages").await;
        assert_eq!(run(&world, Aim::Rebuild).await.len(), 2);
        let states =
            "SELECT DISTINCT message_id, state, attempts FROM media WHERE message_id IN ('A4', 'A8') ORDER BY 1";
        assert_eq!(world.rows(states).await, ["A4|stored|2", "A8|pending|0"]);
    })
    .await;
}

#[test]
async fn what_was_set_aside_stays_aside() {
    on_both(async |world| {
        let store = world.open().await;
        let refused = event("7", received("A", json!({})), later(0)).quarantined("refused_by_database");
        record(&store, &[refused, event("7", received("B", json!({})), later(1))]).await;
        store.close().await;
        assert_eq!(run(&world, Aim::Rebuild).await, []);
        assert_eq!(world.rows("SELECT id FROM messages").await, ["B"]);
    })
    .await;
}

#[test]
async fn a_ledger_of_large_bodies_is_read_a_few_at_a_time() {
    on_both(async |world| {
        let store = world.open().await;
        for n in 0..7_i64 {
            let fields = json!({"body": "menú ".repeat(500_000), "timestamp": 1_724_716_800 + n});
            record(&store, &[event("7", received(&format!("A{n}"), fields), later(n))]).await;
        }
        store.close().await;
        let seen = std::sync::Mutex::new(vec![]);
        let options = Options { pending: store::Pending::Refuse, ..world.options() };
        let note = |stage| seen.lock().expect("the lock is not poisoned").push(stage);
        let differences = store::rebuild(&options, Aim::Check, &note).await.expect("the ledger can be read");
        assert!(differences.iter().all(Difference::is_none), "{differences:?}");
        let seqs: Vec<_> = seen.into_inner().expect("the lock is not poisoned");
        let seqs = seqs.into_iter().filter_map(|stage| match stage {
            store::RebuildStage::Applying { seq, last: 7 } => Some(seq),
            _ => None,
        });
        assert_eq!(seqs.collect::<Vec<_>>(), [0, 2, 4, 6, 7]);
    })
    .await;
}
