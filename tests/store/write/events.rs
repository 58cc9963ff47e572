use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::clock::{ARRIVAL, later};
use crate::support::database::blocker::Blocker;
use crate::support::database::world::{Backend, World, on_both, record};
use crate::support::events::{GUIDE, ack, event, received, sent};
use crate::support::eventually;

#[test]
async fn a_repeated_delivery_is_stored_once_and_counted() {
    on_both(async |world| {
        let store = world.open().await;
        let body = received("A", json!({}));
        let first = record(&store, &[event("7", &body, ARRIVAL)]).await;
        assert!(!first[0].duplicate);
        let again = record(&store, &[event("7", &body, later(5)), event("7", &body, later(9))]).await;
        assert!(again.iter().all(|receipt| receipt.duplicate));
        let ledger = world.rows("SELECT deliveries, received_at, last_received_at FROM events").await;
        assert_eq!(ledger, ["3|2024-08-27T00:06:40.004Z|2024-08-27T00:06:40.013Z"]);
        assert_eq!(world.value("SELECT count(*) FROM messages").await, "1");
    })
    .await;
}

#[test]
async fn of_repeats_within_one_batch_the_first_is_new() {
    on_both(async |world| {
        let store = world.open().await;
        let (a, b) = (received("A", json!({})), received("B", json!({})));
        let batch =
            [event("7", &a, ARRIVAL), event("7", &b, later(1)), event("7", &a, later(2)), event("8", &a, later(3))];
        let receipts = record(&store, &batch).await;
        assert_eq!(receipts.iter().map(|it| it.duplicate).collect::<Vec<_>>(), [false, false, true, false]);
        let ledger = world.rows("SELECT instance_id, message_id, deliveries FROM events ORDER BY seq").await;
        assert_eq!(ledger, ["7|A|2", "7|B|1", "8|A|1"]);
    })
    .await;
}

#[test]
async fn the_ledger_keeps_every_body_byte_for_byte() {
    on_both(async |world| {
        let store = world.open().await;
        let bodies = [&b""[..], b"\0", b"\xFF\xFE", b"{\"event_type\":\"x\"}", &[b'x'; 300_000], GUIDE[0].1];
        let events: Vec<_> = bodies.iter().map(|body| event("7", body, ARRIVAL)).collect();
        record(&store, &events).await;
        // Alone in its batch, an empty body makes the batch's bytes empty.
        record(&store, &[event("8", b"", ARRIVAL)]).await;
        let kept = world.rows("SELECT body FROM events ORDER BY seq").await;
        let sent: Vec<_> = bodies.iter().chain([&&b""[..]]).map(hex::encode).collect();
        assert!(kept == sent, "the bodies differ");
    })
    .await;
}

#[test]
async fn the_ledger_says_what_an_event_is_about_and_what_became_of_it() {
    on_both(async |world| {
        let store = world.open().await;
        let bodies = [
            received("A", json!({"timestamp": "soon"})),
            ack("A", "read"),
            json!({"event_type": "presence_update", "id": "A"}).to_string().into_bytes(),
            b"hola".to_vec(),
            json!({"event_type": "message_sent", "instance_id": "8", "id": "B", "chat_id": "p@c.us"})
                .to_string()
                .into_bytes(),
        ];
        let events: Vec<_> = bodies.iter().map(|body| event("7", body, ARRIVAL)).collect();
        record(&store, &events).await;
        let ledger =
            world.rows("SELECT event_type, message_id, chat_id, signed, state, reason FROM events ORDER BY seq").await;
        assert_eq!(
            ledger,
            [
                "message_received|A|573001112233@c.us|1|applied|unusable:timestamp",
                "ack_update|A|NULL|1|applied|NULL",
                "presence_update|A|NULL|1|ignored|NULL",
                "NULL|NULL|NULL|1|quarantined|not_json",
                "message_sent|B|p@c.us|1|quarantined|instance_mismatch",
            ]
        );
    })
    .await;
}

