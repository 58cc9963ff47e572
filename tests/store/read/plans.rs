//! The plans by which the databases find rows. SQLite has no statistics unless somebody runs ANALYZE, and then chooses
//! by the form of a statement alone: one index too many can turn each of ten thousand look-ups into a scan of ten
//! thousand rows.

use std::path::Path;

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};

use crate::support::clock::later;
use crate::support::database::world::{Backend, World, record};
use crate::support::events::{event, received};

/// Statements that a person runs at a terminal, or that run once a minute or once a day. They may scan a whole table.
const MAY_SCAN: [&str; 7] = [
    "GROUP BY state",
    "(?1 IS NULL OR state = ?1)",
    "(state = 'stored') = ?5",
    "SELECT DISTINCT object_key",
    "state = 'expired' AND last_received_at",
    "SELECT instance_id, b FROM chat_links",
    "SELECT instance_id FROM chat_links",
];

const TABLES: [&str; 8] =
    ["events", "messages", "message_acks", "message_reactions", "chats", "media", "responses", "message_search"];

/// Returns the statements for SQLite, as the program sends them.
fn statements() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx");
    let files = std::fs::read_dir(folder).expect("the folder is there");
    let queries = files.map(|file| {
        let text = std::fs::read_to_string(file.expect("it can be read").path()).expect("it is text");
        serde_json::from_str::<Value>(&text).expect("it is JSON")
    });
    let sqlite = queries.filter(|query| query["db_name"] == "SQLite");
    sqlite.map(|query| query["query"].as_str().expect("it is text").to_owned()).collect()
}

async fn plan(connection: &mut SqliteConnection, statement: &str) -> Vec<String> {
    let explained = format!("EXPLAIN QUERY PLAN {statement}");
    let rows = sqlx::query(AssertSqlSafe(explained)).fetch_all(connection).await.expect("the statement is right");
    rows.iter().map(|row| row.get("detail")).collect()
}

#[test]
async fn no_statement_walks_over_a_whole_table_or_sorts_what_an_index_has_in_order() {
    let world = World::new(Backend::Sqlite).await;
    world.open().await.close().await;
    let mut connection = SqliteConnection::connect(&world.url).await.expect("SQLite opens");
    let statements = statements();
    assert!(statements.len() > 30, "{statements:?}");
    for table in TABLES {
        for statement in &statements {
            if MAY_SCAN.iter().any(|text| statement.contains(text)) {
                continue;
            }
            let plan = plan(&mut connection, statement).await;
            let walk = format!("SCAN {table}");
            let by_state = plan.iter().any(|step| step.contains("(state=?)"));
            let walks = plan.iter().any(|step| *step == walk || step.starts_with(&format!("{walk} ")));
            assert!(!walks && !by_state, "{statement}\n{plan:#?}");
        }
    }
    let of = async |connection: &mut SqliteConnection, text: &str| {
        let chosen: Vec<_> = statements.iter().filter(|statement| statement.contains(text)).collect();
        assert_eq!(chosen.len(), 1, "{text}");
        plan(connection, chosen[0]).await.join("\n")
    };
    for text in ["SET attempts = attempts + 1, lease_until", "next_attempt_at > ?1"] {
        let plan = of(&mut connection, text).await;
        assert!(plan.contains("USING INDEX media_due") || plan.contains("USING COVERING INDEX media_due"), "{plan}");
    }
    let around = of(&mut connection, "LEFT JOIN messages AS asked_after").await;
    assert_eq!(around.matches("USING INDEX messages_answers").count(), 3, "{around}");
    assert_eq!(around.matches("INDEX messages_chat ").count(), 4, "{around}");
    assert!(!around.contains("TEMP B-TREE"), "{around}");
    for text in ["ORDER BY instance_id, stored_at", "object_key = ?1 AND instance_id = instance.value"] {
        let plan = of(&mut connection, text).await;
        assert!(
            plan.contains("USING INDEX media_owners") || plan.contains("USING COVERING INDEX media_owners"),
            "{plan}"
        );
    }
    connection.close().await.expect("it closes");
}

