//! A connection pooler before the server: it must keep sessions, and may have few of them.

use serde_json::json;

use crate::support::database::pgbouncer::PgBouncer;
use crate::support::database::world::{Backend, World};
use crate::support::events::received;
use crate::support::program::process::{Buzon, run};

const IGNORED: &str = "ignore_startup_parameters = extra_float_digits";

/// Sessions that wait in the pool, and a pool that takes turns among them, do not hide the mode.
#[test(flavor = "multi_thread")]
async fn a_pooler_in_transaction_mode_is_refused_by_name_whatever_is_in_its_pool() {
    let world = World::new(Backend::Postgres).await;
    for settings in ["default_pool_size = 1", "min_pool_size = 4", "min_pool_size = 4\nserver_round_robin = 1"] {
        let pooler = PgBouncer::start(&world.url, &format!("pool_mode = transaction\n{IGNORED}\n{settings}")).await;
        let url = pooler.url(&world.url);
        let set = [("BUZON_DATABASE_URL", url.as_str()), ("BUZON_LISTEN", "127.0.0.1:0")];
        for command in [["serve"].as_slice(), &["migrate"], &["token", "list"], &["cell", "init", "a"]] {
            let refused = run(world.folder.path(), command, &set).await;
            let said = String::from_utf8_lossy(&refused.stderr).into_owned();
            let remedy = "a connection pooler in transaction mode stands before it, which mixes up statements and settings; \
                          use session mode, or connect to the server itself";
            assert_eq!((refused.status.code(), said.contains(remedy)), (Some(2), true), "{command:?}: {said}");
        }
        let doctor = run(world.folder.path(), &["doctor"], &set).await;
        assert!(String::from_utf8_lossy(&doctor.stdout).contains("transaction mode"), "{settings}: {doctor:?}");
    }
}

/// The service keeps most of the five sessions. Whatever a command then gets, it comes to an end.
#[test(flavor = "multi_thread")]
async fn with_five_sessions_events_are_taken_and_no_command_hangs() {
    let mut world = World::new(Backend::Postgres).await;
    let pool = "pool_mode = session\ndefault_pool_size = 5\nquery_wait_timeout = 10";
    let pooler = PgBouncer::start(&world.url, &format!("{pool}\n{IGNORED}")).await;
    let pooled = pooler.url(&world.url);
    let direct = std::mem::replace(&mut world.url, pooled);
    let buzon = Buzon::serve(&world, &[]).await;
    let client = crate::support::client();
    for n in 0..20 {
        let body = received(&format!("A{n}"), json!({}));
        let answer = client.post(format!("http://{}/webhook/7", buzon.address)).body(body).send().await;
        assert_eq!(answer.expect("it answers").status(), 200);
    }
    let url = world.url.clone();
    let set = [("BUZON_DATABASE_URL", url.as_str())];
    let folder = world.folder.path();
    let backup = folder.join("backup");
    let backup = backup.to_str().expect("it is text");
    for command in [
        ["doctor"].as_slice(),
        &["migrate"],
        &["token", "list"],
        &["sql", "SELECT count(*) FROM v_messages"],
        &["rebuild", "--check"],
        &["backup", backup],
    ] {
        let ended = run(folder, command, &set).await;
        assert!(ended.status.code().is_some(), "{command:?}: {ended:?}");
    }
    buzon.kill().await;
    world.url = direct;
    assert_eq!(world.value("SELECT count(*) FROM messages").await, "20");
}
