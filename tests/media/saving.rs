use serde_json::json;

use super::{JPEG, all_end, deliver, files, key, service};
use crate::support::database::world::{Backend, World, on_both};
use crate::support::events::{SECRET, received};
use crate::support::gate::Gate;
use crate::support::gateway::file_server::{FileServer, Reply};
use crate::support::program::process::Buzon;
use crate::support::s3::S3Server;
use crate::support::{borrowed, eventually};

#[test(flavor = "multi_thread")]
async fn the_file_of_a_message_is_saved_with_what_is_known_of_it() {
    on_both(async |world| {
        let gateway = FileServer::start().await;
        gateway.reply("/uploads/whatsapp/men%C3%BA.jpg", Reply::file(JPEG));
        let service = service(&world, &gateway, &[]).await;
        deliver(&service, "A", "/uploads/whatsapp/men%C3%BA.jpg").await;
        all_end(&world).await;
        let query = "SELECT state, object_key, size, content_type, file_name, attempts, reason FROM media";
        let hash = key(JPEG);
        assert_eq!(world.rows(query).await, [format!("stored|{hash}|14|image/jpeg|menú.jpg|1|NULL")]);
        let path = world.data_dir().join("media").join(&hash.as_str()[..2]).join(hash.as_str());
        assert_eq!(std::fs::read(path).expect("the file is there"), JPEG);
        assert_eq!(world.value("SELECT count(*) FROM media WHERE stored_at IS NULL").await, "0");
        let heads = gateway.requests();
        assert_eq!(heads.len(), 1, "{heads:?}");
        let head = heads[0].to_lowercase();
        assert!(head.contains("accept-encoding: identity") && !head.contains("authorization"), "{head}");
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn the_name_that_the_gateway_gives_a_file_counts_before_the_one_in_its_url() {
    on_both(async |world| {
        let gateway = FileServer::start().await;
        let disposition = "Content-Disposition: attachment; filename*=UTF-8''factura%20n%C2%BA%207.pdf\r\n";
        gateway.reply("/f/0001", Reply::with_headers(disposition, b"%PDF-1.7\n%\x00"));
        let hostile = "Content-Disposition: attachment; filename=\"../../etc/cron.d/x\"\r\n";
        gateway.reply("/f/0002", Reply::with_headers(hostile, b"\x00"));
        let service = service(&world, &gateway, &[]).await;
        deliver(&service, "A", "/f/0001").await;
        deliver(&service, "B", "/f/0002").await;
        all_end(&world).await;
        let rows = world.rows("SELECT content_type, file_name FROM media ORDER BY message_id").await;
        assert_eq!(rows, ["application/pdf|factura nº 7.pdf", "application/octet-stream|x"]);
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn the_same_picture_in_many_chats_is_stored_once() {
    on_both(async |world| {
        let gateway = FileServer::start().await;
        let service = service(&world, &gateway, &[]).await;
        for n in 0..20 {
            gateway.reply(&format!("/{n}.jpg"), Reply::file(JPEG));
            deliver(&service, &n.to_string(), &format!("/{n}.jpg")).await;
        }
        all_end(&world).await;
        assert_eq!(world.value("SELECT count(*) FROM media WHERE state = 'stored'").await, "20");
        assert_eq!(files(&world), [key(JPEG).to_string()]);
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_message_is_there_before_its_file_and_does_not_wait_for_it() {
    on_both(async |world| {
        let gateway = FileServer::start().await;
        let gate = Gate::closed();
        gateway.reply("/slow.jpg", Reply::halved(JPEG, &gate));
        let service = service(&world, &gateway, &[]).await;
        deliver(&service, "A", "/slow.jpg").await;
        eventually("the file is asked for", async || gateway.asked("/slow.jpg") == 1).await;
        assert_eq!(world.value("SELECT state FROM media").await, "pending");
        assert_eq!(world.value("SELECT type FROM messages").await, "image");
        assert_eq!(files(&world), [""; 0]);
        deliver(&service, "B", "/none.jpg").await;
        gate.open();
        eventually("it is stored", async || world.rows("SELECT id FROM messages").await.len() == 2).await;
        let state = "SELECT state FROM media WHERE message_id = 'A'";
        eventually("it is stored", async || world.value(state).await == "stored").await;
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn files_go_to_a_bucket_in_the_same_way() {
    on_both(async |world| {
        let (gateway, s3) = (FileServer::start().await, S3Server::start().await);
        let large: Vec<u8> = (0..9 * 1024 * 1024u32).map(|n| (n ^ (n >> 11)) as u8).collect();
        gateway.reply("/small.jpg", Reply::file(JPEG));
        gateway.reply("/large.bin", Reply::file(&large));
        let settings = s3.settings();
        let settings = crate::support::borrowed(&settings);
        let service = service(&world, &gateway, &settings).await;
        deliver(&service, "A", "/small.jpg").await;
        deliver(&service, "B", "/large.bin").await;
        all_end(&world).await;
        assert_eq!(world.value("SELECT count(*) FROM media WHERE state = 'stored'").await, "2");
        for content in [JPEG, &large] {
            let hash = key(content);
            let get = service.get(&format!("/api/v1/media/{hash}")).bearer_auth(service.token());
            let answer = get.send().await.expect("it answers");
            assert_eq!(answer.status(), 200);
            assert!(answer.bytes().await.expect("it is whole") == content);
        }
        assert!(!world.data_dir().join("media").exists());
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn the_keys_of_a_bucket_can_come_from_the_environment_of_amazons_tools() {
    let world = World::new(Backend::Sqlite).await;
    let (gateway, s3) = (FileServer::start().await, S3Server::start().await);
    gateway.reply("/a.jpg", Reply::file(JPEG));
    let mut settings = s3.settings();
    for (name, _) in &mut settings {
        match *name {
            "BUZON_S3_ACCESS_KEY_ID" => *name = "AWS_ACCESS_KEY_ID",
            "BUZON_S3_SECRET_ACCESS_KEY" => *name = "AWS_SECRET_ACCESS_KEY",
            "BUZON_S3_ENDPOINT" => *name = "AWS_ENDPOINT_URL",
            _ => {}
        }
    }
    settings.push(("BUZON_GATEWAY_URL", gateway.url("")));
    settings.push(("BUZON_WEBHOOK_SECRET", SECRET.to_owned()));
    let buzon = Buzon::serve(&world, &borrowed(&settings)).await;
    assert!(!buzon.deliver(received("A", json!({"type": "image", "media_url": "/a.jpg"}))).await.accepted());
    all_end(&world).await;
    assert_eq!(world.value("SELECT state FROM media").await, "stored");
    assert!(s3.bucket().join("saved").join(&key(JPEG).as_str()[..2]).exists());
    buzon.kill().await;
}
