//! A file system of its own on a device that is a file. It needs root.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A file system in a file. Its journal is written on request and hardly ever otherwise.
pub struct Disk {
    /// Holds the images, and the folder where the last image is mounted.
    folder: TempDir,
    images: u32,
}

impl Disk {
    /// Creates a disk for a database that survives this many faults. Returns `None` where mounting is not allowed.
    pub fn create(faults: u64) -> Option<Self> {
        let disk = Self { folder: tempfile::tempdir().expect("there is a temporary folder"), images: 0 };
        std::fs::create_dir(disk.path()).expect("it can be made");
        let image = std::fs::File::create(disk.image()).expect("it can be made");
        image.set_len((400 + 5 * faults) * 1024 * 1024).expect("it can be sparse");
        let made = rustix::process::getuid().is_root() && run("mkfs.ext4", &["-q".as_ref(), disk.image().as_ref()]);
        if !made || !disk.mount() {
            println!("SKIPPED: there is no disk for this here, because that needs root and loop devices");
            return None;
        }
        Some(disk)
    }

    pub fn path(&self) -> PathBuf {
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

    /// Copies what the device holds at this moment.
    pub fn copy(&mut self) {
        let image = self.image();
        self.images += 1;
        let copied = run("cp", &["--sparse=always".as_ref(), image.as_ref(), self.image().as_ref()]);
        assert!(copied, "the image can be copied");
        std::fs::remove_file(image).expect("it is there");
    }

    /// Mounts the copy in place of the disk.
    pub fn replace(&self) {
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
