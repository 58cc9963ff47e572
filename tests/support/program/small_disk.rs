//! A small disk that only the program sees, and a way to fill it.

use std::path::{Path, PathBuf};

use super::mount_namespace::namespace;
use super::process::Buzon;
use crate::support::database::world::World;

/// Returns the folder of the small disk, for the settings of the program.
pub fn small_disk(world: &World) -> PathBuf {
    world.folder.path().join("small")
}

/// Starts the program with a disk of this size at [`small_disk`]. Returns it with the disk's folder as others reach it.
pub async fn serve_with_small_disk(world: &World, size: &str, settings: &[(&str, &str)]) -> (Buzon, PathBuf) {
    let mounted = small_disk(world);
    std::fs::create_dir(&mounted).expect("it can be made");
    let mount = format!("mount -t tmpfs -o size={size} none {} && exec \"$@\"", mounted.display());
    let wrapper = [namespace(), &["sh", "-c", mount.as_str(), "sh"]].concat();
    let buzon = Buzon::serve_under("unshare", &wrapper, world, settings).await;
    let inside = buzon.root().join(mounted.strip_prefix("/").expect("it is absolute"));
    (buzon, inside)
}

/// Starts the program as [`serve_with_small_disk`] does, with the database of `world` on the disk.
pub async fn serve_on_small_disk(world: &mut World, settings: &[(&str, &str)]) -> (Buzon, PathBuf) {
    world.url = format!("sqlite://{}", small_disk(world).join("buzon.db").display());
    serve_with_small_disk(world, "64m", settings).await
}

/// A file that leaves only this much space free, until it is dropped.
pub struct Filler(PathBuf);

impl Filler {
    pub fn leave(folder: &Path, bytes: u64) -> Self {
        let path = folder.join("filler");
        let free = rustix::fs::statvfs(folder).map(|it| it.f_bavail * it.f_frsize).expect("the disk is there");
        // Another process may take space meanwhile. The write then fails, and nothing is left either.
        let _ = std::fs::write(&path, vec![0; free.saturating_sub(bytes) as usize]);
        Self(path)
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).expect("it is there");
    }
}
