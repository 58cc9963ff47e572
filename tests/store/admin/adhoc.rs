//! Ad-hoc queries of a person: whatever the query, nothing is written and nothing panics.

use std::time::Duration;

use buzon::store::{self, Database, QueryError, QueryPart, Value};
use tokio::sync::mpsc;

use crate::support::clock::ARRIVAL;
use crate::support::database::world::{Backend, World, on_both, record};
use crate::support::events::{event, received};
use crate::support::{PATIENCE, eventually};

/// Runs a query, and returns the names of the columns and the rows.
async fn ask(world: &World, query: &str) -> Result<(Vec<String>, Vec<Vec<Value>>), QueryError> {
    let database = Database::parse(&world.url).expect("the URL is right");
    let session = store::session(&database).await.expect("the database is there");
    let (sender, mut receiver) = mpsc::channel(4);
    let asked = store::ask(session, query, PATIENCE, std::future::pending(), sender);
    let read = async {
        let (mut columns, mut rows, mut ended) = (vec![], vec![], false);
        while let Some(answer) = receiver.recv().await {
            match answer {
                QueryPart::Columns(names) => columns = names,
                QueryPart::Row(values) => rows.push(values),
                QueryPart::End => ended = true,
            }
        }
        (columns, rows, ended)
    };
    let (outcome, (columns, rows, ended)) = tokio::join!(asked, read);
    assert_eq!(outcome.is_ok(), ended);
    outcome.map(|()| (columns, rows))
}

/// Statements with which some database could be changed.
const ATTEMPTS: [&str; 41] = [
    "DELETE FROM messages",
    "-- read\nDELETE FROM messages",
    "/* SELECT */ UPDATE messages SET body = 'x'",
    "INSERT INTO messages SELECT * FROM messages",
    "DROP TABLE messages",
    "CREATE TABLE theirs (x int)",
    "CREATE TEMP TABLE theirs (x int)",
    "ALTER TABLE messages ADD COLUMN x int",
    "TRUNCATE messages",
    "REPLACE INTO messages (id) VALUES ('x')",
    "SELECT 1; DELETE FROM messages",
    "SELECT 1;; DELETE FROM messages --",
    "SELECT ';' ; COMMIT; DELETE FROM messages",
    "WITH gone AS (DELETE FROM messages RETURNING id) SELECT * FROM gone",
    "WITH x AS (SELECT 1) DELETE FROM messages",
    "WITH x AS (SELECT 1) INSERT INTO theirs SELECT * FROM x",
    "EXPLAIN ANALYZE DELETE FROM messages",
    "SELECT * INTO theirs FROM messages",
    "SELECT * FROM messages FOR UPDATE",
    "SELECT set_config('transaction_read_only', 'off', false)",
    "SELECT nextval('theirs')",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SET TRANSACTION READ WRITE",
    "SET default_transaction_read_only = off",
    "DO $$ BEGIN DELETE FROM messages; END $$",
    "CALL nothing()",
    "COPY messages TO '/tmp/theirs'",
    "COPY messages FROM PROGRAM 'true'",
    "PREPARE p AS DELETE FROM messages",
    "ATTACH 'theirs.db' AS theirs",
    "VACUUM",
    "VACUUM INTO 'theirs.db'",
    "PRAGMA query_only = 0",
    "PRAGMA journal_mode = DELETE",
    "EXPLAIN PRAGMA journal_mode = DELETE",
    "PRAGMA wal_checkpoint",
    "SELECT load_extension('theirs')",
    "SELECT writefile('theirs', 'x')",
    "REINDEX",
];

#[test]
async fn nothing_that_writes_is_done() {
    on_both(async |world| {
        let store = world.open().await;
        record(&store, &[event("7", received("A", serde_json::json!({})), ARRIVAL)]).await;
        let before = world.dump().await;
        let files = || {
            let names = std::fs::read_dir(world.folder.path()).expect("it can be read");
            names.map(|entry| entry.expect("it is there").file_name()).collect::<std::collections::BTreeSet<_>>()
        };
        let files_before = files();
        for attempt in ATTEMPTS {
            let outcome = ask(&world, attempt).await;
            assert!(
                matches!(outcome, Err(QueryError::NotReading(_) | QueryError::Refused(_))),
                "{attempt} {outcome:?}"
            );
        }
        assert_eq!(world.dump().await, before);
        assert_eq!(files(), files_before);
        if world.backend == Backend::Postgres {
            // The first only explains the statement; the second executes it, and is never committed.
            for explained in ["EXPLAIN DELETE FROM messages", "EXPLAIN (ANALYZE) CREATE TABLE theirs AS SELECT 1"] {
                ask(&world, explained).await.expect("it is explained");
            }
            assert_eq!(world.value("SELECT count(*) FROM messages").await, "1");
            assert_eq!(world.value("SELECT to_regclass('theirs') IS NULL").await, "1");
        }
    })
    .await;
}