/// PostgreSQL reports its look-ups when a connection ends. For an empty table it chooses any index that has the
/// columns, and keeps that plan.
#[test]
async fn postgresql_learns_that_tables_grow_that_were_empty_when_the_writer_began() {
    let world = World::new(Backend::Postgres).await;
    let store = world.open().await;
    // Autovacuum would update the statistics too, but not within a minute.
    world.execute("ALTER TABLE chats SET (autovacuum_enabled = off)").await;
    for batch in 0..64_i64 {
        let chat = |place: i64| json!({"chat_id": format!("{batch}-{place}@c.us")});
        let message =
            |place| event("7", received(&format!("{batch} {place}"), chat(place)), later(batch * 100 + place));
        record(&store, &Vec::from_iter((0..64).map(message))).await;
    }
    store.close().await;
    let look_ups = "SELECT sum(idx_scan)::int8 FROM pg_stat_user_indexes WHERE relname = 'chats'";
    let by_others = format!("{look_ups} AND indexrelname <> 'chats_pkey'");
    // Each chat is looked up once, and once more when it is inserted.
    while world.value(look_ups).await.parse::<u64>().unwrap() < 2 * 64 * 64 {
        tokio::task::yield_now().await;
    }
    let by_others: u64 = world.value(&by_others).await.parse().unwrap();
    assert!(by_others < 3_000, "{by_others} of {} look-ups were not by the key", 64 * 64);
}

#[test]
async fn postgresql_does_not_read_a_chat_whole_that_nobody_answered_for_each_of_its_messages_that_moves() {
    let world = World::new(Backend::Postgres).await;
    let store = world.open().await;
    let person = "176369157804064@lid";
    let message = |n: i64, stated: Value| {
        let mut fields = json!({"chat_id": person, "from": person, "timestamp": 1_724_716_800 + n});
        fields["sender_pn"] = stated;
        event("7", received(&n.to_string(), fields), later(n))
    };
    for batch in 0..64 {
        record(&store, &Vec::from_iter((0..64).map(|place| message(batch * 64 + place, Value::Null)))).await;
    }
    record(&store, &[message(4_096, json!("573001112233@c.us"))]).await;
    while store.move_messages(8).await.expect("messages can be moved") {}
    store.close().await;
    // A connection reports what it has read when it ends. Each message is at least looked up by its id.
    let look_ups = "SELECT sum(idx_scan)::int8 FROM pg_stat_user_indexes WHERE relname = 'messages'";
    while world.value(look_ups).await.parse::<u64>().unwrap() < 4_096 {
        tokio::task::yield_now().await;
    }
    let blocks = "SELECT idx_blks_hit + idx_blks_read FROM pg_statio_user_indexes WHERE indexrelname = 'messages_chat'";
    let blocks: u64 = world.value(blocks).await.parse().unwrap();
    assert!(blocks < 20 * 4_096, "{blocks} blocks of the index were read for 4096 messages");
}

#[test]
async fn statistics_read_ranges_of_time() {
    let world = World::new(Backend::Sqlite).await;
    world.open().await.close().await;
    let mut connection = SqliteConnection::connect(&world.url).await.expect("SQLite opens");
    let statements: Vec<String> = statements().into_iter().filter(|text| text.contains("FROM slice")).collect();
    assert_eq!(statements.len(), 4, "{statements:?}");
    for statement in statements {
        let plan = plan(&mut connection, &statement).await;
        let ranges: Vec<_> = plan.iter().filter(|step| step.starts_with("SEARCH ")).collect();
        let indexes = [
            "COVERING INDEX messages_occurred",
            "COVERING INDEX responses_waiting",
            "COVERING INDEX responses_asked_last",
            "COVERING INDEX messages_delivery",
        ];
        let ranged = |step: &str| step.contains(">? AND ") && step.ends_with("<?)");
        let right = |step: &&String| indexes.iter().any(|index| step.contains(index)) && ranged(step);
        assert!(!ranges.is_empty() && ranges.iter().all(right), "{statement}\n{plan:#?}");
    }
    connection.close().await.expect("it closes");
}
