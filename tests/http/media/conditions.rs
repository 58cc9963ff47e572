use reqwest::Method;

use super::{MediaService, by_hash, everywhere, given, of_message};
use crate::media::{JPEG, key};

#[test(flavor = "multi_thread")]
async fn a_client_that_has_the_file_is_not_sent_it_again() {
    everywhere(async |media| {
        media.put("A", "/f/foto.jpg", JPEG).await;
        let hash = key(JPEG);
        for path in [by_hash(JPEG), of_message("A")] {
            let whole = given(media.get(&path)).await;
            for known in [
                whole.header("etag"),
                &format!("W/\"{hash}\""),
                &format!("\"x\", W/\"y\",\"{hash}\""),
                &format!("\"{hash}\", \"x\""),
                "*",
            ] {
                for method in [Method::GET, Method::HEAD] {
                    let request = media.request(method, &path).header("If-None-Match", known);
                    let answer = given(request.header("Range", "bytes=99-")).await;
                    assert_eq!((answer.status, answer.body.len()), (304, 0), "{known}");
                    for name in ["etag", "cache-control"] {
                        assert_eq!(answer.header(name), whole.header(name));
                    }
                }
            }
            let twice =
                media.get(&path).header("If-None-Match", "\"x\"").header("If-None-Match", format!("\"{hash}\""));
            assert_eq!(given(twice).await.status, 304);
        }
        media.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_client_that_has_another_file_is_sent_this_one() {
    let media = MediaService::simple().await;
    media.put("A", "/f/foto.jpg", JPEG).await;
    let (hash, other) = (key(JPEG), key(b"x"));
    for unknown in
        [&format!("\"{other}\""), &format!("\"{hash}0\""), &hash.to_string(), "\"\"", "\"x\", \"y\"", "", "\"", "**"]
    {
        let file = given(media.get(&by_hash(JPEG)).header("If-None-Match", unknown)).await;
        assert_eq!((file.status, file.body.as_slice()), (200, JPEG), "{unknown}");
    }
    media.stop().await;
}