#[test]
async fn what_reads_is_answered_beside_a_service_that_writes() {
    on_both(async |world| {
        let store = world.open().await;
        record(&store, &[event("7", received("A", serde_json::json!({})), ARRIVAL)]).await;
        for query in [
            "SELECT id, occurred_at FROM v_messages",
            "\n-- who?\nSELECT id, occurred_at FROM v_messages ; -- that is all",
            "WITH m AS (SELECT * FROM v_messages) SELECT id, occurred_at FROM m;",
            "VALUES ('A', '2024-08-27T00:00:00.000Z')",
        ] {
            let (columns, rows) = ask(&world, query).await.expect(query);
            assert_eq!(columns.len(), 2);
            let text = |text: &str| Value::Text(text.to_owned());
            assert_eq!(rows, [[text("A"), text("2024-08-27T00:00:00.000Z")]], "{query}");
        }
        let (columns, rows) = ask(&world, "SELECT id, body FROM messages WHERE false").await.expect("it is right");
        assert_eq!((columns, rows.len()), (vec!["id".to_owned(), "body".to_owned()], 0));
        let wrong = ask(&world, "SELECT nothing FROM v_messages").await.expect_err("there is no such column");
        assert!(wrong.to_string().contains("nothing"), "{wrong}");
        for query in ["EXPLAIN SELECT 1", "SELECT * FROM v_quarantine", "SELECT count(*) FROM events"] {
            ask(&world, query).await.expect(query);
        }
    })
    .await;
}

