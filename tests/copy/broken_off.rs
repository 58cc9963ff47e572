//! Moves that are killed, and done again.

use std::process::Stdio;
use std::time::Duration;

use sqlx::{Connection, Executor, PgConnection};
use tokio::process::Child;

use super::*;
use crate::support::program::process::command;

/// The place in the work where it is killed: a table of the target, and the condition on the row before which the work
/// stops.
struct Stop {
    table: &'static str,
    when: &'static str,
}

/// The last step: the source is marked as moved, and the mark of the target remains.
const LAST: &str = "_buzon_copying";

const STOPS: [Stop; 6] = [
    Stop { table: "events", when: "WHEN (NEW.seq = 1)" },
    Stop { table: "events", when: "WHEN (NEW.seq = 520)" },
    Stop { table: "media", when: "" },
    Stop { table: "installation", when: "" },
    Stop { table: "messages", when: "" },
    Stop { table: LAST, when: "" },
];

/// The number of the lock at which the work stops.
const LOCK: i64 = 4711;

/// A target at whose stop a copy waits until it is killed.
struct StoppingTarget {
    world: World,
    holder: PgConnection,
}

impl StoppingTarget {
    async fn new(stop: &Stop) -> Self {
        let world = World::new(Backend::Postgres).await;
        let mut holder = PgConnection::connect(&world.url).await.expect("PostgreSQL answers");
        holder.execute(sqlx::AssertSqlSafe(format!("SELECT pg_advisory_lock({LOCK})"))).await.expect("it is free");
        let table = if stop.table == LAST { "installation" } else { stop.table };
        let making = format!(
            "CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN PERFORM pg_advisory_xact_lock_shared({LOCK}); RETURN NEW; END $$; \
             CREATE TRIGGER stop BEFORE INSERT ON {table} FOR EACH ROW {} EXECUTE FUNCTION stop()",
            stop.when
        );
        world.execute(&making).await;
        Self { world, holder }
    }

    /// Returns once a copy has stopped.
    async fn stopped(&self) {
        let waiting = "SELECT count(*) FROM pg_stat_activity \
                       WHERE datname = current_database() AND application_name = 'buzon' AND wait_event_type = 'Lock'";
        eventually("the copy stops", async || self.world.value(waiting).await == "1").await;
    }

    /// Lets a copy that has stopped go on to the last step, and stop there.
    async fn go_on_to_the_last_step(&mut self) {
        let waiting = format!("BEGIN; LOCK TABLE {LAST} IN ACCESS SHARE MODE; SELECT pg_advisory_unlock({LOCK})");
        self.holder.execute(sqlx::AssertSqlSafe(waiting)).await.expect("the mark is there");
        let marked = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = '_buzon_copying'::regclass";
        eventually("the copy removes the mark", async || self.world.value(marked).await == "1").await;
    }

    /// Lets later copies go on.
    async fn release(self) -> World {
        self.holder.close().await.expect("it closes");
        let gone = "SELECT count(*) FROM pg_stat_activity \
                    WHERE datname = current_database() AND application_name = 'buzon'";
        eventually("the killed copy's sessions end", async || self.world.value(gone).await == "0").await;
        self.world
    }
}

fn started(shop: &Shop, target: &World) -> Child {
    let (arguments, settings) = (shop.moving(target), shop.all(&shop.world.url));
    let arguments = arguments.each_ref().map(String::as_str);
    let mut command = command(shop.world.folder.path(), &arguments, &borrowed(&settings));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("the program can be started")
}

