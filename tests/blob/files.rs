use buzon::blob::{BlobError, Blobs, Owner, S3Options};
use buzon::domain::media::object_key::ObjectKey;
use futures_util::TryStreamExt;

use super::{MIB, TestBlobs, bytes, key, on_both, temporary};
use crate::support::s3::Operation;

async fn listed(blobs: &Blobs) -> Vec<(ObjectKey, u64)> {
    let found: Vec<_> = blobs.list().try_collect().await.expect("the list can be read");
    let mut found: Vec<_> = found.into_iter().map(|object| (object.key, object.size)).collect();
    found.sort();
    found
}

#[test]
async fn a_file_is_stored_found_read_and_removed() {
    on_both(async |place| {
        let (content, blobs) = (bytes(1, 100_000), &place.blobs);
        let key = place.put(&content).await.expect("it is stored");
        assert_eq!(place.names(), [format!("{}/{key}", &key.as_str()[..2])]);
        let found = blobs.find(&key).await.expect("the store answers").expect("it is there");
        assert_eq!((&found.key, found.size), (&key, 100_000));
        let age = std::fs::metadata(place.path().join(&key.as_str()[..2]).join(key.as_str()));
        let modified = age.and_then(|meta| meta.modified()).expect("the disk knows").into();
        let written = buzon::domain::time::timestamp::Timestamp::from_utc(modified);
        assert!((0..1000).contains(&(written.millis() - found.modified.millis())), "S3 tells whole seconds");
        assert_eq!(place.read(&key, 0..100_000).await.expect("it can be read"), content);
        blobs.delete(&key).await.expect("it can be removed");
        assert_eq!(blobs.find(&key).await.expect("the store answers"), None);
        blobs.delete(&key).await.expect("one that is not there is fine");
        assert!(place.names().is_empty());
    })
    .await;
}

#[test]
async fn any_range_of_a_file_can_be_read_but_none_beyond_its_end() {
    on_both(async |place| {
        let content = bytes(2, 200_000);
        let key = place.put(&content).await.expect("it is stored");
        for range in [0..1, 7..65_543, 65_536..131_072, 199_999..200_000, 0..200_000] {
            let read = place.read(&key, range.clone()).await.expect("it can be read");
            assert!(read == content[range.start as usize..range.end as usize], "{range:?}");
        }
        assert!(place.read(&key, 5..5).await.expect("nothing can be read").is_empty());
        let beyond = place.read(&key, 199_999..200_001).await;
        assert!(matches!(beyond, Err(BlobError::Size { stated: 200_001, found: 200_000 })), "{beyond:?}");
        assert!(place.read(&key, 200_000..200_001).await.is_err());
    })
    .await;
}

#[test]
async fn an_empty_file_is_a_file() {
    on_both(async |place| {
        let key = place.put(b"").await.expect("it is stored");
        let found = place.blobs.find(&key).await.expect("the store answers");
        assert_eq!(found.map(|object| object.size), Some(0));
        assert!(place.read(&key, 0..0).await.expect("it can be read").is_empty());
    })
    .await;
}

#[test]
async fn a_missing_file_is_distinguished_from_an_error() {
    on_both(async |place| {
        for range in [0..0, 0..1] {
            assert!(matches!(place.read(&key(b"nothing"), range).await, Err(BlobError::NotFound)));
        }
    })
    .await;
}

#[test]
async fn a_large_file_goes_up_in_parts_and_comes_back_the_same() {
    on_both(async |place| {
        let content = bytes(3, 20 * MIB + 1);
        let key = place.put(&content).await.expect("it is stored");
        assert!(place.read(&key, 0..content.len() as u64).await.expect("it can be read") == content);
        assert_eq!(place.names().len(), 1, "no staging file is left");
        if let Some(server) = &place.server {
            assert_eq!((server.arrived(Operation::UploadPart), server.arrived(Operation::Put)), (3, 0));
            assert_eq!(server.unfinished(), [""; 0]);
        }
    })
    .await;
}