#[test]
async fn a_value_of_any_type_is_shown() {
    let sqlite = World::new(Backend::Sqlite).await;
    sqlite.open().await.close().await;
    let query = "SELECT 1, -9223372036854775807, 0.5, 'ñ', x'00ff', NULL, 9e999, CAST(x'61ff' AS TEXT), CAST(x'610062' AS TEXT)";
    let (_, rows) = ask(&sqlite, query).await.expect("it is right");
    let text = |text: &str| Value::Text(text.to_owned());
    assert_eq!(
        rows[0],
        [
            Value::Integer(1),
            Value::Integer(-i64::MAX),
            Value::Real(0.5),
            text("ñ"),
            Value::Bytes(vec![0, 255]),
            Value::Null,
            Value::Real(f64::INFINITY),
            text("a\u{FFFD}"),
            text("a\0b"),
        ]
    );
    let postgres = World::new(Backend::Postgres).await;
    postgres.open().await.close().await;
    for (expression, value) in [
        ("true", Value::Flag(true)),
        ("7::int2", Value::Integer(7)),
        ("7::int8", Value::Integer(7)),
        ("7::oid", Value::Integer(7)),
        ("0.5::float4", Value::Real(0.5)),
        ("'-Infinity'::float8", Value::Real(f64::NEG_INFINITY)),
        ("12345678901234567890.50", Value::Decimal("12345678901234567890.50".to_owned())),
        ("'NaN'::numeric", Value::Decimal("NaN".to_owned())),
        ("'\\x00ff'::bytea", Value::Bytes(vec![0, 255])),
        ("'2024-08-27T00:00:00Z'::timestamptz", text("2024-08-27T00:00:00.000Z")),
        ("'2024-08-27T00:00:00.5+02'::timestamptz", text("2024-08-26T22:00:00.500Z")),
        ("'2024-08-27T00:00:00.123456Z'::timestamptz", text("2024-08-27T00:00:00.123456Z")),
        ("'infinity'::timestamptz", text("infinity")),
        ("'0044-03-15 BC'::timestamptz", text("0044-03-15 00:00:00+00 BC")),
        ("'2024-08-27 19:00:00'::timestamp", text("2024-08-27T19:00:00.000")),
        ("'2024-08-27'::date", text("2024-08-27")),
        ("'19:00'::time", text("19:00:00")),
        ("interval '1 day 2 hours'", text("1 day 02:00:00")),
        ("'{\"a\": 1}'::jsonb", Value::Json("{\"a\": 1}".to_owned())),
        ("ARRAY['a', 'b,c']", text("{a,\"b,c\"}")),
        ("ARRAY[[1, 2]]", text("{{1,2}}")),
        ("'10.0.0.0/8'::cidr", text("10.0.0.0/8")),
        ("'6ec0bd7f-11c0-43da-975e-2a8ad9ebae0b'::uuid", text("6ec0bd7f-11c0-43da-975e-2a8ad9ebae0b")),
        ("to_tsvector('simple', 'hola')", text("'hola':1")),
        ("ROW(1, 'a')", text("(1,a)")),
        ("int4range(1, 3)", text("[1,3)")),
        ("point(1, 2)", text("(1,2)")),
        ("'messages'::regclass", text("messages")),
        ("'mood'::mood", text("mood")),
        ("NULL::mood", Value::Null),
        ("void()", Value::Null),
    ] {
        if expression == "true" {
            postgres.execute("CREATE TYPE mood AS ENUM ('mood')").await;
            postgres.execute("CREATE FUNCTION void() RETURNS void LANGUAGE sql AS 'SELECT'").await;
        }
        let (_, rows) = ask(&postgres, &format!("SELECT {expression}")).await.expect(expression);
        assert_eq!(rows, [[value]], "{expression}");
    }
    let query = "SELECT typname, typinput, typacl, typtype, oid, xmin, ctid FROM pg_type";
    assert!(ask(&postgres, query).await.expect("it is right").1.len() > 500);
    let inner = ask(&postgres, "SELECT relpartbound FROM pg_class").await.expect_err("the driver does not take it");
    assert!(inner.to_string().contains("cast it to text"), "{inner}");
    ask(&postgres, "SELECT relpartbound::text FROM pg_class").await.expect("it is text now");
}

/// Returns a query that does not end by itself.
fn endless(world: &World) -> &'static str {
    match world.backend {
        Backend::Sqlite => "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n) SELECT count(*) FROM n",
        Backend::Postgres => "SELECT count(*) FROM generate_series(1, 1000000000000) AS n, pg_sleep(3600)",
    }
}

#[test]
async fn a_query_ends_at_its_time_limit_and_when_it_is_stopped() {
    on_both(async |world| {
        world.open().await.close().await;
        let database = Database::parse(&world.url).expect("the URL is right");
        for limited in [true, false] {
            let session = store::session(&database).await.expect("it opens");
            let (sender, mut receiver) = mpsc::channel(4);
            let limit = if limited { Duration::from_millis(1) } else { PATIENCE };
            let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
            let stopped = async {
                // Dropping the sender has the same effect as sending.
                let _ = stopped.await;
            };
            let asked = tokio::spawn(store::ask(session, endless(&world), limit, stopped, sender));
            if limited {
                assert!(matches!(asked.await.expect("it ends"), Err(QueryError::TimeLimit(_))));
            } else {
                assert!(matches!(receiver.recv().await, Some(QueryPart::Columns(_))), "it has begun");
                if world.backend == Backend::Postgres {
                    eventually("the server works on it", async || running(&world).await == "1").await;
                }
                drop(stop);
                assert!(matches!(asked.await.expect("it ends"), Err(QueryError::Stopped)));
            }
            if world.backend == Backend::Postgres {
                eventually("the server has given it up", async || running(&world).await == "0").await;
            }
        }
    })
    .await;
}

/// Returns how many endless queries the server is working on.
async fn running(world: &World) -> String {
    let query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() \
                 AND state = 'active' AND query LIKE '%generate_series(1, 10000%'";
    world.value(query).await
}

#[test]
async fn without_a_database_nothing_is_made() {
    let world = World::in_folder("none.db");
    let database = Database::parse(&world.url).expect("the URL is right");
    assert!(matches!(store::session(&database).await.err(), Some(store::OpenError::Absent { .. })));
    assert!(!world.folder.path().join("none.db").exists());
}
