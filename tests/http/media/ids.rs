use reqwest::Method;
use serde_json::json;

use super::{MediaService, by_hash, given, of_message};
use crate::media::{JPEG, deliver, key};
use crate::support::database::world::{Backend, World, on_both};
use crate::support::events::received;
use crate::support::eventually;
use crate::support::gate::Gate;
use crate::support::gateway::file_server::Reply;
use crate::support::program::service::{Answer, answer};

/// Percent-encodes every byte.
fn encoded(id: &str) -> String {
    id.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

async fn not_found(media: &MediaService, path: &str) -> Answer {
    let head = given(media.request(Method::HEAD, path)).await;
    let answer = answer(media.get(path)).await;
    assert_eq!((answer.status.as_u16(), head.status), (404, 404), "{path} {answer:?}");
    answer
}

#[test(flavor = "multi_thread")]
async fn files_and_messages_that_do_not_exist_are_not_found() {
    on_both(async |world| {
        let media = MediaService::in_folder(world).await;
        media.put("A", "/f/foto.jpg", JPEG).await;
        media.service.deliver("/webhook/7", received("text", json!({}))).await.accepted();
        let hash = key(JPEG).to_string();
        let (upper, long) = (hash.to_uppercase(), "x".repeat(5000));
        for hash in [key(b"x").as_str(), &upper, &hash[1..], &format!("{hash}0"), "..%2F..%2Fapi-token", "%00", "%FF"] {
            assert_eq!(not_found(&media, &format!("/api/v1/media/{hash}")).await.code(), "not_found", "{hash}");
        }
        for (instance, id) in [
            ("7", "B"),
            ("7", "a"),
            ("8", "A"),
            ("-", "A"),
            ("7", "text"),
            ("7", "A%00"),
            ("7%00", "A"),
            ("7", "A%FF"),
            ("7", "A%20"),
            ("7", "%27%20OR%201%3D1--"),
            ("7", &long),
            (&long, "A"),
        ] {
            let path = format!("/api/v1/messages/{instance}/{id}/media");
            assert_eq!(not_found(&media, &path).await.code(), "not_found", "{path}");
        }
        for path in ["/api/v1/media/", &format!("{}/", by_hash(JPEG)), "/api/v1/messages/7//media"] {
            assert_eq!(not_found(&media, path).await.code(), "not_found", "{path}");
        }
        media.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_message_is_found_whatever_characters_its_id_has() {
    on_both(async |world| {
        let media = MediaService::in_folder(world).await;
        let ids =
            ["true_57300@c.us_ABC/1", "100%", "%2F", "%252F", "a b", "a+b", "ñandú 📷", "a?b#c", "a/../b", "'\"\\;"];
        for (n, id) in ids.iter().enumerate() {
            media.put(id, &format!("/f/{n}.jpg"), &[JPEG, &[n as u8]].concat()).await;
        }
        for (n, id) in ids.iter().enumerate() {
            let file = given(media.get(&of_message(&encoded(id)))).await;
            assert_eq!((file.status, file.body), (200, [JPEG, &[n as u8]].concat()), "{id}");
        }
        media.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn the_answer_for_a_file_that_is_not_stored_has_its_state() {
    on_both(async |world| {
        let media = MediaService::in_folder(world).await;
        let detail = async |id: &str| {
            let answer = not_found(&media, &of_message(id)).await;
            assert_eq!(answer.code(), "media_not_stored");
            answer.body["detail"].as_str().expect("the value is text").to_owned()
        };
        let gate = Gate::closed();
        media.gateway.reply("/f/slow.jpg", Reply::file(JPEG).held(&gate));
        deliver(&media.service, "slow", "/f/slow.jpg").await;
        assert_eq!(detail("slow").await, "the file is pending");
        deliver(&media.service, "gone", "/f/gone.jpg").await;
        let ended = "UPDATE media SET state = 'expired', reason = 'the gateway no longer has the file' \
                     WHERE message_id = 'gone'";
        media.world.execute(ended).await;
        assert_eq!(detail("gone").await, "the file is expired: the gateway no longer has the file");
        gate.open();
        let state = "SELECT state FROM media WHERE message_id = 'slow'";
        eventually("the slow file is stored", async || media.world.value(state).await == "stored").await;
        assert_eq!(given(media.get(&of_message("slow"))).await.body, JPEG);
        media.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn the_file_of_a_message_that_was_stored_last_is_served() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let media = MediaService::in_folder(World::new(backend).await).await;
        for (path, content) in [("/f/1.bin", b"first".as_slice()), ("/f/2.bin", b"second"), ("/f/3.bin", b"third")] {
            media.put("A", path, content).await;
        }
        deliver(&media.service, "A", "/f/none.bin").await;
        for (stored_last, content) in [("/f/2.bin", "second"), ("/f/1.bin", "first"), ("/f/3.bin", "third")] {
            let set = format!(
                "UPDATE media SET stored_at = '2024-01-01T00:00:00.000Z' WHERE stored_at IS NOT NULL;
                 UPDATE media SET stored_at = '2024-01-02T00:00:00.000Z' WHERE source_url = '{stored_last}'"
            );
            media.world.execute(&set).await;
            assert_eq!(given(media.get(&of_message("A"))).await.body, content.as_bytes());
        }
        media.stop().await;
    }
}
