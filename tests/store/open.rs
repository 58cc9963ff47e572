use std::path::Path;
use std::str::FromStr;

use serde_json::json;
use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor, PgConnection, SqliteConnection};

use buzon::store::{self, Database, OpenError, Options, Pending, StoreError};

use crate::support::clock::ARRIVAL;
use crate::support::events::{event, received};
use crate::support::eventually;
use crate::support::postgres::{self, Server};
use crate::support::world::{Backend, World, on_both, record};

async fn refusal(world: &World) -> OpenError {
    world.try_open().await.err().expect("the store is refused")
}

#[tokio::test]
async fn an_empty_database_is_brought_to_this_schema_and_stays_there() {
    on_both(async |world| {
        let database = world.options().database;
        let first = store::migrate(&database).await.expect("it migrates");
        assert!(first > 0);
        assert_eq!(store::migrate(&database).await.expect("it migrates"), 0);
        world.open().await.ping().await.expect("it answers");
    })
    .await;
}

#[tokio::test]
async fn without_migrations_an_old_schema_is_refused_and_left_alone() {
    on_both(async |world| {
        let options = Options { pending: Pending::Refuse, ..world.options() };
        let refused = store::open(&options).await.err();
        assert!(matches!(refused, Some(OpenError::MigrationsPending { missing: 1.. })), "{refused:?}");
        store::migrate(&options.database).await.expect("it migrates");
        store::open(&options).await.expect("it opens");
    })
    .await;
}

#[tokio::test]
async fn another_programs_tables_are_refused_by_name() {
    on_both(async |world| {
        world.execute("CREATE TABLE messages (id INT); CREATE TABLE users (id INT)").await;
        let refused = refusal(&world).await;
        assert!(matches!(&refused, OpenError::ForeignTables { tables } if tables == "messages, users"), "{refused}");
        assert_eq!(world.value("SELECT count(*) FROM users").await, "0");
    })
    .await;
}

#[tokio::test]
async fn the_owners_own_tables_beside_buzons_are_welcome() {
    on_both(async |world| {
        world.open().await.close().await;
        world.execute("CREATE TABLE customers (id INT); CREATE VIEW mine AS SELECT * FROM messages").await;
        world.open().await;
    })
    .await;
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    on_both(async |world| {
        world.open().await.close().await;
        world
            .execute(
                "INSERT INTO _buzon_migrations (version, description, success, checksum, execution_time) \
                 VALUES (9999, 'from the future', true, '', 0)",
            )
            .await;
        let refused = refusal(&world).await;
        assert!(matches!(refused, OpenError::NewerSchema { found: 9999, .. }), "{refused}");
    })
    .await;
}

#[tokio::test]
async fn a_migration_that_was_altered_is_refused() {
    on_both(async |world| {
        world.open().await.close().await;
        world.execute("UPDATE _buzon_migrations SET checksum = 'x' WHERE version = 1").await;
        let refused = refusal(&world).await;
        assert!(matches!(refused, OpenError::AlteredMigration { version: 1 }), "{refused}");
    })
    .await;
}

#[tokio::test]
async fn sqlite_takes_one_server_at_a_time() {
    let world = World::new(Backend::Sqlite).await;
    let first = world.open().await;
    let refused = refusal(&world).await;
    assert!(matches!(refused, OpenError::Locked { .. }), "{refused}");
    let migration = store::migrate(&world.options().database).await;
    assert!(matches!(migration, Err(OpenError::Locked { .. })), "{migration:?}");
    drop(first);
    world.open().await;
}

#[tokio::test]
async fn a_link_to_the_file_does_not_let_a_second_server_in() {
    let world = World::new(Backend::Sqlite).await;
    let _first = world.open().await;
    let link = world.folder.path().join("link.db");
    std::os::unix::fs::symlink(world.folder.path().join("buzon.db"), &link).expect("it can be linked");
    let database = Database::parse(&format!("sqlite://{}", link.display())).expect("the URL is right");
    let refused = store::open(&Options { database, ..world.options() }).await.err();
    assert!(matches!(refused, Some(OpenError::Locked { .. })), "{refused:?}");
}

#[tokio::test]
async fn another_programs_sqlite_file_is_left_as_it_was() {
    let world = World::new(Backend::Sqlite).await;
    world.execute("PRAGMA journal_mode = delete; CREATE TABLE users (id INT)").await;
    let file = || std::fs::read(world.folder.path().join("buzon.db")).expect("it is there");
    let before = file();
    refusal(&world).await;
    assert!(file() == before, "the file was changed");
}

#[tokio::test]
async fn sqlite_keeps_a_write_ahead_log() {
    let world = World::new(Backend::Sqlite).await;
    world.open().await;
    assert_eq!(world.value("PRAGMA journal_mode").await, "wal");
}

