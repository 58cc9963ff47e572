//! Files that are missing from the store or damaged.

use reqwest::Method;

use super::{NamedBlobs, by_hash, given, in_both, of_message};
use crate::media::{JPEG, key};
use crate::support::database::world::{Backend, World};
use crate::support::program::service::answer;
use crate::support::s3::Operation;

/// Returns the path of the file in the folder.
fn file(shelf: &NamedBlobs, content: &[u8]) -> std::path::PathBuf {
    let folder = match &shelf.s3 {
        Some(s3) => s3.bucket().join("saved"),
        None => shelf.world.data_dir().join("media"),
    };
    let hash = key(content);
    folder.join(&hash.as_str()[..2]).join(hash.as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_somebody_removed_is_missing() {
    in_both(async |shelf| {
        shelf.put("A", "/f/foto.jpg", JPEG).await;
        std::fs::remove_file(file(&shelf, JPEG)).expect("it is there");
        for path in [by_hash(JPEG), of_message("A")] {
            for range in ["bytes=0-", "none"] {
                let missing = answer(shelf.get(&path).header("Range", range)).await;
                assert_eq!((missing.status.as_u16(), missing.code()), (404, "media_missing"));
                assert_eq!(missing.header("etag"), "");
            }
            assert_eq!(given(shelf.request(Method::HEAD, &path)).await.status, 404);
        }
        shelf.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_somebody_shortened_is_not_passed_off_as_whole() {
    in_both(async |shelf| {
        shelf.put("A", "/f/foto.jpg", JPEG).await;
        std::fs::write(file(&shelf, JPEG), &JPEG[..5]).expect("it can be written");
        for range in ["bytes=3-", "none"] {
            let broken = answer(shelf.get(&by_hash(JPEG)).header("Range", range)).await;
            assert_eq!((broken.status.as_u16(), broken.code()), (503, "media_unavailable"));
        }
        shelf.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_bucket_fails_its_files_are_unavailable_and_afterwards_they_are_there() {
    let shelf = NamedBlobs::in_bucket(World::new(Backend::Sqlite).await, &[]).await;
    shelf.put("A", "/f/foto.jpg", JPEG).await;
    let s3 = shelf.s3.as_ref().expect("it is a bucket");
    s3.fail(|operation| matches!(operation, Operation::Get | Operation::Head));
    for path in [by_hash(JPEG), of_message("A")] {
        let refused = answer(shelf.get(&path)).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (503, "media_unavailable"));
        assert!(!refused.header("retry-after").is_empty());
        let detail = refused.body["detail"].as_str().expect("it is text");
        assert_eq!(detail, "the media store does not answer; come again", "hosts and paths are for the log");
        assert_eq!(given(shelf.request(Method::HEAD, &path)).await.status, 503);
        // Requests that do not need the bucket work.
        let known = shelf.get(&path).header("If-None-Match", format!("\"{}\"", key(JPEG)));
        assert_eq!(given(known).await.status, 304);
    }
    s3.recover();
    assert_eq!(given(shelf.get(&by_hash(JPEG))).await.body, JPEG);
    shelf.stop().await;
}
