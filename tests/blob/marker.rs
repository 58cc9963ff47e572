use buzon::blob::Owner;

use super::on_both;
use crate::support::s3::Operation;

#[test]
async fn the_first_database_owns_the_files_and_any_other_is_refused() {
    on_both(async |place| {
        let claims = [
            ("first", Owner::Nobody),
            ("first", Owner::Us),
            ("second", Owner::Another),
            ("first", Owner::Us),
            ("", Owner::Another),
        ];
        for (id, owner) in claims {
            assert_eq!(place.blobs.claim(id).await.expect("the store answers"), owner, "{id}");
        }
        let marker = std::fs::read_to_string(place.path().join("buzon-database"));
        assert_eq!(marker.expect("it is there"), "first");
    })
    .await;
}

#[test]
async fn of_two_databases_that_claim_at_once_one_is_the_owner_from_their_second_claim() {
    let place = super::TestBlobs::bucket().await;
    let gate = place.server().hold(Operation::Put, 1);
    let claims = async { futures_util::join!(place.blobs.claim("first"), place.blobs.claim("second")) };
    let both_write = crate::support::eventually("both write", async || place.server().arrived(Operation::Put) == 2);
    let ((first, second), ()) = futures_util::join!(claims, async {
        both_write.await;
        gate.open();
    });
    for owner in [first, second] {
        assert_eq!(owner.expect("the store answers"), Owner::Nobody);
    }
    let first = place.blobs.claim("first").await.expect("the store answers");
    let second = place.blobs.claim("second").await.expect("the store answers");
    assert!([(Owner::Us, Owner::Another), (Owner::Another, Owner::Us)].contains(&(first, second)));
}

#[test]
async fn a_marker_that_is_no_id_is_somebody_elses() {
    on_both(async |place| {
        std::fs::create_dir_all(place.path()).expect("there is room");
        std::fs::write(place.path().join("buzon-database"), vec![b'x'; 5000]).expect("there is room");
        assert_eq!(place.blobs.claim(&"x".repeat(5000)).await.expect("the store answers"), Owner::Another);
    })
    .await;
}
