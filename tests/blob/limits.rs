//! The limits on concurrent transfers, whatever the number of callers.

use tokio::task::JoinSet;

use super::{MIB, TestBlobs, bytes, key, temporary};
use crate::support::eventually;
use crate::support::s3::Operation;

/// Stores this many files of this size at once.
fn put_all(place: &TestBlobs, files: u64, size: usize) -> JoinSet<()> {
    let put = |seed| {
        let (blobs, content) = (place.blobs.clone(), bytes(seed, size));
        async move {
            let put = blobs.put(&key(&content), temporary(&content), size as u64).await;
            put.expect("it is stored");
        }
    };
    (0..files).map(put).collect()
}

#[test]
async fn a_fifth_large_file_waits_until_one_of_four_is_done() {
    let place = TestBlobs::bucket().await;
    let server = place.server();
    let gate = server.hold(Operation::CompleteUpload, 1);
    let puts = put_all(&place, 5, 8 * MIB + 1);
    eventually("four are nearly done", async || server.arrived(Operation::CompleteUpload) == 4).await;
    assert_eq!(server.arrived(Operation::CreateUpload), 4);
    gate.let_pass(1);
    eventually("the fifth begins", async || server.arrived(Operation::CreateUpload) == 5).await;
    assert_eq!(server.answered(Operation::CompleteUpload), 1);
    gate.open();
    puts.join_all().await;
    assert_eq!(server.answered(Operation::CompleteUpload), 5);
}

#[test]
async fn small_files_wait_when_16_mib_are_under_way() {
    let place = TestBlobs::bucket().await;
    let server = place.server();
    let gate = server.hold(Operation::Put, 1);
    let puts = put_all(&place, 8, 3 * MIB);
    eventually("five are under way", async || server.arrived(Operation::Put) == 5).await;
    for _ in 0..10 {
        assert_eq!(place.blobs.find(&key(b"nothing")).await.expect("the store answers"), None);
    }
    assert_eq!(server.arrived(Operation::Put), 5);
    gate.open();
    puts.join_all().await;
    assert_eq!(server.answered(Operation::Put), 8);
}