#[test(flavor = "multi_thread")]
async fn a_copy_that_is_killed_at_any_step_is_ended_by_the_same_command() {
    let shop = Shop::new().await;
    let database = shop.world.folder.path().join("buzon.db");
    let _closed = shop.said(&["token", "list"]).await;
    let whole = std::fs::read(&database).expect("it is there");
    for stop in STOPS {
        println!("at {} {}", stop.table, stop.when);
        std::fs::write(&database, &whole).expect("there is room");
        let mut target = StoppingTarget::new(&stop).await;
        let mut copy = started(&shop, &target.world);
        target.stopped().await;
        if stop.table == LAST {
            target.go_on_to_the_last_step().await;
        }
        copy.kill().await.expect("it can be killed");
        let serving = shop.run_on(&target.world, &["serve", "--listen", "127.0.0.1:0"]).await;
        assert!(refused(&serving, 2).contains("a copy into this database did not end"), "nobody serves half a copy");
        let source = shop.run_on(&shop.world, &["token", "list"]).await;
        assert_eq!(source.status.success(), stop.table != LAST, "it is usable until everything is there: {source:?}");
        let target = target.release().await;
        let said = shop.copied(&target).await;
        let expected = if stop.table == LAST { "only the last step was left" } else { "has taken its place" };
        assert!(said.contains(expected), "{said}");
        shop.assert_at(&target).await;
        assert_eq!(target.value("SELECT paused FROM forwards").await, "1");
        let source = shop.run_on(&shop.world, &["token", "list"]).await;
        assert!(refused(&source, 2).contains("was copied to"));
    }
}

#[test(flavor = "multi_thread")]
async fn a_copy_that_is_killed_at_random_moments_is_ended_by_the_same_command() {
    let shop = Shop::new().await;
    let target = World::empty(Backend::Postgres).await;
    // Each attempt may take a little longer, so that one gets through.
    let mut kills = 0;
    for attempt in 1.. {
        let mut copy = started(&shop, &target);
        match tokio::time::timeout(Duration::from_millis(250 * attempt), copy.wait()).await {
            Ok(ended) => {
                assert!(ended.expect("it can be waited for").success(), "it gave up");
                break;
            }
            Err(_) => {
                copy.kill().await.expect("it can be killed");
                kills += 1;
                let gone = "SELECT count(*) FROM pg_stat_activity \
                            WHERE datname = current_database() AND application_name = 'buzon'";
                eventually("its sessions end", async || target.value(gone).await == "0").await;
            }
        }
    }
    println!("{kills} kills");
    assert!(shop.copied(&target).await.contains("it is done already"));
    shop.assert_at(&target).await;
}

/// The source may be used after a copy was broken off. What is copied then is out of date.
#[test(flavor = "multi_thread")]
async fn a_source_that_was_used_since_a_copy_was_broken_off_is_copied_anew() {
    let shop = Shop::new().await;
    let target = StoppingTarget::new(&STOPS[4]).await;
    let mut copy = started(&shop, &target.world);
    target.stopped().await;
    copy.kill().await.expect("it can be killed");
    let target = target.release().await;
    let buzon = shop.serve(&shop.world).await;
    let eva = format!("{EVA}@c.us");
    let repeat = received("E1", json!({"chat_id": eva, "from": eva, "latitude": 4.65, "longitude": -74.05}));
    buzon.deliver(repeat).await.accepted();
    buzon.deliver(received("meanwhile", json!({}))).await.accepted();
    buzon.kill().await;
    shop.said(&["contact", "name", "7", EVA, "Eva"]).await;
    shop.copied(&target).await;
    shop.assert_at(&target).await;
    assert_eq!(target.value("SELECT deliveries FROM events WHERE message_id = 'E1'").await, "2");
    assert_eq!(target.value("SELECT name FROM chat_names").await, "Eva");
}

/// A service that has the place open since before the copy does not see the mark.
#[test(flavor = "multi_thread")]
async fn what_somebody_else_writes_to_the_new_place_meanwhile_is_noticed() {
    let shop = Shop::new().await;
    let target = StoppingTarget::new(&STOPS[2]).await;
    let theirs = Buzon::serve(&target.world, &[("BUZON_WEBHOOK_SECRET", SECRET)]).await;
    let mut copy = started(&shop, &target.world);
    target.stopped().await;
    theirs.deliver(received("theirs", json!({}))).await.accepted();
    theirs.kill().await;
    let target = target.release().await;
    assert_eq!(copy.wait().await.expect("it ends").code(), Some(1));
    shop.said(&["token", "list"]).await;
    let said = shop.not_copied(&target, 1).await;
    assert!(said.contains("differs from sqlite://") && said.contains("in events"), "{said}");
}
