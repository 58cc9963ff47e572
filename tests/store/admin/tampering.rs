//! Other programs may have changed buzon's tables or its file. A change that would undermine commits is refused by
//! name.

use buzon::store::{Database, OpenError, OpenMode, Options, StoreError, Trigger, examine, open, session};
use serde_json::json;

use crate::support::clock::ARRIVAL;
use crate::support::database::postgres;
use crate::support::database::world::{Backend, World, on_both_empty, record};
use crate::support::events::{event, received};

async fn refusal(world: &World) -> String {
    match world.try_open().await.err() {
        Some(OpenError::Store(StoreError::Unsafe(why))) => why,
        other => panic!("{other:?}"),
    }
}

async fn look(world: &World) -> Result<Vec<Trigger>, OpenError> {
    let database = Database::parse(&world.url).expect("the URL is right");
    examine(&database, false).await.map(|found| found.triggers)
}

#[test]
async fn every_table_that_is_emptied_after_a_crash_is_refused_by_name() {
    let world = World::empty(Backend::Postgres).await;
    world.open().await.close().await;
    let tables = "SELECT relname::text FROM pg_class
                  WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' ORDER BY relname";
    let tables = world.rows(tables).await;
    assert!(tables.contains(&"events".to_owned()));
    for table in tables {
        world.execute(&format!("ALTER TABLE {table} SET UNLOGGED")).await;
        let remedy =
            format!("its table {table} is UNLOGGED, and empty after a crash; run: ALTER TABLE {table} SET LOGGED");
        assert_eq!(refusal(&world).await, remedy);
        assert!(matches!(look(&world).await, Err(OpenError::Store(StoreError::Unsafe(why))) if why == remedy));
        world.execute(&format!("ALTER TABLE {table} SET LOGGED")).await;
    }
    world.execute("CREATE UNLOGGED TABLE of_somebody_else (x int)").await;
    world.open().await.close().await;
}

