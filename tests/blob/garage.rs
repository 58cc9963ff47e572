//! Garage, a real S3 server from another project: `cargo install garage`, then `BUZON_TEST_GARAGE=PATH cargo test
//! --test suite blob::garage -- --ignored`.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use buzon::blob::{BlobLocation, Blobs, Owner, S3Keys, S3Options};
use futures_util::TryStreamExt;
use tempfile::TempDir;

use super::{MIB, bytes, key, temporary};
use crate::support::eventually;

const ACCESS_KEY_ID: &str = "GK31c2f218a2e44f485b94239e";
const SECRET_ACCESS_KEY: &str = "b892c0665f0ada8a4755dae98baa3b133590e11dae3bcc1f9d769d67f16c3835";

struct Garage {
    process: Child,
    port: u16,
    _folder: TempDir,
}

impl Drop for Garage {
    fn drop(&mut self) {
        // The process may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Garage {
    async fn start() -> Self {
        let program = std::env::var("BUZON_TEST_GARAGE").expect("BUZON_TEST_GARAGE names the program");
        let folder = tempfile::tempdir().expect("there is a temporary folder");
        let free = || TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port is free").port();
        let (port, rpc) = (free(), free());
        let path = folder.path().display();
        let config = format!(
            "metadata_dir = \"{path}/meta\"\ndata_dir = \"{path}/data\"\ndb_engine = \"sqlite\"\n\
             replication_factor = 1\nrpc_bind_addr = \"127.0.0.1:{rpc}\"\nrpc_public_addr = \"127.0.0.1:{rpc}\"\n\
             rpc_secret = \"{secret}\"\n[s3_api]\ns3_region = \"garage\"\napi_bind_addr = \"127.0.0.1:{port}\"\n",
            secret = "ab".repeat(32),
        );
        let file = folder.path().join("garage.toml");
        std::fs::write(&file, config).expect("it can be written");
        let process = Command::new(program)
            .args(["-c", file.to_str().expect("it is text"), "server", "--single-node", "--default-bucket"])
            .env("GARAGE_DEFAULT_ACCESS_KEY", ACCESS_KEY_ID)
            .env("GARAGE_DEFAULT_SECRET_KEY", SECRET_ACCESS_KEY)
            .env("GARAGE_DEFAULT_BUCKET", "media")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it can be started");
        Self { process, port, _folder: folder }
    }

    fn options(&self) -> S3Options {
        let keys = S3Keys { access_key_id: ACCESS_KEY_ID.to_owned(), secret_access_key: SECRET_ACCESS_KEY.into() };
        S3Options {
            endpoint: Some(format!("http://127.0.0.1:{}", self.port).parse().expect("it is a URL")),
            region: Some("garage".to_owned()),
            keys: Some(keys),
            ..S3Options::default()
        }
    }
}

#[test]
#[ignore = "needs Garage, which is another program"]
async fn a_real_server_takes_keeps_lists_signs_and_removes() {
    let garage = Garage::start().await;
    let location = BlobLocation::parse("s3://media/some/prefix").expect("it is right");
    let blobs = Blobs::open(&location, &garage.options()).expect("the options are right");
    eventually("Garage answers", async || blobs.claim("one").await.is_ok_and(|owner| owner == Owner::Us)).await;
    assert_eq!(blobs.claim("another").await.expect("it answers"), Owner::Another);
    let contents = [bytes(1, 5_000), bytes(2, 20 * MIB + 17)];
    for content in &contents {
        let key = key(content);
        assert_eq!(blobs.find(&key).await.expect("it answers"), None);
        for _ in 0..2 {
            blobs.put(&key, temporary(content), content.len() as u64).await.expect("it is stored");
        }
        let found = blobs.find(&key).await.expect("it answers").expect("it is there");
        assert_eq!(found.size, content.len() as u64);
        let read: Vec<_> =
            blobs.read(&key, 3..found.size).await.expect("it answers").try_collect().await.expect("whole");
        assert!(read.concat() == content[3..]);
        let disposition = "attachment; filename=\"a.jpg\"";
        let url = blobs.presign(&key, "image/jpeg", disposition, Duration::from_secs(60)).await.expect("it is signed");
        let answer = crate::support::client().get(url.expect("it is a bucket")).send().await.expect("it answers");
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (200, &"image/jpeg".parse().unwrap())
        );
        assert_eq!(answer.headers()["content-disposition"], disposition);
        assert!(answer.bytes().await.expect("it is whole") == content[..]);
    }
    let listed: Vec<_> = blobs.list().try_collect().await.expect("it answers");
    let mut listed: Vec<_> = listed.into_iter().map(|object| object.key).collect();
    let mut keys = contents.map(|content| key(&content));
    listed.sort();
    keys.sort();
    assert_eq!(listed, keys);
    for key in &keys {
        blobs.delete(key).await.expect("it answers");
        assert_eq!(blobs.find(key).await.expect("it answers"), None);
    }
}
