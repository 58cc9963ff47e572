//! What files are by their content, whatever the server and their names say.

use std::io::Write;

use flate2::Compression;
use flate2::write::DeflateEncoder;

use super::{JPEG, all_end, deliver_as, service};
use crate::support::database::world::on_both;
use crate::support::eventually;
use crate::support::gateway::file_server::{FileServer, Reply};

#[test(flavor = "multi_thread")]
async fn a_page_or_an_error_instead_of_a_picture_is_tried_again_and_its_reason_says_what_came() {
    on_both(async |world| {
        let gateway = FileServer::start().await;
        let page = Reply::with_headers("Content-Type: text/html\r\n", b"<!doctype html><title>Sign in</title>");
        let error = Reply::with_headers("Content-Type: audio/ogg\r\n", b"{\"error\":\"not ready\"}");
        let stated = Reply::with_headers("Content-Type: application/json\r\n", b"not ready");
        for (path, reply) in [("/page", &page), ("/error", &error), ("/stated", &stated), ("/later", &page)] {
            gateway.reply(path, reply.clone());
        }
        gateway.reply("/document", page.clone());
        gateway.reply("/mislabelled", Reply::with_headers("Content-Type: text/html\r\n", JPEG));
        let service = service(&world, &gateway, &[("BUZON_MEDIA_ATTEMPTS", "2")]).await;
        deliver_as(&service, "later", "sticker", "/later").await;
        eventually("it came", async || gateway.asked("/later") == 1).await;
        gateway.reply("/later", Reply::file(b"RIFF\x24\0\0\0WEBPVP8 "));
        for (kind, path) in [
            ("image", "page"),
            ("ptt", "error"),
            ("video", "stated"),
            ("document", "document"),
            ("image", "mislabelled"),
        ] {
            deliver_as(&service, path, kind, &format!("/{path}")).await;
        }
        all_end(&world).await;
        let rows = world.rows("SELECT message_id, state, content_type, reason FROM media ORDER BY 1").await;
        let failed = |id: &str, came: &str| {
            format!(
                "{id}|failed|NULL|given up after 2 attempts; the last time the server sent {came} instead of the file"
            )
        };
        assert_eq!(
            rows,
            [
                "document|stored|text/html|NULL".to_owned(),
                failed("error", "JSON"),
                "later|stored|image/webp|NULL".to_owned(),
                "mislabelled|stored|image/jpeg|NULL".to_owned(),
                failed("page", "a page of HTML"),
                failed("stated", "JSON"),
            ]
        );
        service.stop().await;
    })
    .await;
}

/// An entry of a zip: its name, its content, and whether that is compressed.
type ZipEntry<'e> = (&'e str, &'e [u8], bool);

/// Returns a zip, which begins at `before` bytes of the file.
fn zip(entries: &[ZipEntry<'_>], comment: &[u8]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, content, is_compressed) in entries {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(content).expect("a vector takes it");
        let packed = if *is_compressed { encoder.finish().expect("it ends") } else { content.to_vec() };
        let mut fixed = Vec::new();
        fixed.extend(20_u16.to_le_bytes());
        fixed.extend(0_u16.to_le_bytes());
        fixed.extend(if *is_compressed { 8_u16 } else { 0 }.to_le_bytes());
        fixed.extend([0; 8]); // the time, the date and the checksum
        fixed.extend(u32::try_from(packed.len()).expect("it is small").to_le_bytes());
        fixed.extend(u32::try_from(content.len()).expect("it is small").to_le_bytes());
        fixed.extend(u16::try_from(name.len()).expect("it is short").to_le_bytes());
        fixed.extend(0_u16.to_le_bytes());
        let offset = u32::try_from(file.len()).expect("it is small");
        directory.extend(
            [b"PK\x01\x02\x14\0".as_slice(), &fixed, &[0; 10], &offset.to_le_bytes(), name.as_bytes()].concat(),
        );
        file.extend([b"PK\x03\x04".as_slice(), &fixed, name.as_bytes(), &packed].concat());
    }
    let offset = u32::try_from(file.len()).expect("it is small");
    let count = u16::try_from(entries.len()).expect("they are few").to_le_bytes();
    let length = u32::try_from(directory.len()).expect("it is small");
    file.extend(directory);
    file.extend(
        [b"PK\x05\x06\0\0\0\0".as_slice(), &count, &count, &length.to_le_bytes(), &offset.to_le_bytes()].concat(),
    );
    file.extend(u16::try_from(comment.len()).expect("it is short").to_le_bytes());
    file.extend(comment);
    file
}

