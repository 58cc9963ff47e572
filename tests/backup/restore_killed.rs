//! A restore into PostgreSQL that is killed while its `pg_restore` continues by itself.

use sqlx::{Connection, Executor, PgConnection};

use super::*;

/// A `pg_restore` that pauses where it is told to, until it may continue.
struct Restorer {
    folder: tempfile::TempDir,
}

impl Restorer {
    /// The `script` can use `$real` for the real program, and `pause`.
    fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().expect("there is a temporary folder");
        let sought = ["-c", "ls /usr/lib/postgresql/*/bin/pg_restore | tail -n 1"];
        let found = std::process::Command::new("sh").args(sought).output().expect("it runs");
        let real = String::from_utf8(found.stdout).expect("it is text");
        let text = format!(
            "#!/bin/sh\nhere={here}\nreal={real}\n\
             pause() {{ touch $here/paused; while [ -d $here ] && [ ! -e $here/go ]; do sleep 0.05; done; }}\n\
             [ \"$1\" != --version ] || exec $real --version\n{script}\n",
            here = folder.path().display(),
            real = real.trim(),
        );
        let program = folder.path().join("pg_restore");
        std::fs::write(&program, text).expect("it can be written");
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("it is ours");
        Self { folder }
    }

    /// Starts a restore, and kills it when its `pg_restore` pauses.
    async fn kill_a_restore(&self, site: &Site) {
        let bin = self.folder.path().display().to_string();
        let restore = started(site, &["restore", &site.dest, "--pg-bin", &bin]);
        let paused = self.folder.path().join("paused");
        eventually("the program pauses", async || paused.exists()).await;
        kill(restore).await;
    }

    fn go_on(&self) {
        std::fs::write(self.folder.path().join("go"), "").expect("it can be written");
    }
}

/// Returns a site on PostgreSQL with a backup.
async fn backed_up() -> Site {
    let site = Site::in_folders(Backend::Postgres).await;
    let (_gateway, origin) = gateway(1).await;
    let buzon = site.serve(&origin).await;
    deliver_some(&site, &buzon, 0..1).await;
    site.backup().await;
    buzon.kill().await;
    site
}

const BEFORE: &str = "pause; exec $real \"$@\"";
const AFTER: &str = "$real \"$@\"; code=$?; pause; exit $code";

/// After the restore is killed, its `pg_restore` continues, and commits a database with the original's name.
#[test(flavor = "multi_thread")]
async fn a_restore_that_is_killed_at_any_step_leaves_nothing_that_serves_and_can_be_done_again() {
    let site = backed_up().await;
    let id = "SELECT database_id FROM installation";
    let original = site.world.value(id).await;
    let tables =
        "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname = 'installation'";
    for (script, goes_on) in [(BEFORE, false), (BEFORE, true), (AFTER, false)] {
        let twin = site.empty_twin().await;
        let restorer = Restorer::new(script);
        restorer.kill_a_restore(&twin).await;
        if goes_on {
            restorer.go_on();
        }
        if goes_on || script == AFTER {
            eventually("it is committed", async || twin.world.value(tables).await == "1").await;
            assert_eq!(twin.world.value(id).await, original, "this is what must not be served");
        }
        for arguments in
            [&["serve", "--listen", "127.0.0.1:0"][..], &["migrate"], &["token", "list"], &["backup", "elsewhere"]]
        {
            let said = twin.refused(2, arguments).await;
            let line = "buzon: a restore of this database did not end; run buzon restore again, which begins anew\n";
            assert_eq!(said, line, "{arguments:?}");
        }
        twin.said(&["restore", &twin.dest]).await;
        assert_eq!(twin.world.dump().await, site.world.dump().await);
        assert_ne!(twin.world.value(id).await, original);
        assert_eq!(twin.world.value("SELECT count(*) FROM pg_class WHERE relname = '_buzon_restoring'").await, "0");
        let said = twin.refused(2, &["restore", &twin.dest]).await;
        assert!(said.contains("is not empty"), "a restored database is not restored over: {said}");
    }
}

/// A killed restore's `pg_restore` can still be in its transaction when the restore runs again.
#[test(flavor = "multi_thread")]
async fn a_session_that_a_killed_restore_left_behind_is_ended_by_the_next() {
    let site = backed_up().await;
    let twin = site.empty_twin().await;
    Restorer::new(BEFORE).kill_a_restore(&twin).await;
    let mut url = url::Url::parse(&twin.world.url).expect("it is a URL");
    url.query_pairs_mut().append_pair("application_name", "buzon backup");
    let mut orphan = PgConnection::connect(url.as_str()).await.expect("PostgreSQL answers");
    orphan.execute("BEGIN; CREATE TABLE events (x int)").await.expect("it may");
    twin.said(&["restore", &twin.dest]).await;
    orphan.execute("COMMIT").await.expect_err("it was ended");
    assert_eq!(twin.world.dump().await, site.world.dump().await);
}

/// A mark that another user set says nothing about the tables beside it.
#[test(flavor = "multi_thread")]
async fn a_mark_that_somebody_else_has_made_empties_no_database() {
    let site = backed_up().await;
    let stranger = format!("stranger_{}", uuid::Uuid::now_v7().simple());
    let marked = format!(
        "CREATE ROLE {stranger}; CREATE TABLE _buzon_restoring (); ALTER TABLE _buzon_restoring OWNER TO {stranger}"
    );
    site.world.execute(&marked).await;
    let before = site.world.dump().await;
    let said = site.refused(2, &["restore", &site.dest]).await;
    assert!(said.contains("is not empty"), "{said}");
    assert_eq!(site.world.dump().await, before);
    site.world.execute(&format!("DROP OWNED BY {stranger}; DROP ROLE {stranger}")).await;
}

/// A copy that the database refuses leaves nothing behind, not even the mark.
#[test(flavor = "multi_thread")]
async fn a_restore_that_the_database_refuses_leaves_an_empty_database() {
    let site = backed_up().await;
    let twin = site.empty_twin().await;
    let restorer = Restorer::new("echo 'pg_restore: error: no room' >&2; exit 1");
    let bin = restorer.folder.path().display().to_string();
    let said = twin.refused(1, &["restore", &twin.dest, "--pg-bin", &bin]).await;
    assert!(said.contains("no room"), "{said}");
    let left = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace";
    assert_eq!(twin.world.value(left).await, "0");
    twin.said(&["restore", &twin.dest]).await;
}
