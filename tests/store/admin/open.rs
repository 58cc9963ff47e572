use serde_json::json;
use sqlx::{Connection, Executor, SqliteConnection};

use buzon::store::{self, Database, OpenError, Options, Pending, StoreError};

use crate::support::clock::ARRIVAL;
use crate::support::database::postgres::{self, Server};
use crate::support::database::world::{Backend, World, on_both_empty, record};
use crate::support::events::{event, received};
use crate::support::eventually;

async fn refusal(world: &World) -> OpenError {
    world.try_open().await.err().expect("the store is refused")
}

#[test]
async fn an_empty_database_is_brought_to_this_schema_and_stays_there() {
    on_both_empty(async |world| {
        let database = world.options().database;
        let first = store::migrate(&database).await.expect("it migrates");
        assert!(first > 0);
        assert_eq!(store::migrate(&database).await.expect("it migrates"), 0);
        world.open().await.ping().await.expect("it answers");
    })
    .await;
}

#[test]
async fn without_migrations_an_old_schema_is_refused_and_left_alone() {
    on_both_empty(async |world| {
        let options = Options { pending: Pending::Refuse, ..world.options() };
        let refused = store::open(&options).await.err();
        assert!(matches!(refused, Some(OpenError::MigrationsPending { missing: 1.. })), "{refused:?}");
        store::migrate(&options.database).await.expect("it migrates");
        store::open(&options).await.expect("it opens");
    })
    .await;
}

#[test]
async fn another_programs_tables_are_refused_by_name() {
    on_both_empty(async |world| {
        world.execute("CREATE TABLE messages (id INT); CREATE TABLE users (id INT)").await;
        let refused = refusal(&world).await;
        assert!(matches!(&refused, OpenError::ForeignTables { tables } if tables == "messages, users"), "{refused}");
        assert_eq!(world.value("SELECT count(*) FROM users").await, "0");
    })
    .await;
}

#[test]
async fn the_owners_own_tables_beside_buzons_are_welcome() {
    on_both_empty(async |world| {
        world.open().await.close().await;
        world.execute("CREATE TABLE customers (id INT); CREATE VIEW mine AS SELECT * FROM messages").await;
        world.open().await;
    })
    .await;
}

#[test]
async fn a_newer_schema_is_refused() {
    on_both_empty(async |world| {
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

#[test]
async fn a_migration_that_was_altered_is_refused() {
    on_both_empty(async |world| {
        world.open().await.close().await;
        world.execute("UPDATE _buzon_migrations SET checksum = 'x' WHERE version = 1").await;
        let refused = refusal(&world).await;
        assert!(matches!(refused, OpenError::AlteredMigration { version: 1 }), "{refused}");
    })
    .await;
}

#[test]
async fn sqlite_takes_one_server_at_a_time() {
    let world = World::empty(Backend::Sqlite).await;
    let first = world.open().await;
    let refused = refusal(&world).await;
    assert!(matches!(refused, OpenError::Locked { .. }), "{refused}");
    let migration = store::migrate(&world.options().database).await;
    assert!(matches!(migration, Err(OpenError::Locked { .. })), "{migration:?}");
    drop(first);
    world.open().await;
}

#[test]
async fn a_link_to_the_file_does_not_let_a_second_server_in() {
    let world = World::empty(Backend::Sqlite).await;
    let _first = world.open().await;
    let link = world.folder.path().join("link.db");
    std::os::unix::fs::symlink(world.folder.path().join("buzon.db"), &link).expect("it can be linked");
    let database = Database::parse(&format!("sqlite://{}", link.display())).expect("the URL is right");
    let refused = store::open(&Options { database, ..world.options() }).await.err();
    assert!(matches!(refused, Some(OpenError::Locked { .. })), "{refused:?}");
}

#[test]
async fn another_programs_sqlite_file_is_left_as_it_was() {
    let world = World::empty(Backend::Sqlite).await;
    world.execute("PRAGMA journal_mode = delete; CREATE TABLE users (id INT)").await;
    let file = || std::fs::read(world.folder.path().join("buzon.db")).expect("it is there");
    let before = file();
    refusal(&world).await;
    assert!(file() == before, "the file was changed");
}

#[test]
async fn sqlite_keeps_a_write_ahead_log() {
    let world = World::empty(Backend::Sqlite).await;
    world.open().await;
    assert_eq!(world.value("PRAGMA journal_mode").await, "wal");
}

#[test]
async fn a_sqlite_file_that_cannot_have_a_write_ahead_log_is_refused() {
    let world = World::empty(Backend::Sqlite).await;
    world.open().await.close().await;
    // While another connection has the file open in another journal mode, SQLite keeps that mode.
    world.execute("PRAGMA journal_mode = delete").await;
    let mut holder = SqliteConnection::connect(&world.url).await.expect("SQLite opens");
    holder.execute("BEGIN; SELECT count(*) FROM events").await.expect("it begins");
    let refused = refusal(&world).await;
    assert!(matches!(refused, OpenError::Store(_)), "{refused}");
    holder.close().await.expect("it closes");
    world.open().await;
}

#[test]
async fn a_link_that_leads_nowhere_is_refused() {
    let world = World::empty(Backend::Sqlite).await;
    let nowhere = world.folder.path().join("nowhere.db");
    std::os::unix::fs::symlink(nowhere, world.folder.path().join("buzon.db")).expect("it can be linked");
    let refused = refusal(&world).await;
    assert!(matches!(refused, OpenError::File { .. }), "{refused}");
}

#[test]
async fn a_store_that_is_closed_takes_nothing_and_lets_the_next_server_in() {
    on_both_empty(async |world| {
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

#[test]
async fn postgres_without_synchronous_commit_is_refused_and_nothing_waives_it() {
    let world = World::empty(Backend::Postgres).await;
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
#[test]
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

#[test]
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

#[test]
async fn a_postgres_database_that_cannot_hold_every_letter_is_refused() {
    let latin1 = "ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0";
    let world = World::on_server(postgres::server(), latin1).await;
    let refused = refusal(&world).await.to_string();
    assert!(refused.contains("LATIN1"), "{refused}");
}
