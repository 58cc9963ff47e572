//! The power goes: what the device had is all that is left.
//!
//! The database lies on a file system in a file. Its processes are stopped, the file is copied, which has only what reached the
//! "device", and from the copy they start again. That needs root.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use super::{Loader, SETTINGS, moment, reckon, rounds, seed};
use crate::support::dice::Dice;
use crate::support::postgres::{Control, Server};
use crate::support::process::Buzon;
use crate::support::world::{Backend, World};

const MEGABYTES: u64 = 400;

/// A file system in a file, whose journal is written when it is asked for and hardly ever else.
struct Disk {
    /// The images, and the folder where the last is mounted.
    folder: TempDir,
    images: u32,
}

impl Disk {
    /// `None` where that is not allowed.
    fn create() -> Option<Self> {
        let disk = Self { folder: tempfile::tempdir().expect("there is a temporary folder"), images: 0 };
        std::fs::create_dir(disk.path()).expect("it can be made");
        let image = std::fs::File::create(disk.image()).expect("it can be made");
        image.set_len(MEGABYTES * 1024 * 1024).expect("it can be sparse");
        let made = rustix::process::getuid().is_root() && run("mkfs.ext4", &["-q".as_ref(), disk.image().as_ref()]);
        if !made || !disk.mount() {
            println!("SKIPPED: no power can be cut here, because that needs root and loop devices");
            return None;
        }
        Some(disk)
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join(format!("image{}", self.images))
    }

    fn mount(&self) -> bool {
        let mounted =
            run("mount", &["-o".as_ref(), "loop,commit=300".as_ref(), self.image().as_ref(), self.path().as_ref()]);
        mounted && run("chmod", &["1777".as_ref(), self.path().as_ref()])
    }

    /// Takes what the device has at this moment.
    fn copy(&mut self) {
        let image = self.image();
        self.images += 1;
        let copied = run("cp", &["--sparse=always".as_ref(), image.as_ref(), self.image().as_ref()]);
        assert!(copied, "the image can be copied");
        std::fs::remove_file(image).expect("it is there");
    }

    /// Puts the copy where the disk was.
    fn replace(&self) {
        self.unmount();
        assert!(self.mount(), "the copy is a file system");
    }

    fn unmount(&self) {
        run("umount", &["--lazy".as_ref(), self.path().as_ref()]);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.unmount();
    }
}

fn run(program: &str, arguments: &[&Path]) -> bool {
    let output = Command::new(program).args(arguments).output();
    output.is_ok_and(|output| output.status.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_has_what_it_acknowledged_after_the_power_went() {
    let Some(mut disk) = Disk::create() else { return };
    let mut world = World::new(Backend::Sqlite).await;
    world.url = format!("sqlite://{}", disk.path().join("buzon.db").display());
    let (seed, rounds) = (seed(), rounds(2));
    let mut dice = Dice::new(seed);
    let mut buzon = Buzon::serve(&world, SETTINGS).await;
    let loader = Loader::start(seed, buzon.address);
    for _ in 0..rounds {
        loader.gets_on(moment(&mut dice, 100, 1_000)).await;
        buzon.signal(Signal::STOP);
        disk.copy();
        buzon.kill().await;
        disk.replace();
        buzon = Buzon::serve(&world, SETTINGS).await;
        loader.turn_to(vec![buzon.address]);
    }
    loader.gets_on(100).await;
    reckon(&world, &loader.end().await, rounds).await;
    buzon.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_has_what_was_acknowledged_after_the_power_went() {
    let Some(mut disk) = Disk::create() else { return };
    let server = Server::start_in(&disk.path(), "");
    let world = World::on_server(&server.url, "").await;
    let control = Control::of(&server.url).await;
    let (seed, rounds) = (seed(), rounds(2));
    let mut dice = Dice::new(seed);
    let buzon = Buzon::serve(&world, SETTINGS).await;
    let loader = Loader::start(seed, buzon.address);
    for _ in 0..rounds {
        loader.gets_on(moment(&mut dice, 100, 1_000)).await;
        let processes = control.freeze();
        disk.copy();
        control.end(&processes).await;
        disk.replace();
        control.start().await;
    }
    loader.gets_on(100).await;
    reckon(&world, &loader.end().await, rounds).await;
    buzon.kill().await;
    drop(server);
}