#[test(flavor = "multi_thread")]
async fn a_document_is_known_by_the_names_in_its_zip_wherever_they_stand() {
    const OFFICE: &str = "application/vnd.openxmlformats-officedocument";
    const OPEN: &str = "application/vnd.oasis.opendocument";
    let photo = vec![7; 200_000];
    let types = ("[Content_Types].xml", &b"<Types/>"[..], true);
    let comment = vec![b'x'; 65_535];
    let odt: &[u8] = b"application/vnd.oasis.opendocument.text";
    let cases: [(&str, Vec<u8>, String); 10] = [
        // As Word and python-docx order them, with pictures before the text, and as Google does, with the types last.
        (
            "a",
            zip(&[types, ("_rels/.rels", b"", true), ("word/document.xml", b"", true)], b""),
            format!("{OFFICE}.wordprocessingml.document"),
        ),
        (
            "b",
            zip(&[types, ("docProps/app.xml", &photo, false), ("word/media/a.jpg", &photo, false)], b""),
            format!("{OFFICE}.wordprocessingml.document"),
        ),
        (
            "c",
            zip(&[("xl/workbook.xml", b"", true), ("xl/media/a.jpg", &photo, false), types], b""),
            format!("{OFFICE}.spreadsheetml.sheet"),
        ),
        (
            "d",
            zip(&[types, ("_rels/.rels", &photo, false), ("ppt/presentation.xml", b"", true)], &comment),
            format!("{OFFICE}.presentationml.presentation"),
        ),
        ("e", zip(&[("mimetype", odt, false), ("content.xml", b"", true)], b""), format!("{OPEN}.text")),
        (
            "f",
            zip(
                &[
                    ("content.xml", &photo, false),
                    ("mimetype", b"application/vnd.oasis.opendocument.spreadsheet", false),
                ],
                b"",
            ),
            format!("{OPEN}.spreadsheet"),
        ),
        ("g", zip(&[types, ("Word\\document.xml", b"", true)], b""), format!("{OFFICE}.wordprocessingml.document")),
        (
            "h",
            zip(&[("fotos/word/a.jpg", &photo, false), ("word/a.jpg", b"", false)], b""),
            "application/zip".to_owned(),
        ),
        ("i", zip(&[types, ("notas.txt", b"", true)], b""), "application/zip".to_owned()),
        (
            "j",
            [b"PK\x03\x04".as_slice(), &[0xFF; 500], b"PK\x05\x06", &[0xFF; 18]].concat(),
            "application/zip".to_owned(),
        ),
    ];
    on_both(async |world| {
        let gateway = FileServer::start().await;
        let service = service(&world, &gateway, &[]).await;
        for (path, content, _) in &cases {
            gateway.reply(&format!("/{path}"), Reply::file(content));
            deliver_as(&service, path, "document", &format!("/{path}")).await;
        }
        all_end(&world).await;
        for (path, _, kind) in &cases {
            let found = world.value(&format!("SELECT content_type FROM media WHERE message_id = '{path}'")).await;
            assert_eq!(&found, kind, "{path}");
        }
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_file_without_an_extension_is_served_with_that_of_its_type() {
    on_both(async |world| {
        let gateway = FileServer::start().await;
        gateway.reply("/u/8f3a", Reply::file(b"%PDF-1.7\n%\x00"));
        gateway.reply("/u/a.jpg", Reply::file(JPEG));
        let service = service(&world, &gateway, &[]).await;
        deliver_as(&service, "A", "document", "/u/8f3a").await;
        deliver_as(&service, "B", "document", "/u/a.jpg").await;
        all_end(&world).await;
        for (id, name, shown) in
            [("A", "8f3a.pdf", "attachment; filename=\"8f3a.pdf\""), ("B", "a.jpg", "inline; filename=\"a.jpg\"")]
        {
            let get = |path: String| service.get(&path).bearer_auth(service.token());
            let file = get(format!("/api/v1/messages/7/{id}/media")).send().await.expect("it answers");
            assert_eq!(file.headers()["content-disposition"], shown);
            for path in [format!("/api/v1/messages/7/{id}"), format!("/api/v1/media?message_id={id}")] {
                let answer = get(path).send().await.expect("it answers");
                let answer: serde_json::Value = answer.json().await.expect("it is JSON");
                let listed = [&answer["media"]["filename"], &answer["data"][0]["filename"]];
                assert!(listed.iter().any(|it| **it == name), "{answer}");
            }
        }
        service.stop().await;
    })
    .await;
}
