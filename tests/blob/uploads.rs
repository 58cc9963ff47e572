//! Uploads that do not finish leave nothing behind.

use buzon::blob::BlobError;
use buzon::domain::media::object_key::ObjectKey;

use super::{MIB, TestBlobs, bytes, key, temporary};
use crate::support::eventually;
use crate::support::s3::{Operation, S3Server};

async fn assert_clean(place: &TestBlobs, key: &ObjectKey) {
    let server = place.server();
    eventually("the upload is aborted", async || server.answered(Operation::AbortUpload) == 1).await;
    assert_eq!(server.unfinished(), [""; 0]);
    assert_eq!(place.blobs.find(key).await.expect("the store answers"), None);
}

/// Starts an upload, and drops it when `reached` holds.
async fn put_and_vanish(place: &TestBlobs, content: &[u8], reached: impl AsyncFnMut() -> bool) {
    let key = key(content);
    let put = place.blobs.put(&key, temporary(content), content.len() as u64);
    vanish(put, reached).await;
}

async fn vanish(put: impl Future<Output = Result<(), BlobError>>, reached: impl AsyncFnMut() -> bool) {
    tokio::select! {
        put = put => panic!("it was to be held: {put:?}"),
        () = eventually("the upload has come that far", reached) => {}
    }
}

#[test]
async fn an_upload_whose_caller_vanishes_while_a_part_is_sent_is_aborted() {
    let place = TestBlobs::bucket().await;
    let (server, content) = (place.server(), bytes(1, 20 * MIB));
    server.hold(Operation::UploadPart, 2);
    put_and_vanish(&place, &content, async || server.arrived(Operation::UploadPart) == 2).await;
    assert_clean(&place, &key(&content)).await;
    assert_eq!(server.arrived(Operation::UploadPart), 2);
}

#[test]
async fn an_upload_whose_caller_vanishes_before_the_server_has_named_it_is_aborted() {
    let place = TestBlobs::bucket().await;
    let (server, content) = (place.server(), bytes(2, 9 * MIB));
    let gate = server.hold(Operation::CreateUpload, 1);
    put_and_vanish(&place, &content, async || server.arrived(Operation::CreateUpload) == 1).await;
    gate.open();
    assert_clean(&place, &key(&content)).await;
}

#[test]
async fn an_upload_whose_caller_vanishes_while_it_is_completed_is_complete() {
    let place = TestBlobs::bucket().await;
    let (server, content) = (place.server(), bytes(3, 9 * MIB));
    let gate = server.hold(Operation::CompleteUpload, 1);
    put_and_vanish(&place, &content, async || server.arrived(Operation::CompleteUpload) == 1).await;
    gate.open();
    eventually("it is complete", async || server.answered(Operation::CompleteUpload) == 1).await;
    assert_eq!(server.unfinished(), [""; 0]);
    assert!(place.read(&key(&content), 0..content.len() as u64).await.expect("it can be read") == content);
}

#[test]
async fn an_upload_to_a_folder_whose_caller_vanishes_leaves_no_file() {
    let place = TestBlobs::folder();
    let (file, key) = (temporary(b""), key(b"so large that it takes a while"));
    let size = 1024 * MIB as u64;
    file.set_len(size).expect("a hole takes no room");
    vanish(place.blobs.put(&key, file, size), async || !place.names().is_empty()).await;
    eventually("the staging file is gone", async || place.names().is_empty()).await;
}

async fn assert_aborts(fail: impl Fn(&S3Server)) {
    let place = TestBlobs::bucket().await;
    let content = bytes(5, 9 * MIB);
    fail(place.server());
    let put = place.put(&content).await;
    assert!(matches!(put, Err(BlobError::Unavailable(_))), "{put:?}");
    place.server().recover();
    assert_clean(&place, &key(&content)).await;
}

#[test]
async fn an_upload_of_which_a_part_fails_is_aborted() {
    assert_aborts(|server| server.fail(|operation| operation == Operation::UploadPart)).await;
}

#[test]
async fn an_upload_that_cannot_be_completed_is_aborted() {
    assert_aborts(|server| server.fail(|operation| operation == Operation::CompleteUpload)).await;
}

#[test]
async fn an_upload_of_a_file_that_shrinks_meanwhile_is_aborted() {
    let place = TestBlobs::bucket().await;
    let (server, content) = (place.server(), bytes(6, 20 * MIB));
    let gate = server.hold(Operation::UploadPart, 1);
    let (file, key) = (temporary(&content), key(&content));
    let put = place.blobs.put(&key, file.clone(), content.len() as u64);
    let shrink = async {
        eventually("a part is sent", async || server.arrived(Operation::UploadPart) == 1).await;
        file.set_len(10 * MIB as u64).expect("it can be cut");
        gate.open();
    };
    let (put, ()) = futures_util::join!(put, shrink);
    assert!(put.is_err());
    assert_clean(&place, &key).await;
}
