use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use buzon::blob::{BlobError, BlobLocation, Blobs, S3Options};
use buzon::domain::time::timestamp::Timestamp;

use super::{TestBlobs, bytes};

#[test]
async fn the_folder_is_made_for_its_owner_alone() {
    let place = TestBlobs::folder();
    let folder = place.blobs.folder().expect("it is a folder");
    assert_eq!(folder, place.path().canonicalize().expect("it is there"));
    assert_eq!(fs::metadata(folder).expect("it is there").permissions().mode() & 0o777, 0o700);
    assert!(TestBlobs::bucket().await.blobs.folder().is_none());
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let place = tempfile::NamedTempFile::new().expect("there is a temporary folder");
    let location = BlobLocation::Folder(place.path().join("media"));
    let Err(error) = Blobs::open(&location, &S3Options::default()) else { panic!("a file has no folders in it") };
    assert!(matches!(error, BlobError::Unusable(_)), "{error}");
    assert!(error.to_string().contains(place.path().to_str().expect("it is text")), "{error}");
}

#[test]
async fn what_a_dead_process_left_goes_and_everything_else_stays() {
    let place = TestBlobs::folder();
    let key = place.put(&bytes(1, 10)).await.expect("it is stored");
    let shard = place.path().join(&key.as_str()[..2]);
    let start = Timestamp::from_millis(1_724_716_800_000);
    let before = |millis: u64| SystemTime::UNIX_EPOCH + Duration::from_millis(1_724_716_800_000 - millis);
    for (name, millis) in [
        (format!("{key}#1"), 1000),
        (format!("{key}#27"), 1),
        (format!("{key}#2"), 0),
        (format!("{key}#x"), 1000),
        (format!("{key}#"), 1000),
        ("notes#1".to_owned(), 1000),
    ] {
        let file = File::create(shard.join(name)).expect("there is room");
        file.set_modified(before(millis)).expect("the disk takes it");
    }
    fs::create_dir_all(place.path().join("elsewhere")).expect("there is room");
    File::create(place.path().join(format!("elsewhere/{key}#1"))).expect("there is room");
    let stay = 1 + 4 + 1;
    assert_eq!(place.blobs.sweep_unfinished(start).expect("the disk works"), 2);
    assert_eq!(place.names().len(), stay, "{:?}", place.names());
    assert_eq!(place.blobs.sweep_unfinished(start).expect("the disk works"), 0);
    assert_eq!(TestBlobs::bucket().await.blobs.sweep_unfinished(start).expect("nothing to do"), 0);
}
