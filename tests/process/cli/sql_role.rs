//! `buzon sql-role`: a role that reads everything and writes nothing.

use std::process::Output;

use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};

use crate::support::clock::ARRIVAL;
use crate::support::database::postgres;
use crate::support::database::world::{Backend, World, record};
use crate::support::events::{event, received};
use crate::support::program::process::run;

async fn sql_role(world: &World, url: &str, arguments: &[&str]) -> Output {
    let arguments = [&["sql-role"], arguments].concat();
    run(world.folder.path(), &arguments, &[("BUZON_DATABASE_URL", url)]).await
}

#[track_caller]
fn refusal(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr.clone()).expect("it is text")
}

#[track_caller]
fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).expect("it is text")
}

/// Returns a name that no other test uses: roles belong to the whole server.
fn role_name() -> String {
    format!("reader_{}", uuid::Uuid::now_v7().simple())
}

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url.trim()).await.expect("the role can connect")
}

/// Runs a statement, and returns PostgreSQL's error code.
async fn code(connection: &mut PgConnection, statement: &str) -> String {
    let refused = connection.execute(AssertSqlSafe(statement)).await.expect_err(statement);
    refused.as_database_error().and_then(|error| error.code()).expect("the server says it").into_owned()
}

const DENIED: &str = "42501";
const READ_ONLY: &str = "25006";

#[test]
async fn the_role_reads_everything_and_writes_nothing() {
    let world = World::empty(Backend::Postgres).await;
    let store = world.open().await;
    record(&store, &[event("7", received("A", json!({})), ARRIVAL)]).await;
    // This grant was the default before PostgreSQL 15. Nobody may read tokens, which hold hashes.
    world.execute("GRANT CREATE ON SCHEMA public TO PUBLIC").await;
    world.execute("CREATE TABLE IF NOT EXISTS api_tokens (sha256 BYTEA)").await;
    let name = role_name();
    let said = stdout(&sql_role(&world, &world.url, &[&name]).await);
    let url = said.lines().nth(1).expect("there is a line to connect with");
    assert!(url.contains(&format!("{name}:")), "{url}");
    let mut reader = connect(url).await;
    let row = reader.fetch_one("SELECT body FROM v_messages").await.expect("it reads");
    assert_eq!(row.get::<String, _>(0), "Hola");
    reader.fetch_one("SELECT count(*) FROM events").await.expect("it reads tables");
    for hidden in ["api_tokens", "audit", "forward_failures", "pseudonym_keys", "sessions"] {
        assert_eq!(code(&mut reader, &format!("SELECT * FROM {hidden}")).await, DENIED, "{hidden}");
    }
    // The role's transactions are read-only by default. The role may change that, so the default does not protect the
    // data.
    for default in [READ_ONLY, DENIED] {
        for write in [
            "INSERT INTO chats (instance_id) VALUES ('7')",
            "UPDATE messages SET body = 'x'",
            "DELETE FROM messages",
            "TRUNCATE messages",
            "CREATE TABLE theirs (x int)",
            "CREATE TEMP TABLE theirs (x int)",
            "CREATE SCHEMA theirs",
        ] {
            assert_eq!(code(&mut reader, write).await, default, "{write}");
        }
        reader.execute("SET default_transaction_read_only = off").await.expect("anybody may");
    }
    // Only the owner may do this, whatever the statement.
    for write in ["DROP TABLE messages", "ALTER TABLE messages ADD COLUMN x int", "DROP VIEW v_messages"] {
        assert_eq!(code(&mut reader, write).await, DENIED, "{write}");
    }
    for (setting, value) in [("statement_timeout", "30s"), ("idle_in_transaction_session_timeout", "1min")] {
        let row = reader.fetch_one(AssertSqlSafe(format!("SHOW {setting}"))).await.expect("it is shown");
        assert_eq!(row.get::<String, _>(0), value);
    }
    // The role cannot fill the disk either: the tests' user is a superuser, who can revoke these functions.
    for filling in ["SELECT lo_creat(-1)", "SELECT lo_create(0)", "SELECT lo_from_bytea(0, 'x')"] {
        assert_eq!(code(&mut reader, filling).await, DENIED, "{filling}");
    }
    let row = reader.fetch_one("SHOW temp_file_limit").await.expect("it is shown");
    assert_eq!(row.get::<String, _>(0), "1GB");
    assert_eq!(code(&mut reader, "SET temp_file_limit = -1").await, DENIED);
    reader.execute("SET statement_timeout = '10ms'").await.expect("anybody may");
    assert_eq!(code(&mut reader, "SELECT pg_sleep(60)").await, "57014");
    // Tables of a later version can be read too, except its tokens.
    world.execute("CREATE TABLE later (x int); DROP TABLE api_tokens; CREATE TABLE api_tokens (sha256 BYTEA)").await;
    reader.fetch_all("SELECT * FROM later").await.expect("it reads");
    store.close().await;
    world.execute("DROP TABLE later").await;
    world.open().await.close().await;
    assert_eq!(code(&mut reader, "SELECT * FROM api_tokens").await, DENIED);
    reader.close().await.expect("it closes");
    assert!(stdout(&sql_role(&world, &world.url, &[&name, "--drop"]).await).contains("is gone"));
    assert_eq!(world.value(&format!("SELECT count(*) FROM pg_roles WHERE rolname = '{name}'")).await, "0");
}

