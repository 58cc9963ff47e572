//! Where files come from: addresses as gateways write them, and files inside of events.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use buzon::store::{self, Aim, Options, Pending};
use serde_json::{Value, json};

use super::{JPEG, all_end, deliver, files, key, service};
use crate::support::database::world::{World, on_both};
use crate::support::events::received;
use crate::support::gateway::file_server::{FileServer, Reply};
use crate::support::program::service::Service;

#[test(flavor = "multi_thread")]
async fn a_file_is_fetched_whatever_its_name_is_and_the_query_is_sent_as_it_is() {
    on_both(async |world| {
        let gateway = FileServer::start().await;
        let at = |path: &str| gateway.url(path);
        let cases = [
            ("/u/foto del menú.jpg".to_owned(), "/u/foto%20del%20men%C3%BA.jpg"),
            (at("/u/foto del menú 2.jpg"), "/u/foto%20del%20men%C3%BA%202.jpg"),
            (at("/u/foto%20del%20men%C3%BA%203.jpg"), "/u/foto%20del%20men%C3%BA%203.jpg"),
            (at("/u/a+b.jpg"), "/u/a+b.jpg"),
            (at("/u/q.jpg?token=a%2Bb&sig=x+y/z=&Date=2024"), "/u/q.jpg?token=a%2Bb&sig=x+y/z=&Date=2024"),
            ("/u/50% off.jpg".to_owned(), "/u/50%25%20off.jpg"),
            ("/u/Factura #12.jpg".to_owned(), "/u/Factura%20%2312.jpg"),
            ("/u/📷 foto (1).jpg".to_owned(), "/u/%F0%9F%93%B7%20foto%20(1).jpg"),
            ("/u/menu\u{301}.jpg".to_owned(), "/u/menu%CC%81.jpg"),
            ("/u\\w\\c.jpg".to_owned(), "/u/w/c.jpg"),
            (format!(" {} \n", at("/u/t.jpg")), "/u/t.jpg"),
        ];
        for (_, requested) in &cases {
            gateway.reply(requested, Reply::file(JPEG));
        }
        let service = service(&world, &gateway, &[]).await;
        for (url, requested) in &cases {
            deliver(&service, requested, url).await;
        }
        all_end(&world).await;
        let rows = world.rows("SELECT message_id, state, reason FROM media ORDER BY message_id").await;
        assert!(rows.iter().all(|row| row.ends_with("|stored|NULL")), "{rows:?}");
        assert_eq!(rows.len(), cases.len());
        let name = "SELECT file_name FROM media WHERE message_id = '/u/Factura%20%2312.jpg'";
        assert_eq!(world.value(name).await, "Factura #12.jpg");
        service.stop().await;
    })
    .await;
}

async fn get(service: &Service, path: &str) -> Value {
    let answer = service.get(path).bearer_auth(service.token()).send().await.expect("it answers");
    answer.json().await.expect("it is JSON")
}

async fn differences(world: &World) -> usize {
    let options = Options { pending: Pending::Refuse, ..world.options() };
    let differences = store::rebuild(&options, Aim::Check, &|_| ()).await.expect("the ledger can be read");
    differences.into_iter().filter(|difference| !difference.is_none()).count()
}

#[test(flavor = "multi_thread")]
async fn a_file_inside_an_event_is_stored_like_a_download_and_stands_in_no_column() {
    on_both(async |world| {
        let gateway = FileServer::start().await;
        let service = service(&world, &gateway, &[("BUZON_MEDIA_MAX_SIZE", "100000")]).await;
        let picture = [JPEG, &[7; 50_000]].concat();
        let base64 = BASE64_STANDARD.encode(&picture);
        let url = format!("data:image/jpeg;base64,{base64}");
        let large = format!("data:video/mp4;base64,{}", BASE64_STANDARD.encode(vec![0; 100_001]));
        for (id, fields) in [
            ("A", json!({"type": "image", "body": "", "media_url": url})),
            // Another copy of the message holds it, so it is looked for behind this one.
            ("B", json!({"type": "image", "body": "", "media_url": "", "status": "early"})),
            ("B", json!({"type": "image", "body": "", "media_url": url})),
            ("C", json!({"type": "image", "body": "", "media_base64": base64, "mimetype": "image/jpeg"})),
            ("D", json!({"type": "video", "body": "mira", "media_url": large})),
            ("E", json!({"type": "image", "body": "", "media_url": "data:image/jpeg;base64,?"})),
        ] {
            service.deliver("/webhook/7", received(id, fields)).await.accepted();
        }
        all_end(&world).await;
        let hash = key(&picture);
        let rows = world.rows("SELECT message_id, state, object_key, size, content_type FROM media ORDER BY 1").await;
        let of = |id: &str| format!("{id}|stored|{hash}|{}|image/jpeg", picture.len());
        assert_eq!(rows[..3], [of("A"), of("B"), of("C")]);
        assert_eq!(rows[3..], ["D|too_large|NULL|NULL|NULL", "E|failed|NULL|NULL|NULL"]);
        let reason = "SELECT reason FROM media WHERE message_id = 'E'";
        assert_eq!(world.value(reason).await, "the file inside the event is not valid Base64");
        assert_eq!(files(&world), [hash.to_string()]);
        let short = format!("data:image/jpeg;sha256={hash}");
        assert_eq!(world.rows("SELECT DISTINCT media_url FROM messages WHERE id < 'D'").await, [short.as_str()]);
        let source = "SELECT DISTINCT source_url, source_host FROM media WHERE message_id < 'D'";
        assert_eq!(world.rows(source).await, [format!("{short}|data:")]);
        assert_eq!(world.value("SELECT max(length(media_url)) FROM messages").await, short.len().to_string());
        assert_eq!(gateway.requests(), [""; 0]);
        for list in ["messages", "media", "events", "events?after=beginning", "chats"] {
            let list = get(&service, &format!("/api/v1/{list}")).await.to_string();
            assert!(list.len() < 20_000 && !list.contains(";base64,"), "{list}");
        }
        assert_eq!(differences(&world).await, 0);
        let shown = service.get(&format!("/api/v1/media/{hash}")).bearer_auth(service.token());
        let shown = shown.send().await.expect("it answers").bytes().await.expect("it is complete");
        assert_eq!(shown, picture);
        service.stop().await;
    })
    .await;
}
