//! The questions: each list, each filter alone, pairs of filters, each with its time limit.

use std::time::Duration;

use buzon::domain::page::position::{History, Position};
use buzon::domain::page::{Cursor, SortKey};
use buzon::domain::time::timestamp::Timestamp;

use super::history::END;
use super::load::{MessageSample, SampledMessage};
use super::words::{NEVER_TOGETHER, PHRASE, RARE};
use buzon::simulate::SeededRng;

/// A question that is asked with other parameters each time.
pub struct Question<'m> {
    pub name: &'static str,
    /// The time within which 99 of 100 answers must come.
    pub limit: Option<Duration>,
    pub path: Box<dyn Fn(&mut SeededRng) -> String + 'm>,
}

/// The limit for a message, a page of a chat, and the chats, in milliseconds.
const PROMPT: u64 = 20;
const HOUR: Duration = Duration::from_secs(3_600);
const TYPES: [&str; 6] = ["text", "image", "audio", "video", "sticker", "location"];
const ACKS: [&str; 6] = ["pending", "sent", "failed", "delivered", "read", "played"];

struct Questions<'m> {
    sample: &'m MessageSample,
    list: Vec<Question<'m>>,
}

impl<'m> Questions<'m> {
    /// Adds a question about one of the messages.
    fn about(&mut self, name: &'static str, limit: u64, path: impl Fn(&SampledMessage, &mut SeededRng) -> String + 'm) {
        let sample = self.sample;
        self.asking(name, limit, move |rng| path(rng.pick(&sample.messages), rng));
    }

    /// Adds a question about one of the messages that `choice` lets through.
    fn about_some(
        &mut self,
        name: &'static str,
        choice: impl Fn(&SampledMessage) -> bool,
        path: impl Fn(&SampledMessage) -> String + 'm,
    ) {
        let some: Vec<&SampledMessage> = self.sample.messages.iter().filter(|message| choice(message)).collect();
        self.asking(name, PROMPT, move |rng| path(some[rng.below(some.len() as u64) as usize]));
    }

    fn asking(&mut self, name: &'static str, limit: u64, path: impl Fn(&mut SeededRng) -> String + 'm) {
        let path = move |rng: &mut SeededRng| format!("/api/v1{}", path(rng));
        self.list.push(Question { name, limit: Some(Duration::from_millis(limit)), path: Box::new(path) });
    }
}

pub fn questions(sample: &MessageSample, history: History) -> Vec<Question<'_>> {
    let mut questions = Questions { sample, list: vec![] };
    items_and_chats(&mut questions);
    pages(&mut questions);
    filters(&mut questions);
    pairs(&mut questions);
    other_lists(&mut questions);
    ledger(&mut questions, history);
    statistics(&mut questions);
    searches(&mut questions);
    questions.list
}

fn items_and_chats(questions: &mut Questions<'_>) {
    questions.about("a message by its id", PROMPT, |it, _| format!("/messages/{}/{}", it.key.0, it.key.1));
    questions.about("a page of a chat", PROMPT, |it, _| format!("/chats/{}/{}/messages", it.key.0, it.chat_id));
    questions.about("a page of a chat in the past", PROMPT, |it, _| {
        format!("/chats/{}/{}/messages?until={}", it.key.0, it.chat_id, seconds(it.at))
    });
    questions.about("a chat", PROMPT, |it, _| format!("/chats/{}/{}", it.key.0, it.chat_id));
    questions.asking("the chat list", PROMPT, |_| "/chats".to_owned());
    questions.about("the chat list of an instance", PROMPT, |it, _| format!("/chats?instance_id={}", it.key.0));
    questions.asking("unanswered chats", PROMPT, |_| "/chats?unanswered=true".to_owned());
    questions.about("unanswered chats of an instance", PROMPT, |it, _| {
        format!("/chats?unanswered=true&instance_id={}", it.key.0)
    });
    questions.about_some("the chat with a number", is_person, |it| format!("/chats?contact={}", digits(&it.chat_id)));
    questions.asking("chats of groups", PROMPT, |_| "/chats?kind=group".to_owned());
    questions.asking("chats of kinds that do not occur", PROMPT, |_| "/chats?kind=channel,status".to_owned());
    questions.asking("chats by a name", 100, |rng| {
        format!("/chats?q={}", rng.pick(&["perez", "Muñoz", "lucia", "ana ortiz", "nobody"]))
    });
}

