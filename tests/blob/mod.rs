//! Files in a folder and in a bucket. Each case runs on both, unless it is about one of them.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use buzon::blob::{BlobError, BlobLocation, Blobs, S3Options};
use buzon::domain::media::object_key::ObjectKey;
use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::support::s3::S3Server;

mod files;
mod folder;
mod garage;
mod limits;
mod marker;
mod presign;
mod uploads;

const MIB: usize = 1024 * 1024;

/// An empty store of files, in a folder or in a bucket.
struct TestBlobs {
    blobs: Blobs,
    /// The server of the bucket.
    server: Option<S3Server>,
    folder: TempDir,
}

impl TestBlobs {
    fn folder() -> Self {
        let folder = tempfile::tempdir().expect("there is a temporary folder");
        let location = BlobLocation::Folder(folder.path().join("made/media"));
        let blobs = Blobs::open(&location, &S3Options::default()).expect("the folder can be made");
        Self { blobs, server: None, folder }
    }

    async fn bucket() -> Self {
        let server = S3Server::start().await;
        let blobs = Blobs::open(&server.location("some/prefix"), &server.options()).expect("the options are right");
        Self { blobs, server: Some(server), folder: tempfile::tempdir().expect("there is a temporary folder") }
    }

    fn server(&self) -> &S3Server {
        self.server.as_ref().expect("it is a bucket")
    }

    /// Returns the folder that holds the files on this machine's disk.
    fn path(&self) -> PathBuf {
        match &self.server {
            Some(server) => server.bucket().join("some/prefix"),
            None => self.folder.path().join("made/media"),
        }
    }

    /// Returns the names of all files on the disk, each with its parent folder.
    fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut folders = vec![self.path()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let path = entry.expect("it can be read").path();
                if path.is_dir() { folders.push(path) } else { names.push(last_two(&path)) }
            }
        }
        names.sort();
        names
    }

    /// Stores this content under its own name.
    async fn put(&self, content: &[u8]) -> Result<ObjectKey, BlobError> {
        let key = key(content);
        self.blobs.put(&key, temporary(content), content.len() as u64).await.map(|()| key)
    }

    async fn read(&self, key: &ObjectKey, range: std::ops::Range<u64>) -> Result<Vec<u8>, BlobError> {
        let pieces: Vec<_> = self.blobs.read(key, range).await?.try_collect().await?;
        Ok(pieces.concat())
    }
}

/// Runs `test` with a folder and with a bucket.
async fn on_both(mut test: impl AsyncFnMut(TestBlobs)) {
    println!("in a folder");
    test(TestBlobs::folder()).await;
    println!("in a bucket");
    test(TestBlobs::bucket().await).await;
}

fn last_two(path: &Path) -> String {
    let names: Vec<_> = path.iter().rev().take(2).map(|name| name.to_str().expect("it is text")).collect();
    format!("{}/{}", names[1], names[0])
}

fn key(content: &[u8]) -> ObjectKey {
    ObjectKey::of_digest(Sha256::digest(content).into())
}

/// Returns a file without a name.
fn temporary(content: &[u8]) -> Arc<File> {
    let mut file = tempfile::tempfile().expect("there is a temporary folder");
    file.write_all(content).expect("there is room");
    Arc::new(file)
}

/// Returns bytes without repetition, which differ for each seed.
fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(length.div_ceil(8)).flatten().take(length).collect()
}
