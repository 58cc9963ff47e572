//! Realistic events: an endless sequence in which each event is a function of its position, so that any part of it can
//! be made anywhere.
//!
//! 60 % received, 20 % sent, 15 % acks, 3 % reactions, 2 % others; 5 % are exact repeats; one message in ten has a
//! file. Messages are 0.4 to 2 KB; acks and reactions are as short as the guide has them.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use buzon::simulate::SeededRng;

/// The secret of all instances.
pub const SECRET: &str = "the secret of the benchmark";

/// The person with the most messages.
const PERSON: &str = "176369157804064@lid";
const INSTANCES: u64 = 8;
const CHATS: u64 = 20_000;
const WORDS: u64 = 30_000;
/// The time of the first message; the others follow at intervals of one second.
const BEGAN: u64 = 1_750_000_000;
/// The maximum distance of repeats, acks and reactions from the events that they refer to.
const RECENT: u64 = 2_000;

pub struct Request {
    pub instance: u64,
    pub body: String,
}

impl Request {
    pub fn path(&self) -> String {
        format!("/webhook/{}", self.instance)
    }

    pub fn signature(&self) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("HMAC takes any key");
        mac.update(self.body.as_bytes());
        hex::encode(mac.finalize().into_bytes())
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Repeat,
    Received,
    Sent,
    Ack,
    Reaction,
    Other,
}

/// The two sides of a chat.
struct Chat {
    instance: u64,
    id: String,
    person: String,
    is_group: bool,
}

/// Returns the event at this position.
pub fn request(index: u64, files: &str) -> Request {
    let mut rng = rng_of(index);
    match kind(&mut rng) {
        Kind::Repeat if index > 0 => request(index - 1 - rng.below(index.min(RECENT)), files),
        Kind::Sent => message(index, true, &mut rng, files),
        Kind::Ack => ack(index, &mut rng),
        Kind::Reaction => reaction(index, &mut rng),
        Kind::Other => other(index),
        Kind::Repeat | Kind::Received => message(index, false, &mut rng, files),
    }
}

/// Returns a message with a file, whatever the sequence has at this position.
pub fn file(index: u64, files: &str) -> Request {
    let mut body = plain(index, false, &mut rng_of(index));
    attach(&mut body, index, files);
    Request { instance: chat(index).instance, body: body.to_string() }
}

/// Returns a message of one person, under an id without a number, whatever the sequence has at this position.
pub fn of_one_person(index: u64) -> Request {
    let mut body = plain(index, false, &mut rng_of(index));
    body["instance_id"] = json!("1001");
    body["chat_id"] = json!(PERSON);
    body["from"] = json!(PERSON);
    body["is_group"] = json!(0);
    body["group_sender"] = Value::Null;
    Request { instance: 1_001, body: body.to_string() }
}

fn rng_of(index: u64) -> SeededRng {
    SeededRng::new(index.wrapping_mul(0xD129_0D3F_5F9A_3E61))
}

fn kind(rng: &mut SeededRng) -> Kind {
    if rng.in_thousand(50) {
        return Kind::Repeat;
    }
    match rng.below(100) {
        0..60 => Kind::Received,
        60..80 => Kind::Sent,
        80..95 => Kind::Ack,
        95..98 => Kind::Reaction,
        _ => Kind::Other,
    }
}

/// Returns the chat of the message at this position. A few chats have most of the messages.
fn chat(index: u64) -> Chat {
    let mut rng = SeededRng::new(!index);
    let number = rng.zipf(CHATS, 20.0);
    let is_group = number % 10 == 3;
    let member = if is_group { rng.below(40) } else { 0 };
    let person = format!("57300{:07}@c.us", number * 40 + member);
    let id = if is_group { format!("1203630{number:011}@g.us") } else { person.clone() };
    Chat { instance: 1_001 + number % INSTANCES, id, person, is_group }
}

fn id(index: u64) -> String {
    format!("3EB0{:016X}", SeededRng::new(index).next_u64())
}

fn message(index: u64, from_me: bool, rng: &mut SeededRng, files: &str) -> Request {
    let has_file = rng.in_thousand(100);
    let mut body = plain(index, from_me, rng);
    if has_file {
        attach(&mut body, index, files);
    }
    Request { instance: chat(index).instance, body: body.to_string() }
}