/// Adds pages of the newest messages, and of the largest chat.
fn pages(questions: &mut Questions<'_>) {
    questions.asking("the first page of all messages", PROMPT, |_| "/messages".to_owned());
    let sample = questions.sample;
    questions.asking("the 10,000th page of all messages", PROMPT, move |rng| {
        format!("/messages?cursor={}", cursor(sample.at_depth(500_000 + rng.below(50_000))))
    });
    questions.about("a page of all messages anywhere", PROMPT, |it, _| format!("/messages?cursor={}", cursor(it)));
    questions.about("the same, backwards", PROMPT, |it, _| format!("/messages?cursor={}", backwards(it)));
    questions.about("the same, oldest first", PROMPT, |it, _| format!("/messages?order=asc&cursor={}", cursor(it)));
    questions.asking("a page of the greatest chat anywhere", PROMPT, move |rng| {
        let (greatest, at) = (sample.of_greatest_chat(), rng.pick(&sample.messages));
        format!("/chats/{}/{}/messages?cursor={}", greatest.key.0, greatest.chat_id, cursor(at))
    });
    questions.asking("a page of 200", 100, |_| "/messages?limit=200".to_owned());
}

/// Adds each filter alone.
fn filters(questions: &mut Questions<'_>) {
    questions.about("instance_id", PROMPT, |it, _| format!("/messages?instance_id={}", it.key.0));
    questions.about_some("contact", is_person, |it| format!("/messages?contact={}", digits(&it.chat_id)));
    questions.about("chat_id", PROMPT, |it, _| format!("/messages?chat_id={}", it.chat_id));
    questions.about("from", PROMPT, |it, _| format!("/messages?from={}", it.from));
    questions.about("to", PROMPT, |it, _| format!("/messages?to={}", it.from));
    questions.asking("from_me", PROMPT, |rng| format!("/messages?from_me={}", rng.in_thousand(500)));
    questions.asking("kind", PROMPT, |rng| format!("/messages?kind={}", rng.pick(&["person", "group", "channel"])));
    questions.asking("type", PROMPT, |rng| format!("/messages?type={}", rng.pick(&TYPES)));
    questions.asking("type that nobody sends", PROMPT, |_| "/messages?type=poll".to_owned());
    questions.asking("ack", PROMPT, |rng| format!("/messages?ack={}", rng.pick(&ACKS)));
    questions.asking("status", PROMPT, |rng| format!("/messages?status={}", rng.pick(&["sent", "received", "no"])));
    questions.asking("has_media=true", PROMPT, |_| "/messages?has_media=true".to_owned());
    questions.asking("has_media=false", 100, |_| "/messages?has_media=false".to_owned());
    questions.about_some(
        "quoted_message_id",
        |it| it.quoted.is_some(),
        |it| format!("/messages?quoted_message_id={}", it.quoted.as_deref().unwrap_or_default()),
    );
    questions.about("since and until", PROMPT, |it, _| format!("/messages?{}", an_hour(it)));
    questions.about("since and until by arrival", PROMPT, |it, _| format!("/messages?time=received&{}", an_hour(it)));
    questions.asking("by arrival", PROMPT, |_| "/messages?time=received".to_owned());
}

