use std::time::Duration;

use buzon::domain::media::object_key::ObjectKey;
use reqwest::StatusCode;
use url::Url;

use super::TestBlobs;

const DISPOSITION: &str = "attachment; filename=\"a b.pdf\"; filename*=UTF-8''%C3%A1.pdf";

async fn presign(place: &TestBlobs, key: &ObjectKey) -> Option<Url> {
    let url = place.blobs.presign(key, "application/pdf", DISPOSITION, Duration::from_secs(90)).await;
    url.expect("it can be signed")
}

#[test]
async fn a_signed_url_gives_the_file_to_anyone_with_its_type_and_disposition() {
    let place = TestBlobs::bucket().await;
    let key = place.put(b"content").await.expect("it is stored");
    let url = presign(&place, &key).await.expect("a bucket has URLs");
    assert!(url.query_pairs().any(|(name, value)| name == "X-Amz-Expires" && value == "90"));
    let answer = crate::support::client().get(url).send().await.expect("the server answers");
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "application/pdf");
    assert_eq!(answer.headers()["content-disposition"], DISPOSITION);
    assert_eq!(answer.bytes().await.expect("it can be read"), "content".as_bytes());
}

#[test]
async fn a_url_that_is_not_signed_or_was_changed_gives_nothing() {
    let place = TestBlobs::bucket().await;
    let key = place.put(b"content").await.expect("it is stored");
    let url = presign(&place, &key).await.expect("a bucket has URLs");
    let changed = url.as_str().replace("application%2Fpdf", "text%2Fhtml").parse().expect("it is a URL");
    let (mut unsigned, mut longer) = (url.clone(), url.clone());
    unsigned.set_query(None);
    longer.set_query(Some(&url.query().expect("it is signed").replace("Expires=90", "Expires=91")));
    for other in [unsigned, changed, longer] {
        assert_ne!(other, url);
        assert_eq!(
            crate::support::client().get(other).send().await.expect("the server answers").status(),
            StatusCode::FORBIDDEN
        );
    }
}

#[test]
async fn a_folder_has_no_urls() {
    let place = TestBlobs::folder();
    let key = place.put(b"content").await.expect("it is stored");
    assert_eq!(presign(&place, &key).await, None);
}
