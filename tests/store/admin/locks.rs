//! A lock that another session holds ends a start, and the error names the holder.

use std::str::FromStr;

use buzon::store::{OpenError, examine, migrate};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection};

use crate::support::PATIENCE;
use crate::support::database::world::{Backend, World};
use crate::support::program::process::run;

/// The advisory lock of migrations.
const MIGRATION: &str = "SELECT pg_advisory_lock(7094711406997536770)";

/// Opens a session that runs these statements and stays open. Returns it with its process id.
async fn session(url: &str, statements: &str) -> (PgConnection, i32) {
    let options = PgConnectOptions::from_str(url).expect("it is a URL").application_name("a \"bell\"");
    let mut session = options.connect().await.expect("PostgreSQL answers");
    session.execute(AssertSqlSafe(statements)).await.expect("the statements are right");
    let process = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut session).await.expect("it has one");
    (session, process)
}

#[test(flavor = "multi_thread")]
async fn a_user_who_may_only_connect_and_holds_the_migration_lock_is_named() {
    let world = World::empty(Backend::Postgres).await;
    let stranger = format!("stranger_{}", uuid::Uuid::now_v7().simple());
    world.execute(&format!("CREATE ROLE {stranger} LOGIN")).await;
    let mut url = url::Url::parse(&world.url).expect("it is a URL");
    url.set_username(&stranger).expect("it takes one");
    let (session, process) = session(url.as_str(), MIGRATION).await;
    let output = run(world.folder.path(), &["migrate"], &[("BUZON_DATABASE_URL", world.url.as_str())]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stderr).expect("it is text");
    let line = format!(
        "buzon: the lock for migrations (an advisory lock of this database) was not free in time: it is held by \
         process {process} of the server (role {stranger:?}, application \"a \\\"bell\\\"\""
    );
    assert!(said.starts_with(&line) && said.lines().count() == 1, "{said}");
    session.close().await.expect("it closes");
    let migrated = migrate(&world.options().database).await.expect("the lock is free");
    assert!(migrated > 0);
    // This lock does not matter when there is nothing to migrate.
    let (session, _) = self::session(url.as_str(), MIGRATION).await;
    world.open().await.close().await;
    session.close().await.expect("it closes");
}

#[test(flavor = "multi_thread")]
async fn a_session_that_locks_a_table_is_named() {
    let world = World::new(Backend::Postgres).await;
    let (session, process) = session(&world.url, "BEGIN; LOCK TABLE _buzon_migrations IN ACCESS EXCLUSIVE MODE").await;
    let database = world.options().database;
    let both = async { tokio::join!(world.try_open(), examine(&database, false)) };
    let (opened, examined) = tokio::time::timeout(PATIENCE, both).await.expect("neither waits without end");
    for refused in [opened.err(), examined.err()] {
        let Some(refused @ OpenError::Held { .. }) = refused else { panic!("{refused:?}") };
        let said = refused.to_string();
        assert!(said.starts_with("the lock on the table _buzon_migrations was not free in time"), "{said}");
        assert!(said.contains(&format!("process {process} of the server (role")), "{said}");
    }
    session.close().await.expect("it closes");
    world.open().await.close().await;
}

/// Two processes that start at once on an empty database wait for each other, and for nothing else.
#[test(flavor = "multi_thread")]
async fn processes_that_start_together_all_start() {
    let world = World::empty(Backend::Postgres).await;
    let (one, two, three) = tokio::join!(world.try_open(), world.try_open(), world.try_open());
    for opened in [one, two, three] {
        opened.expect("it opens").close().await;
    }
}
