//! Bodies as the gateway sends them.

use buzon::domain::access::signature::{Keyring, Signer};
use buzon::domain::event::Event;
use buzon::domain::instance::InstanceId;
use buzon::domain::time::timestamp::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

/// A secret for all instances.
pub const SECRET: &str = "a secret for every instance";

/// The guide's samples, byte for byte.
pub const GUIDE: [(&str, &[u8]); 5] = [
    ("message_received", include_bytes!("../fixtures/guide/message_received.json")),
    ("message_sent", include_bytes!("../fixtures/guide/message_sent.json")),
    ("ack_update", include_bytes!("../fixtures/guide/ack_update.json")),
    ("message_reaction", include_bytes!("../fixtures/guide/message_reaction.json")),
    ("test_webhook", include_bytes!("../fixtures/guide/test_webhook.json")),
];

/// The bodies of the guide's `curl` lines, byte for byte.
pub const GUIDE_CURL: [&[u8]; 2] = [
    include_bytes!("../fixtures/guide/curl_message_received.json"),
    include_bytes!("../fixtures/guide/curl_ack_update.json"),
];

/// Returns the signature of `body`, in lower-case hexadecimal digits.
pub fn sign(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes any key");
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

/// Returns an event of `instance` as the store receives it.
pub fn event(instance: &str, body: impl AsRef<[u8]>, received_at: Timestamp) -> Event {
    let path = InstanceId::new(instance).expect("it is an instance id");
    let path = Some(path).filter(|path| !path.is_unstated());
    Event::read(&Keyring::default(), path.as_ref(), &Signer::Shared, body.as_ref().to_vec(), received_at)
}

/// Returns a `message_received` with `fields` laid over a plain one.
pub fn received(id: &str, fields: Value) -> Vec<u8> {
    let plain = json!({
        "event_type": "message_received", "id": id, "chat_id": "573001112233@c.us", "from": "573001112233@c.us",
        "to": "573009998877@c.us", "from_me": 0, "sender_name": "Juan Pérez", "body": "Hola", "type": "text",
        "timestamp": 1724716800, "is_group": 0, "status": "received", "ack": "pending",
    });
    overlaid(plain, fields)
}

/// Returns a `message_sent` with `fields` laid over a plain one.
pub fn sent(id: &str, fields: Value) -> Vec<u8> {
    let plain = json!({
        "event_type": "message_sent", "id": id, "chat_id": "573001112233@c.us", "from": "573009998877@c.us",
        "to": "573001112233@c.us", "body": "¡Hola!", "type": "text", "timestamp": 1724716890, "status": "sent",
    });
    overlaid(plain, fields)
}

/// Returns an `ack_update` in the guide's form, which has no instance.
pub fn ack(id: &str, ack: &str) -> Vec<u8> {
    json!({"event_type": "ack_update", "id": id, "ack": ack}).to_string().into_bytes()
}

pub fn reaction(message_id: &str, from: &str, emoji: Value, timestamp: Value) -> Vec<u8> {
    let body = json!({
        "event_type": "message_reaction", "message_id": message_id, "from_number": from, "reaction": emoji,
        "timestamp": timestamp,
    });
    body.to_string().into_bytes()
}

fn overlaid(mut plain: Value, fields: Value) -> Vec<u8> {
    for (name, value) in fields.as_object().expect("fields are an object") {
        plain[name] = value.clone();
    }
    plain.to_string().into_bytes()
}
