//! The decoder never fails, its result depends on the bytes only, and every column accepts its result.

use buzon::domain::access::signature::{Keyring, Secret, Signer};
use buzon::domain::event::{Effect, Event, EventState, Interpretation, TEST_WEBHOOK};
use buzon::domain::instance::InstanceId;
use buzon::domain::message::MessageCopy;
use buzon::domain::time::timestamp::Timestamp;
use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::mutation::{edited, edits};
use super::{corpus, hold};
use crate::store::write::arbitrary_values::FIELDS;
use crate::support::clock::ARRIVAL;

/// A change of the fields of a body, in their order.
#[derive(Clone, Debug)]
enum Change {
    Set(&'static str, String),
    Remove(Index),
    /// Repeats a field with another value.
    Again(Index, String),
    Rename(Index, &'static str),
    Swap(Index, Index),
    Wrap(Index, usize),
    Move(Index, Index),
}

/// Generates a value as JSON text, which may be invalid.
fn value() -> impl Strategy<Value = String> {
    let known = corpus::lines("values").into_iter().map(|line| String::from_utf8(line).expect("the value is text"));
    prop_oneof![
        6 => prop::sample::select(Vec::from_iter(known)),
        1 => any::<i64>().prop_map(|number| number.to_string()),
        1 => any::<f64>().prop_map(|number| format!("{number:e}")),
        1 => any::<String>().prop_map(|text| Value::from(text).to_string()),
        1 => prop::sample::select(&[63, 64, 65, 128, 129, 256, 257, 511, 512, 513, 3_000][..])
            .prop_map(|length| format!("\"{}\"", "x".repeat(length))),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    let field = || prop::sample::select(&FIELDS[..]);
    prop_oneof![
        6 => (field(), value()).prop_map(|(field, value)| Change::Set(field, value)),
        1 => any::<Index>().prop_map(Change::Remove),
        2 => (any::<Index>(), value()).prop_map(|(field, value)| Change::Again(field, value)),
        1 => (any::<Index>(), field()).prop_map(|(field, name)| Change::Rename(field, name)),
        1 => any::<(Index, Index)>().prop_map(|(one, other)| Change::Swap(one, other)),
        1 => (any::<Index>(), prop_oneof![1..4_usize, 100..200_usize]).prop_map(|(at, levels)| Change::Wrap(at, levels)),
        1 => any::<(Index, Index)>().prop_map(|(from, to)| Change::Move(from, to)),
    ]
}

impl Change {
    fn apply(self, fields: &mut Vec<(String, String)>) {
        match self {
            Self::Set(name, value) => {
                fields.retain(|field| field.0 != name);
                fields.push((name.to_owned(), value));
            }
            _ if fields.is_empty() => {}
            Self::Remove(at) => drop(fields.remove(at.index(fields.len()))),
            Self::Again(at, value) => fields.push((at.get(fields).0.clone(), value)),
            Self::Rename(at, name) => at.get_mut(fields).0 = name.to_owned(),
            Self::Swap(one, other) => {
                let (one, other) = (one.index(fields.len()), other.index(fields.len()));
                let taken = std::mem::take(&mut fields[one].1);
                let taken = std::mem::replace(&mut fields[other].1, taken);
                fields[one].1 = taken;
            }
            Self::Wrap(at, levels) => {
                let value = &mut at.get_mut(fields).1;
                *value = format!("{}{value}{}", "[".repeat(levels), "]".repeat(levels));
            }
            Self::Move(from, to) => {
                let field = fields.remove(from.index(fields.len()));
                fields.insert(to.index(fields.len() + 1), field);
            }
        }
    }
}

/// Returns the fields of a body with their values as text, or none if the body is not an object.
fn fields(body: &[u8]) -> Vec<(String, String)> {
    let fields: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
    fields.into_iter().map(|(name, value)| (name, value.to_string())).collect()
}

fn object(fields: &[(String, String)]) -> Vec<u8> {
    let field = |(name, value): &(String, String)| format!("{}:{value}", Value::from(name.as_str()));
    let fields: Vec<String> = fields.iter().map(field).collect();
    format!("{{{}}}", fields.join(",")).into_bytes()
}

/// Generates a body from outside: a seed with other fields, other bytes, or both, and sometimes arbitrary bytes.
pub fn body() -> impl Strategy<Value = Bytes> {
    let seeds = corpus::bodies();
    let seeded = (any::<Index>(), prop::collection::vec(change(), 0..6), edits(), prop::bool::weighted(0.3));
    let seeded = seeded.prop_map(move |(seed, changes, edits, harmed)| {
        let mut body = seed.get(&seeds).clone();
        let mut fields = fields(&body);
        if !fields.is_empty() && !changes.is_empty() {
            changes.into_iter().for_each(|change| change.apply(&mut fields));
            body = object(&fields);
        }
        if harmed { edited(body, &edits, &seeds) } else { body }
    });
    prop_oneof![30 => seeded, 1 => prop::collection::vec(any::<u8>(), 0..300)].prop_map(Bytes::from)
}

fn id(text: &str) -> InstanceId {
    InstanceId::new(text).expect("the text is an instance id")
}

/// Returns a keyring in which instance 7 has a secret of its own, and instance 8 has none.
fn keyring() -> Keyring {
    let secret = |text: &str| Secret::new(text.to_owned()).expect("the secret is long enough");
    let instances = vec![(id("7"), vec![secret("the secret of instance 7")]), (id("8"), vec![])];
    Keyring::new(Some(secret("the secret of all others")), instances).expect("the secrets differ")
}

/// Generates the path by which an event came, and its signer.
fn origin() -> impl Strategy<Value = (Option<InstanceId>, Signer)> {
    let origins = [
        (None, Signer::Nobody),
        (None, Signer::Shared),
        (None, Signer::Instance(id("7"))),
        (Some(id("7")), Signer::Instance(id("7"))),
        (Some(id("9")), Signer::Shared),
    ];
    prop::sample::select(origins.to_vec())
}

#[test]
fn every_body_is_read_and_its_interpretation_depends_on_its_bytes_only() {
    let keyring = keyring();
    hold(&(body(), origin()), |(body, (path, signer))| {
        let event = Event::read(&keyring, path.as_ref(), &signer, body.to_vec(), ARRIVAL);
        prop_assert_eq!(&event.body, &body);
        let hash: [u8; 32] = Sha256::digest(&body).into();
        prop_assert_eq!(event.body_sha256, hash);
        prop_assert_eq!(event.signed, signer != Signer::Nobody);
        prop_assert_eq!(event.mismatched_instance.as_ref() == Some(&event.instance_id), false);
        // Neither the body nor a defect in it changes the instance that the path or the secret names.
        match (&path, &signer) {
            (Some(path), _) => prop_assert_eq!(&event.instance_id, path),
            (None, Signer::Instance(owner)) => prop_assert_eq!(&event.instance_id, owner),
            (None, _) => prop_assert!(event.instance_id != id("7"), "the shared secret is not enough for instance 7"),
        }
        prop_assert!(event.mismatched_instance.is_none() || event.interpretation.state == EventState::Quarantined);
        let again = Event::of_ledger(event.instance_id.clone(), body.to_vec(), ARRIVAL, event.signed);
        prop_assert_eq!(&again.interpretation, &event.interpretation);
        let quarantined = again.quarantined("refused_by_database");
        prop_assert_eq!((quarantined.body, quarantined.body_sha256), (body.to_vec(), hash));
        prop_assert_eq!(quarantined.interpretation.effect, Effect::Nothing);
        Ok(())
    });
}

#[test]
fn the_state_the_reason_and_the_effect_of_an_interpretation_agree() {
    hold(&body(), |body| {
        let interpretation = Interpretation::of_ledger(&body, &id("9"), ARRIVAL);
        let words = interpretation.reason.as_deref().unwrap_or_default();
        let word = words.split(':').next().unwrap_or_default();
        let is_test = interpretation.subject.event_type.as_deref() == Some(TEST_WEBHOOK);
        match interpretation.state {
            EventState::Quarantined => {
                let known =
                    ["not_json", "not_an_object", "instance_mismatch", "missing", "too_long", "unusable", "reserved"];
                prop_assert!(known.contains(&word), "{}", words);
                prop_assert_eq!(&interpretation.effect, &Effect::Nothing);
            }
            state => {
                prop_assert!(["", "unusable", "repaired"].contains(&word), "{}", words);
                prop_assert_eq!(state == EventState::Applied, interpretation.effect != Effect::Nothing || is_test);
            }
        }
        Ok(())
    });
}

/// Checks that a text has at most this many bytes and can be stored in every column.
fn fits(text: Option<&str>, max_bytes: usize) -> Result<(), TestCaseError> {
    let fits = text.is_none_or(|text| text.len() <= max_bytes && !text.contains('\0'));
    prop_assert!(fits, "{:.600?}", text);
    Ok(())
}

/// Checks the same for a required id.
fn is_id(text: &str) -> Result<(), TestCaseError> {
    prop_assert!(!text.is_empty());
    fits(Some(text), 512)
}

/// Checks that both databases can store a message unchanged.
fn holds(copy: &MessageCopy) -> Result<(), TestCaseError> {
    let fields = &copy.fields;
    is_id(&copy.id)?;
    for id in [&fields.chat_id, &fields.from_id, &fields.to_id, &fields.quoted_message_id, &fields.group_sender] {
        fits(id.as_deref(), 512)?;
        prop_assert!(id.as_deref() != Some(""));
    }
    for (word, limit) in [(&copy.ack, 64), (&fields.kind, 128), (&fields.status, 128)] {
        fits(word.as_deref(), limit)?;
        prop_assert!(word.as_deref() != Some(""));
    }
    let files = [&fields.media_url, &fields.file_name, &fields.vcard];
    for text in [&fields.sender_name, &fields.body, &fields.reaction].into_iter().chain(files) {
        fits(text.as_deref(), usize::MAX)?;
        prop_assert!(text.as_deref() != Some(""));
    }
    if let Some(place) = fields.location {
        prop_assert!(place.latitude.abs() <= 90.0 && place.longitude.abs() <= 180.0, "{:?}", place);
        prop_assert!(!(place.latitude == 0.0 && place.latitude.is_sign_negative()), "{:?}", place);
    }
    let whatsapp_began = Timestamp::from_rfc3339("2009-01-01T00:00:00Z").expect("the value is a time");
    let in_two_days = Timestamp::from_millis(ARRIVAL.millis() + 2 * 86_400_000);
    prop_assert!(fields.sent_at.is_none_or(|at| (whatsapp_began..=in_two_days).contains(&at)), "{:?}", fields.sent_at);
    Ok(())
}

#[test]
fn every_column_can_store_what_is_read() {
    hold(&body(), |body| {
        let Interpretation { subject, reason, effect, .. } = Interpretation::of_ledger(&body, &id("9"), ARRIVAL);
        fits(subject.event_type.as_deref(), 64)?;
        fits(subject.message_id.as_deref(), 512)?;
        fits(subject.chat_id.as_deref(), 512)?;
        fits(reason.as_deref(), 512)?;
        match effect {
            Effect::Nothing => Ok(()),
            Effect::Message(copy) => holds(&copy),
            Effect::Ack(ack) => is_id(&ack.message_id).and_then(|()| fits(Some(&ack.ack), 64)),
            Effect::Reaction(reaction) => is_id(&reaction.message_id)
                .and_then(|()| is_id(&reaction.from_number))
                .and_then(|()| fits(Some(&reaction.reaction), 256)),
        }
    });
}

/// Reads an id as another JSON parser does, where both must agree.
fn plain_id(value: Option<&Value>) -> Option<Option<String>> {
    match value {
        None | Some(Value::Null) => Some(None),
        Some(Value::String(text)) => {
            let usable = !text.is_empty() && text.len() <= 512 && !text.contains('\0');
            Some(usable.then(|| text.clone()))
        }
        Some(Value::Number(number)) if number.is_i64() || number.is_u64() => Some(Some(number.to_string())),
        Some(_) => None,
    }
}

/// If serde_json can parse a whole body with all its values, the decoder reads the same.
#[test]
fn a_body_is_read_as_other_json_parsers_read_it() {
    hold(&body(), |body| {
        let plain = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&body);
        let Ok(Value::Object(fields)) = serde_json::from_slice(plain) else { return Ok(()) };
        let Interpretation { subject, effect, .. } = Interpretation::of_ledger(&body, &id("9"), ARRIVAL);
        if let Some(chat_id) = plain_id(fields.get("chat_id")) {
            prop_assert_eq!(subject.chat_id, chat_id);
        }
        let Effect::Message(copy) = effect else { return Ok(()) };
        prop_assert_eq!(subject.event_type.as_deref(), fields["event_type"].as_str());
        if let Some(id) = plain_id(fields.get("id")) {
            prop_assert_eq!(Some(copy.id.clone()), id);
        }
        if let Some(Value::String(text)) = fields.get("body") {
            let expected = Some(text.replace('\0', "\u{FFFD}")).filter(|text| !text.is_empty());
            prop_assert_eq!(&copy.fields.body, &expected);
        }
        Ok(())
    });
}
