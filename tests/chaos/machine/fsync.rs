//! A disk that reports a failed write or sync: at the first call, the second, and so on.

use std::path::PathBuf;

use tempfile::TempDir;

use crate::chaos::{Loader, SETTINGS, assert_nothing_lost, compile_preload, rounds, seed};
use crate::support::database::postgres::{Server, ServerControl};
use crate::support::database::world::{Backend, World};
use crate::support::eventually;
use crate::support::program::process::Buzon;

/// A library that is loaded before the system's, and the files through which it is controlled.
struct Shim {
    folder: TempDir,
}

impl Shim {
    fn build() -> Self {
        let folder = tempfile::tempdir().expect("there is a temporary folder");
        compile_preload("shim.c", folder.path());
        // The PostgreSQL server writes here too, and runs as another user.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(folder.path(), open).expect("it is ours");
        Self { folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns the environment in which the `nth` call of this kind, `sync` or `write`, fails on a path that contains
    /// `path`.
    fn environment(&self, call: &'static str, nth: u64, path: &str) -> Vec<(&'static str, String)> {
        let file = |name| self.file(name).display().to_string();
        vec![
            ("LD_PRELOAD", file("shim.so")),
            ("SHIM_ARMED", file("armed")),
            ("SHIM_DONE", file("done")),
            ("SHIM_CALL", call.to_owned()),
            ("SHIM_NTH", nth.to_string()),
            ("SHIM_PATH", path.to_owned()),
        ]
    }

    fn arm(&self) {
        std::fs::write(self.file("armed"), "").expect("it can be written");
    }

    async fn has_failed(&self) {
        eventually("a write to disk fails", async || self.file("done").exists()).await;
    }

    fn disarm(&self) {
        for name in ["armed", "done"] {
            std::fs::remove_file(self.file(name)).expect("it is there");
        }
    }
}

#[test(flavor = "multi_thread")]
async fn what_sqlite_could_not_write_is_not_acknowledged_whichever_call_it_was() {
    let world = World::new(Backend::Sqlite).await;
    let (seed, rounds) = (seed(), rounds(8));
    let shim = Shim::build();
    let mut buzon = Buzon::serve(&world, SETTINGS).await;
    let loader = Loader::start(seed, buzon.address);
    for round in 0..rounds {
        buzon.kill().await;
        let call = ["sync", "write"][round as usize % 2];
        let environment = shim.environment(call, 1 + round / 2, "buzon.db");
        buzon = Buzon::serve(&world, &[SETTINGS, &crate::support::borrowed(&environment)].concat()).await;
        loader.send_to(vec![buzon.address]);
        loader.wait_for_acks(20).await;
        shim.arm();
        shim.has_failed().await;
        loader.wait_for_acks(20).await;
        shim.disarm();
    }
    assert_nothing_lost(&world, &loader.end().await, rounds).await;
    buzon.kill().await;
}

/// PostgreSQL ends all its processes rather than continue, and restarts by itself.
#[test(flavor = "multi_thread")]
async fn what_postgresql_could_not_write_is_not_acknowledged() {
    let (seed, rounds) = (seed(), rounds(3));
    let shim = Shim::build();
    let server = Server::start("");
    let world = World::on_server(&server.url, "").await;
    let control = ServerControl::of(&server.url).await;
    let buzon = Buzon::serve(&world, SETTINGS).await;
    let loader = Loader::start(seed, buzon.address);
    for nth in 1..=rounds {
        loader.wait_for_acks(20).await;
        control.start_with(&shim.environment("sync", nth, "pg_wal")).await;
        loader.wait_for_acks(20).await;
        shim.arm();
        shim.has_failed().await;
        loader.wait_for_acks(50).await;
        shim.disarm();
    }
    assert_nothing_lost(&world, &loader.end().await, rounds).await;
    buzon.kill().await;
}