#[test]
async fn an_event_of_the_largest_body_is_recorded() {
    on_both(async |world| {
        let store = world.open().await;
        let body = received("A", json!({"body": "ñ".repeat(2_000_000)}));
        record(&store, &[event("7", &body, ARRIVAL)]).await;
        assert_eq!(world.value("SELECT length(body) FROM messages").await, "2000000");
    })
    .await;
}

#[test]
async fn batches_from_many_tasks_and_stores_neither_deadlock_nor_number_twice() {
    on_both(async |world| {
        // A second server is refused on SQLite, so its tasks share one store.
        let stores = match world.backend {
            Backend::Sqlite => vec![world.open().await],
            Backend::Postgres => vec![world.open().await, world.open().await, world.open().await],
        };
        let mut tasks = JoinSet::new();
        for task in 0..6 {
            let store = stores[task % stores.len()].clone();
            tasks.spawn(async move {
                for round in 0..10 {
                    // Every task records the same messages, each in another order.
                    let ids = (0..8).map(|n| (n * 5 + task) % 8);
                    let events: Vec<_> = ids
                        .flat_map(|n| [sent(&format!("{round}-{n}"), json!({})), ack(&format!("{round}-{n}"), "read")])
                        .enumerate()
                        .map(|(n, body)| event(if n % 2 == 0 { "7" } else { "-" }, body, ARRIVAL))
                        .collect();
                    record(&store, &events).await;
                }
            });
        }
        tasks.join_all().await;
        assert_eq!(world.value("SELECT count(*) FROM messages WHERE ack = 'read'").await, "80");
        assert_eq!(world.value("SELECT count(DISTINCT seq) FROM events").await, "160");
        assert_eq!(world.value("SELECT count(*) FROM events WHERE deliveries = 6").await, "160");
    })
    .await;
}

/// A reader that follows `seq` misses nothing: whatever appears later has a higher number.
#[test(flavor = "multi_thread")]
async fn no_event_ever_appears_below_a_visible_number() {
    let world = World::new(Backend::Postgres).await;
    let stores = [world.open().await, world.open().await];
    let mut tasks = JoinSet::new();
    for task in 0..4_usize {
        let store = stores[task % 2].clone();
        tasks.spawn(async move {
            for n in 0..40 {
                record(&store, &[event("7", received(&format!("{task}-{n}"), json!({})), ARRIVAL)]).await;
            }
        });
    }
    let mut seen: Vec<String> = Vec::new();
    while !tasks.is_empty() {
        while tasks.try_join_next().is_some() {}
        let visible = world.rows("SELECT seq FROM events ORDER BY seq").await;
        assert_eq!(visible[..seen.len()], seen, "an event appeared below a visible one");
        seen = visible;
    }
    assert_eq!(world.value("SELECT count(*) FROM events").await, "160");
}