/// The catalogue of Citus is stood in for, because Citus cannot be installed everywhere. `n` is the kind of a table that is
/// on one node, and `h` that of one whose rows are distributed.
#[test]
async fn tables_whose_rows_citus_distributes_are_refused_by_name() {
    let world = World::empty(Backend::Postgres).await;
    world.open().await.close().await;
    let catalogue = "CREATE SCHEMA catalogue;
                     CREATE TABLE catalogue.pg_dist_partition (logicalrelid REGCLASS, partmethod \"char\");
                     INSERT INTO catalogue.pg_dist_partition VALUES ('events', 'n'), ('messages', 'n')";
    world.execute(catalogue).await;
    let name = postgres::name(&world.url);
    world.execute(&format!("ALTER DATABASE {name} SET search_path = public, catalogue")).await;
    world.open().await.close().await;
    world.execute("UPDATE catalogue.pg_dist_partition SET partmethod = 'h'").await;
    let remedy = "Citus distributes the rows of its table events over nodes that no snapshot spans, so that readers would miss \
                  events; take that back with SELECT undistribute_table('events'), for each such table, and distribute the \
                  schema as a whole with citus_schema_distribute";
    assert_eq!(refusal(&world).await, remedy);
    assert!(matches!(look(&world).await, Err(OpenError::Store(StoreError::Unsafe(why))) if why == remedy));
}

#[test]
async fn rules_and_row_security_are_refused_by_name() {
    let world = World::empty(Backend::Postgres).await;
    let owner = format!("owner_{}", uuid::Uuid::now_v7().simple());
    world.execute(&format!("CREATE ROLE {owner} LOGIN; GRANT CREATE, USAGE ON SCHEMA public TO {owner}")).await;
    let mut url = url::Url::parse(&world.url).expect("it is a URL");
    url.set_username(&owner).expect("it takes one");
    let database = Database::parse(url.as_str()).expect("it is one");
    let options = Options { database, ..world.options() };
    open(&options).await.expect("it opens").close().await;
    for (made, undone, why) in [
        (
            "CREATE RULE \"no\nmore\" AS ON INSERT TO events DO INSTEAD NOTHING",
            "DROP RULE \"no\nmore\" ON events",
            r"the rule no\nmore can drop rows of its table events; remove it with DROP RULE",
        ),
        (
            "CREATE RULE keep AS ON DELETE TO chats DO INSTEAD NOTHING",
            "DROP RULE keep ON chats",
            "the rule keep can drop rows of its table chats; remove it with DROP RULE",
        ),
        (
            "ALTER TABLE messages ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
            "ALTER TABLE messages NO FORCE ROW LEVEL SECURITY",
            "row security hides rows of its table messages from buzon's own user; let that user own the table, without \
             FORCE ROW LEVEL SECURITY",
        ),
    ] {
        postgres::execute(&world.url, made).await;
        match open(&options).await.err() {
            Some(OpenError::Store(StoreError::Unsafe(said))) => assert_eq!(said, why),
            other => panic!("{made}: {other:?}"),
        }
        postgres::execute(&world.url, undone).await;
        open(&options).await.expect("it opens").close().await;
    }
}

#[test]
async fn the_triggers_of_others_are_found_and_a_fresh_database_has_none() {
    on_both_empty(async |world| {
        world.open().await.close().await;
        assert_eq!(look(&world).await.expect("it can be looked at"), []);
        let statements = match world.backend {
            Backend::Sqlite => "CREATE TRIGGER see AFTER INSERT ON events BEGIN SELECT 1; END",
            Backend::Postgres => {
                "CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN new; END $$; \
                 CREATE TRIGGER see AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION see(); \
                 CREATE TRIGGER off AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION see(); \
                 ALTER TABLE events DISABLE TRIGGER off; \
                 CREATE TABLE theirs (x int); \
                 CREATE TRIGGER theirs AFTER INSERT ON theirs FOR EACH ROW EXECUTE FUNCTION see()"
            }
        };
        world.execute(statements).await;
        let found = look(&world).await.expect("it can be looked at");
        assert_eq!(found, [Trigger { name: "see".to_owned(), table: "events".to_owned() }]);
        assert_eq!(Trigger::list(&found), "see on events");
        let many: Vec<Trigger> =
            (0..7).map(|n| Trigger { name: format!("\u{1b}{n}"), table: "t".to_owned() }).collect();
        let list = r"\u{1b}0 on t, \u{1b}1 on t, \u{1b}2 on t, \u{1b}3 on t, \u{1b}4 on t, and 2 more";
        assert_eq!(Trigger::list(&many), list);
        world.open().await.close().await;
    })
    .await;
}

/// A rebuild copies tables and indexes, and leaves what other programs attached to them in place.
#[test]
async fn a_database_with_somebodys_trigger_can_be_checked_and_rebuilt() {
    on_both_empty(async |world| {
        let store = world.open().await;
        record(&store, &[event("7", received("A", json!({})), ARRIVAL)]).await;
        store.close().await;
        let statements = match world.backend {
            Backend::Sqlite => "CREATE TRIGGER see AFTER INSERT ON messages BEGIN SELECT 1; END",
            Backend::Postgres => {
                "CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN new; END $$; \
                 CREATE TRIGGER see AFTER INSERT ON messages FOR EACH ROW EXECUTE FUNCTION see()"
            }
        };
        world.execute(statements).await;
        for aim in [buzon::store::Aim::Check, buzon::store::Aim::Rebuild] {
            let differences = buzon::store::rebuild(&world.options(), aim, &|_| {}).await.expect("it can be done");
            assert!(differences.iter().all(buzon::store::Difference::is_none), "{differences:?}");
        }
    })
    .await;
}

#[test]
async fn a_file_with_a_second_name_is_refused_by_either_and_by_every_command() {
    let world = World::empty(Backend::Sqlite).await;
    world.open().await.close().await;
    let [first, second] = ["buzon.db", "second.db"].map(|name| world.folder.path().join(name));
    std::fs::hard_link(&first, &second).expect("it can be linked");
    for path in [&first, &second] {
        let database = Database::parse(&format!("sqlite://{}", path.display())).expect("it is one");
        let why = format!("cannot use {}: it has 2 names (hard links)", path.display());
        for access in [OpenMode::Serve, OpenMode::Beside] {
            let refused = open(&Options { database: database.clone(), access, ..world.options() }).await.err();
            assert!(refused.is_some_and(|refused| refused.to_string().starts_with(&why)), "{access:?}");
        }
        assert!(examine(&database, false).await.expect_err("it is refused").to_string().starts_with(&why));
        let refused = session(&database).await.err().expect("it is refused");
        assert!(refused.to_string().contains(&why), "{refused}");
    }
    std::fs::remove_file(&second).expect("it is there");
    world.open().await.close().await;
}

/// Another user who may create tables beside buzon's cannot keep it from starting by choosing a name.
#[test]
async fn a_mark_of_a_restore_that_a_stranger_set_stops_no_start() {
    let world = World::empty(Backend::Postgres).await;
    world.open().await.close().await;
    let stranger = format!("stranger_{}", uuid::Uuid::now_v7().simple());
    let mark = "CREATE TABLE _buzon_restoring ()";
    world.execute(&format!("CREATE ROLE {stranger}; GRANT CREATE ON SCHEMA public TO {stranger}")).await;
    world.execute(&format!("SET ROLE {stranger}; {mark}; RESET ROLE")).await;
    world.open().await.close().await;
    world.execute(&format!("DROP TABLE _buzon_restoring; {mark}")).await;
    assert!(matches!(open(&world.options()).await, Err(OpenError::RestoreUnfinished)));
    world.execute(&format!("DROP OWNED BY {stranger}; DROP ROLE {stranger}")).await;
}

/// Without the refusal, SQLite would end the process or damage the index.
#[test]
async fn a_trigger_on_the_tables_in_which_sqlite_keeps_words_is_refused_by_name() {
    let world = World::empty(Backend::Sqlite).await;
    world.open().await.close().await;
    world.execute("CREATE TRIGGER see AFTER INSERT ON message_words_data BEGIN SELECT 1; END").await;
    let why = "the trigger see is on message_words_data, in which SQLite itself keeps the index of words; drop it";
    assert_eq!(refusal(&world).await, why);
    assert!(matches!(look(&world).await, Err(OpenError::Store(StoreError::Unsafe(said))) if said == why));
}
