//! Files that are missing from the store or damaged.

use reqwest::Method;

use super::{MediaService, by_hash, given, in_both, of_message};
use crate::media::{JPEG, key};
use crate::support::database::world::{Backend, World};
use crate::support::program::service::answer;
use crate::support::s3::Operation;

/// Returns the path of the file in the folder.
fn file(media: &MediaService, content: &[u8]) -> std::path::PathBuf {
    let folder = match &media.s3 {
        Some(s3) => s3.bucket().join("saved"),
        None => media.world.data_dir().join("media"),
    };
    let hash = key(content);
    folder.join(&hash.as_str()[..2]).join(hash.as_str())
}

#[test(flavor = "multi_thread")]
async fn a_file_that_somebody_removed_is_missing() {
    in_both(async |media| {
        media.put("A", "/f/foto.jpg", JPEG).await;
        std::fs::remove_file(file(&media, JPEG)).expect("the file exists");
        for path in [by_hash(JPEG), of_message("A")] {
            for range in ["bytes=0-", "none"] {
                let missing = answer(media.get(&path).header("Range", range)).await;
                assert_eq!((missing.status.as_u16(), missing.code()), (404, "media_missing"));
                assert_eq!(missing.header("etag"), "");
            }
            assert_eq!(given(media.request(Method::HEAD, &path)).await.status, 404);
        }
        media.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_truncated_file_is_not_served_as_if_it_were_whole() {
    in_both(async |media| {
        media.put("A", "/f/foto.jpg", JPEG).await;
        std::fs::write(file(&media, JPEG), &JPEG[..5]).expect("the file can be written");
        for range in ["bytes=3-", "none"] {
            let broken = answer(media.get(&by_hash(JPEG)).header("Range", range)).await;
            assert_eq!((broken.status.as_u16(), broken.code()), (503, "media_unavailable"));
        }
        media.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn while_the_bucket_fails_its_files_are_unavailable_and_afterwards_they_are_served() {
    let media = MediaService::in_bucket(World::new(Backend::Sqlite).await, &[]).await;
    media.put("A", "/f/foto.jpg", JPEG).await;
    let s3 = media.s3.as_ref().expect("the blob store is a bucket");
    s3.fail(|operation| matches!(operation, Operation::Get | Operation::Head));
    for path in [by_hash(JPEG), of_message("A")] {
        let refused = answer(media.get(&path)).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (503, "media_unavailable"));
        assert!(!refused.header("retry-after").is_empty());
        let detail = refused.body["detail"].as_str().expect("the value is text");
        assert_eq!(detail, "the media store does not answer; try again later", "hosts and paths are in the log only");
        assert_eq!(given(media.request(Method::HEAD, &path)).await.status, 503);
        // Requests that do not need the bucket work.
        let known = media.get(&path).header("If-None-Match", format!("\"{}\"", key(JPEG)));
        assert_eq!(given(known).await.status, 304);
    }
    s3.recover();
    assert_eq!(given(media.get(&by_hash(JPEG))).await.body, JPEG);
    media.stop().await;
}