#[test]
async fn up_to_8_mib_go_up_at_once() {
    let place = TestBlobs::bucket().await;
    let content = bytes(4, 8 * MIB);
    place.put(&content).await.expect("it is stored");
    assert_eq!((place.server().arrived(Operation::Put), place.server().arrived(Operation::CreateUpload)), (1, 0));
    place.put(&bytes(5, 8 * MIB + 1)).await.expect("it is stored");
    assert_eq!((place.server().arrived(Operation::Put), place.server().arrived(Operation::UploadPart)), (1, 2));
}

#[test]
async fn storing_a_file_again_changes_nothing() {
    on_both(async |place| {
        for content in [bytes(6, 1000), bytes(7, 9 * MIB)] {
            let key = place.put(&content).await.expect("it is stored");
            assert_eq!(place.put(&content).await.expect("it is stored again"), key);
            assert!(place.read(&key, 0..content.len() as u64).await.expect("it can be read") == content);
        }
        assert_eq!(listed(&place.blobs).await.len(), 2);
    })
    .await;
}

#[test]
async fn a_file_of_another_length_than_stated_is_refused_and_leaves_nothing() {
    on_both(async |place| {
        for (length, stated) in [(1000, 1001), (1000, 999), (9 * MIB, 10 * MIB), (9 * MIB, MIB)] {
            let content = bytes(8, length);
            let put = place.blobs.put(&key(&content), temporary(&content), stated as u64).await;
            assert!(matches!(put, Err(BlobError::Size { .. })), "{put:?}");
        }
        assert!(place.names().is_empty());
    })
    .await;
}

#[test]
async fn the_list_has_our_files_and_nothing_else() {
    on_both(async |place| {
        let mut stored = Vec::new();
        for seed in 10..15 {
            stored.push((place.put(&bytes(seed, seed as usize)).await.expect("it is stored"), seed));
        }
        stored.sort();
        assert_eq!(place.blobs.claim("a database").await.expect("the store answers"), Owner::Nobody);
        let key = &stored[0].0;
        let strangers = ["readme.txt", "ab/readme.txt", "zz/x", &format!("zz/{key}"), key.as_str(), "ab/x/y"];
        for stranger in strangers {
            let path = place.path().join(stranger);
            std::fs::create_dir_all(path.parent().expect("it has one")).expect("there is room");
            std::fs::write(path, "not ours").expect("there is room");
        }
        assert_eq!(listed(&place.blobs).await, stored);
    })
    .await;
}

#[test]
async fn prefixes_of_a_bucket_do_not_see_each_others_files() {
    let place = TestBlobs::bucket().await;
    let server = place.server();
    let root = Blobs::open(&server.location(""), &server.options()).expect("the options are right");
    let key = place.put(b"content").await.expect("it is stored");
    assert!(listed(&root).await.is_empty());
    root.put(&key, temporary(b"content"), 7).await.expect("it is stored");
    root.delete(&key).await.expect("it can be removed");
    assert_eq!(listed(&place.blobs).await, [(key, 7)]);
}

#[test]
async fn errors_contain_neither_keys_nor_the_servers_message() {
    let place = TestBlobs::bucket().await;
    place.server().fail(|_| true);
    let error = place.put(b"content").await.expect_err("the server fails").to_string();
    let address = place.server().endpoint.as_str();
    let told = format!("the media store does not work: PUT {address}media/some/prefix/");
    assert!(error.starts_with(&told) && error.ends_with("503 Service Unavailable (ServiceUnavailable)"), "{error}");
    place.server().recover();
    place.put(b"content").await.expect("the server works again");

    let mut wrong: S3Options = place.server().options();
    wrong.keys.as_mut().expect("there are keys").secret_access_key = "another key".into();
    let blobs = Blobs::open(&place.server().location(""), &wrong).expect("nothing is sent yet");
    let error = blobs.claim("a database").await.expect_err("the signature is wrong").to_string();
    assert!(error.contains("403 Forbidden (SignatureDoesNotMatch)") && !error.contains("another key"), "{error}");
}
