//! Ids with characters that have a meaning in paths. Percent-encoded, they work in every path.

use serde_json::json;

use crate::media::JPEG;
use crate::support::database::world::{Backend, World, on_both};
use crate::support::events::{SECRET, received};
use crate::support::eventually;
use crate::support::gateway::file_server::{FileServer, Reply};
use crate::support::program::service::{Answer, Service, answer};

/// Percent-encodes every byte of UTF-8 that is not a letter or a digit.
fn encoded(id: &str) -> String {
    let byte =
        |byte: u8| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    id.bytes().map(byte).collect()
}

const INSTANCES: [&str; 9] = ["a/b", "100%", "50%25", "%2F", "a+b", "a b", "ñandú", "a?b#c;d=e&f", "..%2f@:"];
/// The first id is in the form of WhatsApp's own library.
const MESSAGES: [&str; 6] = ["true_573001112233@c.us_3EB0/AB+C=", "%41", "a%2Fb", "a b\tc", "../../etc", "ñ \"q\" \\"];
const CHATS: [&str; 3] = ["573001112233@c.us", "1/2+3%@g.us", "a%2Fb"];

#[test]
async fn the_instance_is_the_part_of_the_path_decoded_once() {
    on_both(async |world| {
        let service = Service::start(&world).await;
        for (n, instance) in INSTANCES.iter().enumerate() {
            for slash in ["", "/"] {
                let path = format!("/webhook/{}{slash}", encoded(instance));
                service.deliver(&path, received(&format!("{n}{slash}"), json!({}))).await.accepted();
            }
        }
        // These need no encoding.
        service.deliver("/webhook/a+b", received("plain", json!({}))).await.accepted();
        service.deliver("/webhook/c@d:e", received("plain", json!({}))).await.accepted();
        let mut expected: Vec<String> = INSTANCES.iter().flat_map(|it| [it.to_string(), it.to_string()]).collect();
        expected.extend(["a+b".to_owned(), "c@d:e".to_owned()]);
        expected.sort();
        let mut instances = world.rows("SELECT instance_id FROM messages").await;
        instances.sort();
        assert_eq!(instances, expected);
        for unusable in ["%00", &encoded(&"x".repeat(65)), "%7Binstance_id%7D"] {
            let refused = service.deliver(&format!("/webhook/{unusable}"), received("A", json!({}))).await;
            assert_eq!(refused.code(), "not_found", "{unusable}");
        }
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn messages_chats_and_files_are_found_under_their_ids() {
    on_both(async |world| {
        let gateway = FileServer::start().await;
        gateway.reply("/menu.jpg", Reply::file(JPEG));
        let origin = gateway.url("");
        let settings = [("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_GATEWAY_URL", origin.as_str())];
        let service = Service::start_with(&world, &settings).await;
        let token = service.token();
        for instance in INSTANCES {
            for (n, message) in MESSAGES.iter().enumerate() {
                let fields = json!({"chat_id": CHATS[n % CHATS.len()], "media_url": "/menu.jpg"});
                service.deliver(&format!("/webhook/{}", encoded(instance)), received(message, fields)).await.accepted();
            }
        }
        let pending = "SELECT count(*) FROM media WHERE state = 'pending'";
        eventually("every file is stored", async || world.value(pending).await == "0").await;
        let ticket = answer(service.post("/api/v1/tickets", "").bearer_auth(&token)).await;
        let ticket = ticket.body["ticket"].as_str().expect("the value is text").to_owned();
        let get = async |path: &str| -> Answer { answer(service.get(path).bearer_auth(&token)).await };
        for instance in INSTANCES {
            let of = encoded(instance);
            for (n, message) in MESSAGES.iter().enumerate() {
                let path = format!("/api/v1/messages/{of}/{}", encoded(message));
                let found = get(&path).await.body;
                assert_eq!((&found["instance_id"], &found["id"]), (&json!(instance), &json!(message)), "{path}");
                let file =
                    service.get(&format!("{path}/media?ticket={ticket}")).send().await.expect("the server answers");
                assert_eq!(file.bytes().await.expect("it has a body"), JPEG, "{path}");
                let chat_id = CHATS[n % CHATS.len()];
                let path = format!("/api/v1/chats/{of}/{}", encoded(chat_id));
                assert_eq!(get(&path).await.body["chat_id"], chat_id, "{path}");
                let messages = get(&format!("{path}/messages?limit=200")).await;
                let ids: Vec<_> =
                    messages.body["data"].as_array().expect("the value is a list").iter().map(|it| &it["id"]).collect();
                assert!(ids.contains(&&json!(message)), "{path} {ids:?}");
            }
        }
        service.stop().await;
    })
    .await;
}

/// A URL that is copied from the screen and registered must lead here.
#[test]
async fn the_url_that_is_printed_for_an_instance_is_its_own() {
    let world = World::new(Backend::Sqlite).await;
    let file = world.folder.path().join("buzon.toml");
    let ids = ["100% +ñ", "50%25", "a?b#c"];
    let entries: String = ids.iter().map(|id| format!("[[instances]]\nid = \"{id}\"\n")).collect();
    std::fs::write(&file, entries).expect("the file can be written");
    let settings = [("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_CONFIG", file.to_str().expect("the value is text"))];
    let service = Service::start_with(&world, &settings).await;
    let config = crate::support::program::service::config(&settings);
    for instance in &config.instances {
        let url = config.webhook_url(Some(&instance.id));
        let path = url.strip_prefix("https://YOUR-HOST").expect("the public URL is unknown");
        service.deliver(path, received("A", json!({}))).await.accepted();
    }
    let mut expected = ids.to_vec();
    expected.sort();
    assert_eq!(world.rows("SELECT instance_id FROM messages ORDER BY instance_id").await, expected);
    service.stop().await;
}