#[test]
async fn a_role_gets_another_password_and_one_that_is_somebody_elses_is_left_alone() {
    let world = World::empty(Backend::Postgres).await;
    world.open().await.close().await;
    let name = role_name();
    let missing = refusal(&sql_role(&world, &world.url, &[&name, "--drop"]).await, 1);
    assert!(missing.contains("there is no role"), "{missing}");
    let first = stdout(&sql_role(&world, &world.url, &[&name]).await);
    let second = stdout(&sql_role(&world, &world.url, &[&name]).await);
    assert_ne!(first, second);
    let stored = format!("SELECT rolcanlogin AND NOT rolsuper FROM pg_roles WHERE rolname = '{name}'");
    assert_eq!(world.value(&stored).await, "1");
    world.execute(&format!("COMMENT ON ROLE {name} IS 'mine'")).await;
    for arguments in [&[name.as_str()][..], &[&name, "--drop"], &["buzon"]] {
        let refused = refusal(&sql_role(&world, &world.url, arguments).await, 2);
        assert!(refused.contains("not made by this command"), "{refused}");
    }
    let grants = format!("DROP OWNED BY {name}; DROP ROLE {name}");
    world.execute(&grants).await;
    for wrong in ["Reader", "pg_reader", "a b", "x\"; DROP TABLE messages; --"] {
        assert!(refusal(&sql_role(&world, &world.url, &[wrong]).await, 2).contains("a role has a name"));
    }
}

/// In a new database, PUBLIC has privileges that only a superuser can take from a role.
#[test]
async fn an_owner_who_is_no_superuser_is_told_what_one_must_do_for_the_disk() {
    let world = World::empty(Backend::Postgres).await;
    let (owner, name) = (role_name(), role_name());
    let database = postgres::name(&world.url);
    let made = format!("CREATE ROLE {owner} LOGIN CREATEROLE; ALTER DATABASE {database} OWNER TO {owner}");
    world.execute(&format!("{made}; ALTER SCHEMA public OWNER TO {owner}")).await;
    let mut url = url::Url::parse(&world.url).expect("it is a URL");
    url.set_username(&owner).expect("it takes one");
    let migrated = run(world.folder.path(), &["migrate"], &[("BUZON_DATABASE_URL", url.as_str())]).await;
    assert!(migrated.status.success(), "{migrated:?}");
    let output = sql_role(&world, url.as_str(), &[&name]).await;
    let said = String::from_utf8(output.stderr.clone()).expect("it is text");
    let line = "buzon: only a superuser can keep the role from filling the disk with large objects and temporary files; let \
                one run, in this database: ";
    let statements = said.strip_prefix(line).unwrap_or_else(|| panic!("{said}"));
    let mut reader = connect(stdout(&output).lines().nth(1).expect("there is a line to connect with")).await;
    reader
        .execute("SET default_transaction_read_only = off; SELECT lo_unlink(lo_creat(-1))")
        .await
        .expect("everybody may");
    world.execute(statements).await;
    assert_eq!(code(&mut reader, "SELECT lo_creat(-1)").await, DENIED);
    let setting = format!("SELECT rolconfig::text LIKE '%temp_file_limit=1GB%' FROM pg_roles WHERE rolname = '{name}'");
    assert_eq!(world.value(&setting).await, "1");
    reader.close().await.expect("it closes");
    stdout(&sql_role(&world, url.as_str(), &[&name, "--drop"]).await);
}

#[test]
async fn a_user_who_may_make_no_roles_prints_the_statements_for_one_who_may() {
    let world = World::empty(Backend::Postgres).await;
    let (owner, name) = (role_name(), role_name());
    world.execute(&format!("CREATE ROLE {owner} LOGIN; GRANT CREATE, USAGE ON SCHEMA public TO {owner}")).await;
    let mut url = url::Url::parse(&world.url).expect("it is a URL");
    url.set_username(&owner).expect("it takes one");
    let migrated = run(world.folder.path(), &["migrate"], &[("BUZON_DATABASE_URL", url.as_str())]).await;
    assert!(migrated.status.success(), "{migrated:?}");
    let refused = refusal(&sql_role(&world, url.as_str(), &[&name]).await, 1);
    assert!(refused.contains("--print"), "{refused}");
    let printed = stdout(&sql_role(&world, url.as_str(), &[&name, "--print"]).await);
    assert_eq!(world.value(&format!("SELECT count(*) FROM pg_roles WHERE rolname = '{name}'")).await, "0");
    postgres::execute(&world.url, &printed).await;
    let (_, connection) = printed.split_once("-- It then connects with: ").expect("it says how");
    let mut reader = connect(connection).await;
    reader.fetch_one("SELECT count(*) FROM v_messages").await.expect("it reads");
    reader.close().await.expect("it closes");
    // Tables that the owner creates later can be read as well.
    world.execute(&format!("SET ROLE {owner}; CREATE TABLE later (x int)")).await;
    let mut reader = connect(connection).await;
    reader.fetch_all("SELECT * FROM later").await.expect("it reads");
    reader.close().await.expect("it closes");
    world.execute(&format!("DROP OWNED BY {name}; DROP ROLE {name}")).await;
    world.execute(&format!("DROP OWNED BY {owner} CASCADE; DROP ROLE {owner}")).await;
}

#[test]
async fn with_sqlite_it_says_how_to_open_the_file() {
    let world = World::empty(Backend::Sqlite).await;
    let refused = refusal(&sql_role(&world, &world.url, &["reader"]).await, 2);
    assert!(refused.contains("sqlite3 -readonly") && refused.contains("buzon.db"), "{refused}");
}
