use super::{MediaService, by_hash, given, in_both};
use crate::media::{JPEG, key};
use crate::support::program::service::answer;

#[test(flavor = "multi_thread")]
async fn a_part_of_a_file_can_be_requested() {
    in_both(async |media| {
        media.put("A", "/f/foto.jpg", JPEG).await;
        let whole = given(media.get(&by_hash(JPEG))).await;
        for (asked, part) in [
            ("0-0", 0..1),
            ("5-9", 5..10),
            ("-3", 11..14),
            ("5-", 5..14),
            ("13-13", 13..14),
            ("0-13", 0..14),
            ("10-99999", 10..14),
            ("-99999", 0..14),
            ("0-18446744073709551615", 0..14),
        ] {
            let file = given(media.get(&by_hash(JPEG)).header("Range", format!("bytes={asked}"))).await;
            assert_eq!(file.status, 206, "{asked} {file:?}");
            assert_eq!(file.header("content-range"), format!("bytes {}-{}/14", part.start, part.end - 1), "{asked}");
            assert_eq!(file.header("content-length"), part.len().to_string(), "{asked}");
            assert_eq!(file.body, &JPEG[part], "{asked}");
            let own = ["content-length", "date", "x-request-id"];
            let rest = |name: &&reqwest::header::HeaderName| !own.contains(&name.as_str());
            for name in whole.headers.keys().filter(rest) {
                assert_eq!(file.headers.get(name), whole.headers.get(name), "{asked}");
            }
        }
        media.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_part_beyond_the_end_is_refused_with_the_size() {
    let media = MediaService::simple().await;
    media.put("A", "/f/foto.jpg", JPEG).await;
    for asked in ["bytes=14-", "bytes=99999-", "bytes=14-20", "bytes=-0", "bytes=18446744073709551615-"] {
        let refused = answer(media.get(&by_hash(JPEG)).header("Range", asked)).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (416, "range_not_satisfiable"), "{asked}");
        assert_eq!(refused.header("content-range"), "bytes */14");
    }
    media.stop().await;
}

/// RFC 9110, section 14.2, allows or requires each of these.
#[test(flavor = "multi_thread")]
async fn several_parts_and_invalid_ranges_are_answered_with_the_whole_file() {
    let media = MediaService::simple().await;
    media.put("A", "/f/foto.jpg", JPEG).await;
    for asked in [
        "bytes=0-0,2-3",
        "bytes=0-0, -1",
        "bytes=99-,98-",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=5",
        "bytes=x-y",
        "bytes 0-1",
        "items=0-1",
        "=0-1",
        "",
        "ñ",
    ] {
        let file = given(media.get(&by_hash(JPEG)).header("Range", asked)).await;
        assert_eq!((file.status, file.body.as_slice()), (200, JPEG), "{asked}");
        assert_eq!(file.header("content-range"), "");
    }
    media.stop().await;
}

#[test(flavor = "multi_thread")]
async fn a_part_of_another_version_is_answered_with_the_whole_file() {
    let media = MediaService::simple().await;
    media.put("A", "/f/foto.jpg", JPEG).await;
    let (hash, other) = (key(JPEG), key(b"x"));
    for (if_range, status) in [
        (format!("\"{hash}\""), 206),
        (format!("\"{other}\""), 200),
        (format!("W/\"{hash}\""), 200),
        (hash.to_string(), 200),
        ("*".to_owned(), 200),
        ("Sat, 29 Oct 1994 19:43:31 GMT".to_owned(), 200),
        ("nonsense".to_owned(), 200),
        (String::new(), 200),
    ] {
        let request = media.get(&by_hash(JPEG)).header("If-Range", &if_range);
        let file = given(request.header("Range", "bytes=5-9")).await;
        assert_eq!(file.status, status, "{if_range}");
        assert_eq!(file.body, if status == 206 { &JPEG[5..10] } else { JPEG }, "{if_range}");
    }
    let beyond = media.get(&by_hash(JPEG)).header("If-Range", format!("\"{other}\"")).header("Range", "bytes=99-");
    assert_eq!(given(beyond).await.status, 200);
    media.stop().await;
}