fn plain(index: u64, from_me: bool, rng: &mut SeededRng) -> Value {
    let chat = chat(index);
    let own = format!("573009998{:03}@c.us", chat.instance);
    let (from, to) = if from_me { (&own, &chat.id) } else { (&chat.id, &own) };
    let name = format!("{} {}", word(rng.below(200)), word(rng.below(2_000)));
    let quoted = rng.in_thousand(80).then(|| id(recent(index, rng)));
    json!({
        "event_type": if from_me { "message_sent" } else { "message_received" },
        "id": id(index),
        "instance_id": chat.instance.to_string(),
        "chat_id": chat.id,
        "from": from,
        "to": to,
        "from_me": u8::from(from_me),
        "sender_name": (!from_me).then_some(name),
        "body": text(rng),
        "type": "text",
        "timestamp": BEGAN + index,
        "is_group": u8::from(chat.is_group),
        "quoted_message_id": quoted,
        "reaction": null,
        "media_url": null,
        "latitude": null,
        "longitude": null,
        "vcard": null,
        "status": if from_me { "sent" } else { "received" },
        "ack": "pending",
        "group_sender": (chat.is_group && !from_me).then_some(&chat.person),
    })
}

fn attach(body: &mut Value, index: u64, files: &str) {
    body["type"] = json!("image");
    body["media_url"] = json!(format!("{files}/uploads/whatsapp/{index}.jpg"));
}

fn ack(index: u64, rng: &mut SeededRng) -> Request {
    let about = sent_before(index, rng);
    let ack = rng.pick(&["sent", "delivered", "delivered", "read", "read"]);
    let chat = chat(about);
    let body = json!({"event_type": "ack_update", "id": id(about), "ack": ack, "chat_id": chat.id});
    Request { instance: chat.instance, body: body.to_string() }
}

fn reaction(index: u64, rng: &mut SeededRng) -> Request {
    let about = sent_before(index, rng);
    let chat = chat(about);
    let body = json!({
        "event_type": "message_reaction",
        "instance_id": chat.instance.to_string(),
        "message_id": id(about),
        "from_number": chat.person,
        "reaction": rng.pick(&["👍", "❤️", "😂", "🙏"]),
        "timestamp": BEGAN + index,
    });
    Request { instance: chat.instance, body: body.to_string() }
}

fn other(index: u64) -> Request {
    let instance = 1_001 + index % INSTANCES;
    let body = json!({"event_type": "presence_update", "instance_id": instance, "timestamp": BEGAN + index});
    Request { instance, body: body.to_string() }
}

fn recent(index: u64, rng: &mut SeededRng) -> u64 {
    index.saturating_sub(1 + rng.below(RECENT))
}

/// Returns the position of an outgoing message shortly before this one.
fn sent_before(index: u64, rng: &mut SeededRng) -> u64 {
    let from = recent(index, rng);
    (0..=from).rev().find(|place| kind(&mut rng_of(*place)) == Kind::Sent).unwrap_or_default()
}

/// Returns a text: usually a line, seldom a page.
fn text(rng: &mut SeededRng) -> String {
    let words = match rng.below(100) {
        0..80 => 3 + rng.below(12),
        80..95 => 20 + rng.below(60),
        _ => 100 + rng.below(120),
    };
    let words: Vec<String> = (0..words).map(|_| word(rng.zipf(WORDS, 2.0))).collect();
    words.join(" ")
}

/// Returns the word of this rank. Frequent words are short.
fn word(number: u64) -> String {
    const SYLLABLES: [&str; 24] = [
        "ma", "lo", "ne", "ti", "so", "ra", "pe", "cu", "di", "ga", "bo", "ve", "ñi", "tá", "cho", "lla", "pre", "tri",
        "són", "mén", "hu", "je", "qui", "xo",
    ];
    let (mut rest, mut word) = (number + 24, String::new());
    while rest > 0 {
        word.push_str(SYLLABLES[(rest % 24) as usize]);
        rest /= 24;
    }
    word
}