#[tokio::test]
async fn a_sqlite_file_that_cannot_have_a_write_ahead_log_is_refused() {
    let world = World::new(Backend::Sqlite).await;
    world.open().await.close().await;
    // While somebody holds the file in another journal's way, SQLite keeps that journal.
    world.execute("PRAGMA journal_mode = delete").await;
    let mut holder = SqliteConnection::connect(&world.url).await.expect("SQLite opens");
    holder.execute("BEGIN; SELECT count(*) FROM events").await.expect("it begins");
    let refused = refusal(&world).await;
    assert!(matches!(refused, OpenError::Store(_)), "{refused}");
    holder.close().await.expect("it closes");
    world.open().await;
}

#[tokio::test]
async fn a_link_that_leads_nowhere_is_refused() {
    let world = World::new(Backend::Sqlite).await;
    let nowhere = world.folder.path().join("nowhere.db");
    std::os::unix::fs::symlink(nowhere, world.folder.path().join("buzon.db")).expect("it can be linked");
    let refused = refusal(&world).await;
    assert!(matches!(refused, OpenError::File { .. }), "{refused}");
}

#[tokio::test]
async fn a_store_that_is_closed_takes_nothing_and_lets_the_next_server_in() {
    on_both(async |world| {
        let store = world.open().await;
        store.close().await;
        let body = received("A", json!({}));
        let refused = store.record_batch(&[event("7", &body, ARRIVAL)]).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
        let next = world.open().await;
        record(&next, &[event("7", &body, ARRIVAL)]).await;
    })
    .await;
}

#[tokio::test]
async fn postgres_without_synchronous_commit_is_refused_and_nothing_waives_it() {
    let world = World::new(Backend::Postgres).await;
    let name = postgres::name(&world.url);
    postgres::execute(&world.url, &format!("ALTER DATABASE {name} SET synchronous_commit = off")).await;
    for allow_managed_pg in [false, true] {
        let refused = store::open(&Options { allow_managed_pg, ..world.options() }).await.err();
        match refused {
            Some(OpenError::Store(StoreError::Unsafe(why))) => {
                assert!(why.contains("synchronous_commit is off"), "{why}")
            }
            other => panic!("{other:?}"),
        }
    }
}

/// A server's settings can change while it is in use.
#[tokio::test]
async fn postgres_that_turns_synchronous_commit_off_later_does_so_for_others() {
    let server = Server::start("");
    let world = World::on_server(&server.url, "").await;
    let store = world.open().await;
    world
        .execute(
            "CREATE TABLE seen (setting TEXT); \
             CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN new; END $$; \
             CREATE TRIGGER see BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION see()",
        )
        .await;
    world.execute("ALTER SYSTEM SET synchronous_commit = off").await;
    world.execute("SELECT pg_reload_conf()").await;
    let others = async || world.value("SHOW synchronous_commit").await == "off";
    eventually("the server has the new setting", others).await;
    record(&store, &[event("7", received("A", json!({})), ARRIVAL)]).await;
    assert_eq!(world.rows("SELECT setting FROM seen").await, ["on"]);
}

#[tokio::test]
async fn postgres_without_fsync_or_full_page_writes_is_refused_unless_that_is_waived() {
    for setting in ["fsync", "full_page_writes"] {
        let server = Server::start(&format!("-c {setting}=off"));
        let world = World::on_server(&server.url, "").await;
        let refused = refusal(&world).await.to_string();
        assert!(refused.contains(&format!("{setting} is off")), "{refused}");
        assert!(refused.contains("BUZON_ALLOW_MANAGED_PG"), "{refused}");
        store::open(&Options { allow_managed_pg: true, ..world.options() }).await.expect("it is waived");
    }
}

#[tokio::test]
async fn a_postgres_database_that_cannot_hold_every_letter_is_refused() {
    let latin1 = "ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0";
    let world = World::on_server(postgres::server(), latin1).await;
    let refused = refusal(&world).await.to_string();
    assert!(refused.contains("LATIN1"), "{refused}");
}

/// Makes the tables of the first version.
pub async fn first_schema(world: &World) {
    older_schema(world, "0001").await;
}

