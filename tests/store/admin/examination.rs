//! An examination changes nothing in a database, whether or not a server uses it.

use buzon::store::{Database, Examination, OpenError, StoreError, examine};

use crate::support::database::postgres::Server;
use crate::support::database::world::{Backend, World, on_both_empty};

async fn look(world: &World) -> Result<Examination, OpenError> {
    examine(&Database::parse(&world.url).expect("the URL is right"), false).await
}

fn files(world: &World) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(world.folder.path()).expect("it can be read");
    let file = |entry: std::fs::DirEntry| {
        let content = std::fs::read(entry.path()).unwrap_or_default();
        (entry.file_name().to_string_lossy().into_owned(), content)
    };
    let mut files: Vec<_> = entries.map(|entry| file(entry.expect("it can be read"))).collect();
    files.sort();
    files
}

#[test]
async fn an_empty_database_is_new_and_stays_empty() {
    on_both_empty(async |world| {
        let found = look(&world).await.expect("it can be looked at");
        assert!(found.is_new && found.migrations_missing > 0 && found.id.is_none(), "{found:?}");
        assert_eq!(found.server_time.is_some(), world.backend == Backend::Postgres);
        assert!(files(&world).is_empty());
        if world.backend == Backend::Postgres {
            let tables = "SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace";
            assert_eq!(world.value(tables).await, "0");
        }
    })
    .await;
}

#[test]
async fn a_database_is_known_by_its_id_beside_a_server_and_without_one() {
    on_both_empty(async |world| {
        let store = world.open().await;
        let id = store.database_id().await.expect("it answers");
        let beside = look(&world).await.expect("it can be looked at");
        assert_eq!((beside.is_new, beside.migrations_missing, beside.id.as_deref()), (false, 0, Some(id.as_str())));
        store.close().await;
        let before = files(&world);
        let alone = look(&world).await.expect("it can be looked at");
        assert_eq!(alone.id.as_deref(), Some(id.as_str()));
        assert_eq!(files(&world), before, "nothing is left behind");
    })
    .await;
}

#[test]
async fn migrations_that_have_not_run_are_counted_and_not_run() {
    on_both_empty(async |world| {
        world.open().await.close().await;
        let latest = "(SELECT max(version) FROM _buzon_migrations)";
        world.execute(&format!("DELETE FROM _buzon_migrations WHERE version = {latest}")).await;
        for _ in 0..2 {
            let found = look(&world).await.expect("it can be looked at");
            assert_eq!((found.is_new, found.migrations_missing, found.id), (false, 1, None));
        }
    })
    .await;
}

#[test]
async fn it_is_refused_for_what_a_start_would_refuse() {
    on_both_empty(async |world| {
        world.execute("CREATE TABLE of_another_program (id int)").await;
        assert!(matches!(look(&world).await, Err(OpenError::ForeignTables { .. })));
    })
    .await;
    let unsafe_server = Server::start("-c fsync=off");
    let world = World::on_server(&unsafe_server.url, "").await;
    assert!(matches!(look(&world).await, Err(OpenError::Store(StoreError::Unsafe(_)))));
}