/// Adds typical pairs of filters.
fn pairs(questions: &mut Questions<'_>) {
    questions.about("chat_id and type", PROMPT, |it, rng| {
        format!("/messages?chat_id={}&type={}", it.chat_id, rng.pick(&TYPES))
    });
    questions.about_some("contact and has_media", is_person, |it| {
        format!("/messages?contact={}&has_media=true", digits(&it.chat_id))
    });
    questions.about_some("contact and from_me", is_person, |it| {
        format!("/messages?contact={}&from_me=true", digits(&it.chat_id))
    });
    questions.about("chat_id by arrival", 100, |it, _| format!("/messages?time=received&chat_id={}", it.chat_id));
    questions.about("from and type", PROMPT, |it, rng| format!("/messages?from={}&type={}", it.from, rng.pick(&TYPES)));
    questions.about("from and has_media", PROMPT, |it, _| format!("/messages?from={}&has_media=true", it.from));
    questions.about("instance_id and type in an hour", PROMPT, |it, rng| {
        format!("/messages?instance_id={}&type={}&{}", it.key.0, rng.pick(&TYPES), an_hour(it))
    });
    questions.asking("from_me and ack", 100, |rng| format!("/messages?from_me=true&ack={}", rng.pick(&ACKS)));
    questions.about("ack in an hour", PROMPT, |it, rng| format!("/messages?ack={}&{}", rng.pick(&ACKS), an_hour(it)));
    questions.asking("from_me and type", 100, |rng| format!("/messages?from_me=true&type={}", rng.pick(&TYPES)));
    questions.asking("kind and has_media", 100, |_| "/messages?kind=group&has_media=true".to_owned());
    questions.asking("type and ack", 100, |rng| format!("/messages?type={}&ack={}", rng.pick(&TYPES), rng.pick(&ACKS)));
}

fn other_lists(questions: &mut Questions<'_>) {
    questions.asking("acks", PROMPT, |_| "/acks".to_owned());
    questions.about("acks of a message", PROMPT, |it, _| format!("/acks?message_id={}", it.key.1));
    questions.asking("acks of a word", 100, |rng| format!("/acks?ack={}", rng.pick(&ACKS)));
    questions.about("acks in an hour", PROMPT, |it, _| format!("/acks?{}", an_hour(it)));
    questions.asking("reactions", PROMPT, |_| "/reactions".to_owned());
    questions.about("reactions to a message", PROMPT, |it, _| format!("/reactions?message_id={}", it.key.1));
    questions.about("reactions of a person", 100, |it, _| format!("/reactions?from_number={}", it.from));
    questions.asking("media", PROMPT, |_| "/media".to_owned());
    questions.asking("media by state", PROMPT, |rng| {
        format!("/media?state={}", rng.pick(&["stored", "expired", "failed", "too_large", "pending"]))
    });
    questions.asking("media by type", 100, |rng| {
        format!("/media?type={}", rng.pick(&["image/", "audio/ogg", "application/pdf", "text/"]))
    });
    questions.about("media of a chat", PROMPT, |it, _| format!("/media?chat_id={}", it.chat_id));
    questions.about("messages of an author", PROMPT, |it, _| format!("/messages?author={}", it.from));
    questions.asking("media by size", 100, |_| "/media?min_size=600000".to_owned());
    questions.about("media of a message", PROMPT, |it, _| format!("/media?message_id={}", it.key.1));
}

fn ledger(questions: &mut Questions<'_>, history: History) {
    questions.asking("events", PROMPT, |_| "/events".to_owned());
    questions.about("an event", PROMPT, |it, _| format!("/events/{}", it.event));
    questions.about("events of an instance", PROMPT, |it, _| format!("/events?instance_id={}", it.key.0));
    questions.about("events of a message", PROMPT, |it, _| format!("/events?message_id={}", it.key.1));
    questions.about("events in an hour", PROMPT, |it, _| format!("/events?{}", an_hour(it)));
    questions.asking("quarantined events", PROMPT, |_| "/events?state=quarantined".to_owned());
    questions.asking("events of a type", 100, |rng| {
        format!("/events?event_type={}", rng.pick(&["message_sent", "ack_update", "message_reaction"]))
    });
    let after = move |it: &SampledMessage| Position { history, seq: it.seq }.encode();
    questions.about("the feed", PROMPT, move |it, _| format!("/events?after={}", after(it)));
    questions.about("the feed of an instance", PROMPT, move |it, _| {
        format!("/events?after={}&instance_id={}", after(it), it.key.0)
    });
    questions.asking("instances", 300, |_| "/instances".to_owned());
}