/// Makes the tables as the migrations up to one leave them.
async fn older_schema(world: &World, last: &str) {
    let backend = format!("{:?}", world.backend).to_lowercase();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(backend);
    let older = tempfile::tempdir().expect("there is a temporary folder");
    for file in folder.read_dir().expect("the folder is there") {
        let name = file.expect("it can be read").file_name();
        if name.to_str().expect("it is text")[..last.len()] <= *last {
            std::fs::copy(folder.join(&name), older.path().join(&name)).expect("it is there");
        }
    }
    let mut migrations = Migrator::new(older.path()).await.expect("it can be read");
    migrations.dangerous_set_table_name("_buzon_migrations");
    match world.backend {
        Backend::Sqlite => {
            let options = SqliteConnectOptions::from_str(&world.url).expect("it is a URL").create_if_missing(true);
            let mut connection = options.connect().await.expect("SQLite opens");
            migrations.run_direct(None, &mut connection, false).await.expect("it migrates");
            connection.close().await.expect("it closes");
        }
        Backend::Postgres => {
            let mut connection = PgConnection::connect(&world.url).await.expect("PostgreSQL answers");
            migrations.run_direct(None, &mut connection, false).await.expect("it migrates");
            connection.close().await.expect("it closes");
        }
    }
}

/// What an older buzon wrote is there after the upgrade.
#[tokio::test]
async fn the_jobs_of_an_older_schema_are_kept() {
    on_both(async |world| {
        first_schema(&world).await;
        let bytes = if world.backend == Backend::Sqlite { "x'ab'" } else { r"'\xab'" };
        let job = format!(
            "INSERT INTO media (instance_id, message_id, source_sha256, source_url, state, attempts, next_attempt_at,
                                lease_token)
             VALUES ('7', 'A', {bytes}, '/a.jpg', 'pending', 0, '2024-08-27T00:06:40.004Z', 0)"
        );
        world.execute(&job).await;
        world.open().await.close().await;
        let row = "SELECT message_id, source_sha256, source_url, source_host, occurred_at, state, attempts, denials,
                          next_attempt_at, lease_token, object_key FROM media";
        let at = "2024-08-27T00:06:40.004Z";
        assert_eq!(world.rows(row).await, [format!("A|ab|/a.jpg||{at}|pending|0|0|{at}|0|NULL")]);
    })
    .await;
}

#[tokio::test]
async fn the_messages_of_an_older_schema_are_found_by_their_words() {
    on_both(async |world| {
        first_schema(&world).await;
        let message =
            "INSERT INTO messages (instance_id, id, chat_id, from_me, body, is_group, ack, ack_rank, received_at,
                                             occurred_at, event_seq)
                       VALUES ('7', 'A', 'p@c.us', false, 'Menú', false, 'pending', 0, '2024-08-27T00:06:40.004Z',
                               '2024-08-27T00:06:40.004Z', 1)";
        world.execute(message).await;
        world.open().await.close().await;
        let words = match world.backend {
            Backend::Sqlite => "SELECT id FROM message_search WHERE words = 'menu'",
            Backend::Postgres => "SELECT id FROM message_search WHERE words @@ 'menu'",
        };
        assert_eq!(world.rows(words).await, ["A"]);
    })
    .await;
}

#[tokio::test]
async fn the_words_of_an_older_schema_are_found_and_give_way_to_others() {
    on_both(async |world| {
        older_schema(&world, "0006").await;
        let at = "2024-08-27T00:06:40.004Z";
        let message = format!(
            "INSERT INTO messages (instance_id, id, chat_id, from_me, body, is_group, ack, ack_rank, received_at,
                                   occurred_at, event_seq)
             VALUES ('7', 'A', 'p@c.us', false, 'menu', false, 'pending', 0, '{at}', '{at}', 1)"
        );
        world.execute(&message).await;
        let (entry, words) = match world.backend {
            Backend::Sqlite => (
                // 493,949,200,004 ms after 2009 began, the third in its millisecond.
                format!(
                    "INSERT INTO message_search (search_key, instance_id, id, occurred_at, words, facets)
                     VALUES ((493949200004 << 22) + 2, '7', 'A', '{at}', 'menu', 'I37');
                     INSERT INTO message_words (message_words) VALUES ('rebuild')"
                ),
                "SELECT message_search.words FROM message_words JOIN message_search ON search_key = message_words.rowid
                 WHERE message_words MATCH 'menu OR carta'",
            ),
            Backend::Postgres => (
                format!(
                    "INSERT INTO message_search (instance_id, id, occurred_at, words) VALUES ('7', 'A', '{at}', 'menu')"
                ),
                "SELECT words::text FROM message_search WHERE words @@ 'menu | carta'",
            ),
        };
        world.execute(&entry).await;
        let store = world.open().await;
        let before = world.rows(words).await;
        record(&store, &[event("7", received("A", json!({"body": "carta"})), ARRIVAL)]).await;
        let after = world.rows(words).await;
        assert_eq!((before.len(), after.len()), (1, 1));
        assert!(before[0].contains("menu") && after[0].contains("carta"), "{before:?} {after:?}");
        assert_eq!(world.value("SELECT count(*) FROM message_search").await, "1");
        store.close().await;
    })
    .await;
}
