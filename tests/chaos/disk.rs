//! A disk that is full, and then is not.

use std::path::{Path, PathBuf};

use rustix::process::Signal;

use super::{Loader, SETTINGS, reckon, rounds, seed};
use crate::support::eventually;
use crate::support::process::Buzon;
use crate::support::room::namespace;
use crate::support::world::{Backend, World};

/// Leaves so much room and no more, until it is dropped.
struct Filler(PathBuf);

impl Filler {
    fn leave(folder: &Path, bytes: u64) -> Self {
        let path = folder.join("filler");
        let free = rustix::fs::statvfs(folder).map(|it| it.f_bavail * it.f_frsize).expect("the disk is there");
        // Somebody else may take some of it meanwhile: then nothing is left.
        let _ = std::fs::write(&path, vec![0; free.saturating_sub(bytes) as usize]);
        Self(path)
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).expect("it is there");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_sqlite_acknowledges_nothing_and_goes_on_when_there_is_room() {
    let mut world = World::new(Backend::Sqlite).await;
    let mounted = world.folder.path().join("small");
    std::fs::create_dir(&mounted).expect("it can be made");
    world.url = format!("sqlite://{}", mounted.join("buzon.db").display());
    let mount = format!("mount -t tmpfs -o size=64m none {} && exec \"$@\"", mounted.display());
    let wrapper = [namespace(), &["sh", "-c", mount.as_str(), "sh"]].concat();
    let buzon =
        Buzon::serve_under("unshare", &wrapper, &world, &[SETTINGS, &[("BUZON_MEDIA_MIN_FREE", "0")]].concat()).await;
    let inside = buzon.root().join(mounted.strip_prefix("/").expect("it is absolute"));
    let rounds = rounds(3);
    let loader = Loader::start(seed(), buzon.address);
    for round in 0..rounds {
        loader.gets_on(50).await;
        let filler = Filler::leave(&inside, 200_000 + round % 7 * 4_096);
        let refused = loader.failed();
        eventually("there is no room any more", async || loader.failed() > refused + 20).await;
        let live = crate::support::client().get(format!("http://{}/health/live", buzon.address));
        assert_eq!(live.send().await.expect("it answers").status(), 200);
        drop(filler);
        loader.gets_on(50).await;
    }
    let sent = loader.end().await;
    // Nobody else sees the disk, and it goes with the process, which may still write what its clients gave up.
    buzon.signal(Signal::STOP);
    for name in ["buzon.db", "buzon.db-wal"] {
        std::fs::copy(inside.join(name), world.folder.path().join(name)).expect("it is there");
    }
    buzon.kill().await;
    world.url = format!("sqlite://{}", world.folder.path().join("buzon.db").display());
    reckon(&world, &sent, rounds).await;
}