/// sqlx issues 4385 and 4393: a future that is dropped while `BEGIN` is on the wire leaves a transaction open, and a
/// later write falls into it.
#[test]
async fn a_batch_that_is_dropped_midway_swallows_no_later_one() {
    on_both(async |world| {
        let store = world.open().await;
        for polls in 0..60 {
            let dropped = [event("7", received(&format!("dropped-{polls}"), json!({})), ARRIVAL)];
            let mut batch = store.record_batch(&dropped);
            for _ in 0..polls {
                if futures_util::poll!(batch.as_mut()).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            drop(batch);
            let kept = [event("7", received(&format!("kept-{polls}"), json!({})), ARRIVAL)];
            record(&store, &kept).await;
        }
        // Another connection sees them all, so they are committed.
        assert_eq!(world.value("SELECT count(*) FROM messages WHERE id LIKE 'kept-%'").await, "60");
        store.ping().await.expect("the store answers");
    })
    .await;
}

/// A plan that was made while the tables were empty would scan them when they are full.
#[test]
async fn postgres_reads_by_index_however_large_the_tables_have_grown_on_one_connection() {
    let world = World::new(Backend::Postgres).await;
    let store = world.open().await;
    for table in ["events", "messages", "message_acks", "chats"] {
        world.execute(&format!("ALTER TABLE {table} SET (autovacuum_enabled = false)")).await;
    }
    // PostgreSQL keeps a generic plan from the sixth execution of a statement on.
    let copies = async |from: usize, to: usize| {
        for n in from..to {
            let again = event("7", sent(&n.to_string(), json!({"body": format!("again {n}")})), ARRIVAL);
            record(&store, &[again, event("-", ack(&n.to_string(), "read"), ARRIVAL)]).await;
        }
    };
    record(&store, &(0..10).map(|n| event("7", sent(&n.to_string(), json!({})), ARRIVAL)).collect::<Vec<_>>()).await;
    copies(0, 10).await;
    let all: Vec<_> = (10..3_000).map(|n| event("7", sent(&n.to_string(), json!({})), ARRIVAL)).collect();
    for batch in all.chunks(250) {
        record(&store, batch).await;
    }
    copies(10, 310).await;
    // A connection reports its reads when it ends.
    store.close().await;
    let scanned =
        "SELECT coalesce(sum(seq_tup_read), 0)::int8 FROM pg_stat_user_tables WHERE relname <> 'ledger_clock'";
    let others =
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'buzon' AND datname = current_database()";
    eventually("the connection has ended", async || world.value(others).await == "0").await;
    let scanned: u64 = world.value(scanned).await.parse().expect("it is a number");
    assert!(scanned < 300_000, "{scanned} rows were read by scanning");
}

/// An empty batch tests whether the database accepts writes.
#[test]
async fn an_empty_batch_is_a_transaction_that_changes_nothing() {
    on_both(async |world| {
        let store = world.open().await;
        record(&store, &[event("7", received("A", json!({})), ARRIVAL)]).await;
        let before = (world.dump().await, world.value("SELECT seq FROM ledger_clock").await);
        assert_eq!(store.record_batch(&[]).await.expect("it can be written"), []);
        assert_eq!((world.dump().await, world.value("SELECT seq FROM ledger_clock").await), before);
        let blocker = Blocker::new(&world, "ledger_clock").await;
        let blocked = timeout(Duration::from_millis(300), store.record_batch(&[])).await;
        assert!(!matches!(blocked, Ok(Ok(_))), "nobody can write: {blocked:?}");
        blocker.release().await;
    })
    .await;
}

/// SQLite works on its own thread, and PostgreSQL in its own process. Each must be told that its caller is gone.
#[test]
async fn a_batch_whose_caller_is_gone_blocks_nobody() {
    on_both(async |world| {
        let store = world.open().await;
        let endless = match world.backend {
            Backend::Sqlite => {
                "CREATE VIEW numbers AS
                 WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n;
                 CREATE TRIGGER endless BEFORE INSERT ON events WHEN NEW.message_id = 'endless'
                 BEGIN SELECT count(*) FROM numbers; END"
            }
            Backend::Postgres => {
                "CREATE FUNCTION endless() RETURNS trigger LANGUAGE plpgsql AS $$
                 BEGIN PERFORM pg_sleep(3600); RETURN NEW; END $$;
                 CREATE TRIGGER endless BEFORE INSERT ON events FOR EACH ROW WHEN (NEW.message_id = 'endless')
                 EXECUTE FUNCTION endless()"
            }
        };
        world.execute(endless).await;
        let endless = event("7", received("endless", json!({})), ARRIVAL);
        assert!(timeout(Duration::from_millis(100), store.record_batch(&[endless])).await.is_err());
        let other = [event("7", received("A", json!({})), ARRIVAL)];
        eventually("the lock is free", async || store.record_batch(&other).await.is_ok()).await;
        assert_eq!(world.rows("SELECT message_id FROM events").await, ["A"]);
    })
    .await;
}
