use super::{MediaService, given, of_message};
use crate::media::JPEG;
use crate::support::gateway::file_server::Reply;

#[test(flavor = "multi_thread")]
async fn only_files_that_cannot_run_are_shown_in_place() {
    let media = MediaService::simple().await;
    let types: [(&str, &str, &[u8]); 19] = [
        ("inline", "image/jpeg", JPEG),
        ("inline", "image/png", b"\x89PNG\r\n\x1A\n\0\0\0\rIHDR"),
        ("inline", "image/gif", b"GIF89a\x01\0\x01\0<script>alert(1)</script>"),
        ("inline", "image/webp", b"RIFF\x24\0\0\0WEBPVP8 "),
        ("inline", "video/mp4", b"\0\0\0\x20ftypisom\0\0\x02\0"),
        ("inline", "audio/ogg", b"OggS\0\x02\0\0\0\0\0\0\0\0aaaa\0\0\0\0bbbb\x01\x13OpusHead\x01\x01"),
        ("inline", "audio/mpeg", b"ID3\x03\0\0\0\0\0\0"),
        ("attachment", "image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("attachment", "text/html", b"<!doctype html><p>"),
        ("attachment", "text/html", b"\xEF\xBB\xBF hola <script>alert(1)</script>"),
        ("attachment", "text/xml", b"<?xml version='1.0'?><x/>"),
        ("attachment", "text/plain", b"alert(1)"),
        ("attachment", "application/pdf", b"%PDF-1.7\n%\xFF"),
        ("attachment", "application/zip", b"PK\x03\x04\x14\0\0\0\0\0"),
        ("attachment", "audio/mp4", b"\0\0\0\x20ftypM4A \0\0\0\0"),
        ("attachment", "image/tiff", b"II*\0\x08\0\0\0\x01\0\0\0"),
        ("attachment", "application/vnd.microsoft.portable-executable", b"MZ\x90\0\x03\0\0\0"),
        ("attachment", "application/octet-stream", b"\0"),
        ("attachment", "application/octet-stream", b"men\xFA"),
    ];
    for (n, (disposition, kind, content)) in types.iter().enumerate() {
        let id = n.to_string();
        // Neither the name nor the gateway's media type counts. The path has no file name.
        let reply = Reply::with_headers("Content-Type: image/jpeg\r\n", content);
        media.put_as(&id, &format!("/f/{n}/"), reply).await;
        let file = given(media.get(&of_message(&id))).await;
        assert_eq!((file.header("content-type"), file.header("content-disposition")), (*kind, *disposition), "{n}");
        assert_eq!(file.body, *content);
    }
    media.stop().await;
}

#[test(flavor = "multi_thread")]
async fn the_name_that_the_gateway_gave_a_file_reaches_the_browser() {
    let media = MediaService::simple().await;
    let (long, accents) = (format!("{}.jpg", "a".repeat(251)), format!("{}.jpg", "ñ".repeat(125)));
    let cases = [
        ("filename*=UTF-8''men%C3%BA.jpg".to_owned(), "filename*=UTF-8''men%C3%BA.jpg".to_owned()),
        ("filename=\"a\\\"b;c.jpg\"".to_owned(), "filename=\"a_b;c.jpg\"".to_owned()),
        ("filename=\"a, b = 'c' %41.jpg\"".to_owned(), "filename=\"a, b = 'c' %41.jpg\"".to_owned()),
        ("filename=\"../../x\\\\y\\z.jpg\"".to_owned(), "filename=\"z.jpg\"".to_owned()),
        ("filename*=UTF-8''a%0D%0AX-Evil:%201.jpg".to_owned(), "filename=\"aX-Evil_ 1.jpg\"".to_owned()),
        ("filename*=UTF-8''foto%E2%80%AEgpj.exe%00".to_owned(), "filename=\"fotogpj.exe\"".to_owned()),
        (format!("filename={}", "a".repeat(4096) + ".jpg"), format!("filename=\"{long}\"")),
        (
            format!("filename*=UTF-8''{}", "%C3%B1".repeat(1000) + ".jpg"),
            format!("filename*=UTF-8''{}", accents.replace('ñ', "%C3%B1")),
        ),
    ];
    for (n, (stated, sent)) in cases.iter().enumerate() {
        let id = n.to_string();
        let reply = Reply::with_headers(&format!("Content-Disposition: attachment; {stated}\r\n"), JPEG);
        media.put_as(&id, &format!("/f/{n}.jpg"), reply).await;
        let file = given(media.get(&of_message(&id))).await;
        assert_eq!(file.header("content-disposition"), format!("inline; {sent}"), "{stated}");
    }
    media.put("url", "/f/men%C3%BA%20(1).jpg", JPEG).await;
    let file = given(media.get(&of_message("url"))).await;
    assert_eq!(file.header("content-disposition"), "inline; filename*=UTF-8''men%C3%BA%20%281%29.jpg");
    media.stop().await;
}

/// The row may have any name, because an older version or another program may have written it.
#[test(flavor = "multi_thread")]
async fn no_file_name_breaks_out_of_its_header() {
    let media = MediaService::simple().await;
    media.put("A", "/f/foto.jpg", JPEG).await;
    for (name, sent) in [
        ("a\"b;c.jpg", "filename=\"a\\\"b;c.jpg\""),
        ("a\\b\\.jpg", "filename=\"a\\\\b\\\\.jpg\""),
        ("a\r\nX-Evil: 1", "filename*=UTF-8''a%0D%0AX%2DEvil%3A%201"),
        ("a\r\n\r\n<script>", "filename*=UTF-8''a%0D%0A%0D%0A%3Cscript%3E"),
        ("a\nb", "filename*=UTF-8''a%0Ab"),
        ("a\rb", "filename*=UTF-8''a%0Db"),
        ("a\0b", "filename*=UTF-8''a%00b"),
        ("a\t\x0B\x1B\x7Fb", "filename*=UTF-8''a%09%0B%1B%7Fb"),
        ("\u{85}\u{2028}", "filename*=UTF-8''%C2%85%E2%80%A8"),
        ("ñ\"; x='\r\n", "filename*=UTF-8''%C3%B1%22%3B%20x=%27%0D%0A"),
        ("", "filename=\"\""),
    ] {
        // The extension of the type is added to a name that has none.
        let sent = match (name.ends_with(".jpg"), sent.strip_suffix('"')) {
            (true, _) => sent.to_owned(),
            (false, Some(quoted)) => format!("{quoted}.jpg\""),
            (false, None) => format!("{sent}.jpg"),
        };
        let set = format!("UPDATE media SET file_name = CAST(x'{}' AS TEXT)", hex::encode(name));
        media.world.execute(&set).await;
        for request in [media.get(&of_message("A")), media.request(reqwest::Method::HEAD, &of_message("A"))] {
            let file = given(request).await;
            assert_eq!(file.status, 200, "{name:?} {file:?}");
            assert_eq!(file.header("content-disposition"), format!("inline; {sent}"), "{name:?}");
            assert!(!file.headers.contains_key("x-evil"));
            assert_eq!(file.header("content-security-policy"), "sandbox; default-src 'none'");
        }
        assert_eq!(given(media.get(&of_message("A"))).await.body, JPEG);
    }
    media.stop().await;
}