fn searches(questions: &mut Questions<'_>) {
    const SEARCH: u64 = 100;
    let page = |words: &str| format!("/messages?q={}", words.replace(' ', "%20").replace('"', "%22"));
    questions.asking("search: a common word", SEARCH, move |rng| {
        let word = rng.pick(&["de", "MENU", "señor", "gracias"]);
        page(word)
    });
    questions.asking("search: two common words", SEARCH, move |_| page("que para"));
    questions.asking("search: a word of a few in a hundred", SEARCH, move |rng| {
        let word = rng.pick(&NEVER_TOGETHER);
        page(word)
    });
    questions.asking("search: a rare word", SEARCH, move |_| page(RARE));
    questions.asking("search: a phrase", SEARCH, move |_| page(&format!("\"{PHRASE}\"")));
    questions.asking("search: a phrase of common words that is rare", SEARCH, move |_| page("\"año semana\""));
    questions.asking("search: two words that never meet", SEARCH, move |_| page(&NEVER_TOGETHER.join(" ")));
    questions
        .asking("search: a word that nobody wrote", SEARCH, move |rng| page(&format!("nadie{}", rng.below(1_000))));
    questions.about("search in a chat", SEARCH, move |it, _| format!("{}&chat_id={}", page("menu"), it.chat_id));
    questions.about("search in an instance", SEARCH, move |it, _| format!("{}&instance_id={}", page("menu"), it.key.0));
    questions.about("search in the past", SEARCH, move |it, _| format!("{}&until={}", page("menu"), seconds(it.at)));
    questions.asking("search among images", SEARCH, move |_| format!("{}&type=image", page("menu")));
}

/// Adds statistics over 30 days within the last 60, when there was the most traffic.
fn statistics(questions: &mut Questions<'_>) {
    const STATISTICS: u64 = 300;
    const ZONES: [&str; 3] = ["UTC", "America/Bogota", "Asia/Kolkata"];
    let month = |rng: &mut SeededRng| {
        let until = END - 24 * HOUR * rng.below(30) as u32;
        let zone = rng.pick(&ZONES);
        format!("since={}&until={}&time_zone={zone}", seconds(until - 30 * 24 * HOUR), seconds(until))
    };
    for (name, path) in [
        ("messages by day", "messages?by=day"),
        ("messages by hour", "messages?by=hour"),
        ("deliveries", "delivery?"),
        ("deliveries by day", "delivery?by=day"),
        ("answers", "responses?"),
        ("answers within a day", "responses?within=24h"),
        ("the busiest hours", "hours?"),
    ] {
        questions.asking(name, STATISTICS, move |rng| format!("/stats/{path}&{}", month(rng)));
    }
    questions.about("messages of an instance by day", STATISTICS, move |it, rng| {
        format!("/stats/messages?by=day&instance_id={}&{}", it.key.0, month(rng))
    });
}

impl MessageSample {
    /// Returns a message with about this many newer ones, or the middle one if the sample is too small.
    fn at_depth(&self, newer: u64) -> &SampledMessage {
        let steps = (newer / self.step) as usize;
        &self.messages[self.messages.len().saturating_sub(1 + steps).max(self.messages.len() / 2)]
    }

    fn of_greatest_chat(&self) -> &SampledMessage {
        let greatest = self.messages.iter().find(|message| message.chat_id == self.greatest_chat);
        greatest.expect("some of its many messages are remembered")
    }
}

fn cursor(at: &SampledMessage) -> String {
    encoded(at, false)
}

fn backwards(at: &SampledMessage) -> String {
    encoded(at, true)
}

fn encoded(at: &SampledMessage, backwards: bool) -> String {
    Cursor { key: SortKey::numbered(at.at, at.seq), backwards }.encode("messages")
}

fn an_hour(around: &SampledMessage) -> String {
    format!("since={}&until={}", seconds(around.at - HOUR), seconds(around.at))
}

fn seconds(at: Timestamp) -> i64 {
    at.millis() / 1_000
}

fn is_person(message: &SampledMessage) -> bool {
    message.chat_id.ends_with("@c.us")
}

fn digits(chat_id: &str) -> &str {
    chat_id.trim_end_matches("@c.us")
}
