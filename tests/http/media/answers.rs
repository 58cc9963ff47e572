use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{MediaService, by_hash, everywhere, given, in_both, of_message};
use crate::media::{JPEG, key};
use crate::support::clients::raw_http::exchange;
use crate::support::program::service::answer;

/// Returns a file that is large enough to fill every buffer on its way.
fn large() -> Vec<u8> {
    (0..20 * 1024 * 1024u32).map(|n| (n ^ (n >> 11)) as u8).collect()
}

#[test(flavor = "multi_thread")]
async fn a_file_is_served_whole_with_the_headers_that_a_browser_needs() {
    everywhere(async |media| {
        media.put("A", "/f/foto.jpg", JPEG).await;
        let paths = [(by_hash(JPEG), "private, max-age=31536000, immutable"), (of_message("A"), "private, no-cache")];
        for (path, caching) in paths {
            let file = given(media.get(&path)).await;
            assert_eq!(file.status, 200, "{file:?}");
            assert_eq!(file.body, JPEG);
            let etag = format!("\"{}\"", key(JPEG));
            for (name, value) in [
                ("content-length", "14"),
                ("content-type", "image/jpeg"),
                ("content-disposition", "inline; filename=\"foto.jpg\""),
                ("etag", etag.as_str()),
                ("accept-ranges", "bytes"),
                ("cache-control", caching),
                ("x-content-type-options", "nosniff"),
                ("content-security-policy", "sandbox; default-src 'none'"),
                ("referrer-policy", "no-referrer"),
                ("content-range", ""),
                ("location", ""),
            ] {
                assert_eq!(file.header(name), value, "{path} {name}");
            }
        }
        media.stop().await;
    })
    .await;
}

/// Returns the head of the answer without the headers that differ between answers, and the body.
async fn exchanged(media: &MediaService, method: &str, path: &str, headers: &str) -> (Vec<String>, Vec<u8>) {
    let token = media.service.token();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{headers}Connection: close\r\n\r\n"
    );
    let answer = exchange(media.service.api_address, request).await;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head has an end");
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let own = |line: &str| line.starts_with("date:") || line.starts_with("x-request-id:");
    let mut lines: Vec<String> = head.lines().filter(|line| !own(line)).map(str::to_owned).collect();
    lines.sort();
    (lines, answer[end + 4..].to_vec())
}

#[test(flavor = "multi_thread")]
async fn head_is_answered_with_the_headers_of_get_and_no_body() {
    in_both(async |media| {
        media.put("A", "/f/foto.jpg", JPEG).await;
        for path in [by_hash(JPEG), of_message("A")] {
            let (head, body) = exchanged(&media, "GET", &path, "").await;
            assert_eq!(body, JPEG);
            assert!(head.contains(&"content-length: 14".to_owned()), "{head:?}");
            assert_eq!(exchanged(&media, "HEAD", &path, "").await, (head.clone(), vec![]));
            // Only GET can request a part (RFC 9110, section 14.2).
            for range in ["Range: bytes=0-0\r\n", "Range: bytes=99-\r\n"] {
                assert_eq!(exchanged(&media, "HEAD", &path, range).await, (head.clone(), vec![]));
            }
        }
        media.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn files_need_the_token() {
    let media = MediaService::simple().await;
    media.put("A", "/f/foto.jpg", JPEG).await;
    for path in [by_hash(JPEG), of_message("A")] {
        let without = answer(media.service.get(&path)).await;
        assert_eq!((without.status.as_u16(), without.code()), (401, "token_missing"));
        let token = media.service.token().replace(|c| c != '0', "0");
        let wrong = answer(media.service.get(&path).bearer_auth(token)).await;
        assert_eq!((wrong.status.as_u16(), wrong.code()), (401, "token_invalid"));
        let in_the_url = format!("{path}?token={0}&access_token={0}", media.service.token());
        assert_eq!(answer(media.service.get(&in_the_url)).await.code(), "token_in_query");
    }
    media.stop().await;
}

#[test(flavor = "multi_thread")]
async fn files_cannot_be_written_over_http() {
    use reqwest::Method;
    let media = MediaService::simple().await;
    media.put("A", "/f/foto.jpg", JPEG).await;
    for path in [by_hash(JPEG), of_message("A")] {
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS] {
            let refused = answer(media.request(method.clone(), &path).body("x")).await;
            assert_eq!((refused.status.as_u16(), refused.code()), (405, "method_not_allowed"), "{method}");
            assert_eq!(refused.header("allow"), "GET, HEAD");
        }
        assert_eq!(given(media.get(&path)).await.body, JPEG);
    }
    media.stop().await;
}

#[test(flavor = "multi_thread")]
async fn a_large_file_streams_whole() {
    let large = large();
    in_both(async |media| {
        media.put("A", "/f/video.bin", &large).await;
        let file = given(media.get(&by_hash(&large))).await;
        assert_eq!(file.header("content-length"), "20971520");
        assert!(file.body == large);
        let part = given(media.get(&by_hash(&large)).header("Range", "bytes=7340033-15728641")).await;
        assert_eq!(part.header("content-range"), "bytes 7340033-15728641/20971520");
        assert!(part.body == large[7_340_033..=15_728_641]);
        media.stop().await;
    })
    .await;
}

/// Reads the beginning of a file, and resets the connection.
async fn vanish(media: &MediaService, path: &str) {
    let mut stream = TcpStream::connect(media.service.api_address).await.expect("the server listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n", media.service.token());
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    let mut beginning = [0; 2000];
    stream.read_exact(&mut beginning).await.expect("the server answers");
    assert!(beginning.starts_with(b"HTTP/1.1 200 OK\r\n"));
    stream.set_zero_linger().expect("the socket accepts the option");
}

/// Returns the number of files that this process has open in a folder.
fn open_files(media: &MediaService) -> usize {
    let folder = media.world.data_dir().join("media").canonicalize().expect("the folder exists");
    let descriptors = std::fs::read_dir("/proc/self/fd").expect("the folder can be listed");
    let targets = descriptors.filter_map(|it| std::fs::read_link(it.ok()?.path()).ok());
    targets.filter(|target| target.starts_with(&folder)).count()
}

#[test(flavor = "multi_thread")]
async fn a_client_that_disconnects_during_a_download_does_no_harm() {
    let large = large();
    let path = by_hash(&large);
    in_both(async |media| {
        media.put("A", "/f/video.bin", &large).await;
        for _ in 0..40 {
            vanish(&media, &path).await;
        }
        assert!(given(media.get(&path)).await.body == large);
        if media.s3.is_none() {
            crate::support::eventually("no file stays open", async || open_files(&media) == 0).await;
        }
        media.stop().await;
    })
    .await;
}
