//! Evidence that two ids are those of one person. It is read from single copies of messages and from pairs of them, never
//! from folded messages, so that it only grows and comes out the same in any order.
//!
//! No link has the instance's own number: the sender of an outgoing message, and the recipient of an incoming one.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Serialize, Serializer};

use super::national_number::shorter_form;
use crate::chat::ChatKey;
use crate::chat::chat_id;
use crate::event::document::Document;
use crate::instance::InstanceId;
use crate::message::MessageFields;

/// The reason why two ids are taken for those of one person. The stronger ones come first; the last two are never reasons
/// for the number of a `@lid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LinkSource {
    /// An event states both.
    Stated,
    /// The copies of a message name both. With the same id twice: they name more than one `@lid` or number, so that
    /// nothing follows from the names of this kind.
    SameMessage,
    /// A message in the chat of one quotes a message in the chat of the other.
    Quote,
    /// They are the same number, written in two ways. `b` is the shorter way, whether or not an event names it.
    Number,
    /// Not a link: the first message in the chat of a number, by which the number of a conversation is chosen. Both ids
    /// are the same.
    FirstMessage,
}

/// Evidence in one copy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonLink {
    /// The `@lid`, or a number.
    pub a: String,
    pub b: String,
    pub source: LinkSource,
}

/// A row of `chat_links`: evidence with the lowest number of an event that completes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ChatLink {
    pub instance_id: InstanceId,
    pub a: String,
    pub b: String,
    pub source: LinkSource,
    pub seq: i64,
}

/// The fields in which gateways state another id of the person in `from`, of the one in `group_sender`, and of the chat.
/// The names are those of Baileys and of gateways that are built on it, in both spellings. That ours sends them is a guess,
/// which does no harm where they are absent.
const SENDER: [&str; 6] = ["sender_pn", "senderPn", "sender_lid", "senderLid", "sender_alt", "senderAlt"];
const PARTICIPANT: [&str; 6] =
    ["participant_pn", "participantPn", "participant_lid", "participantLid", "participant_alt", "participantAlt"];
const CHAT: [&str; 2] = ["remoteJidAlt", "remote_jid_alt"];

impl LinkSource {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stated => "stated",
            Self::SameMessage => "same message",
            Self::Quote => "quote",
            Self::Number => "number",
            Self::FirstMessage => "first message",
        }
    }

    /// Returns the source that has this word.
    pub fn parse(word: &str) -> Option<Self> {
        let all = [Self::Stated, Self::SameMessage, Self::Quote, Self::Number, Self::FirstMessage];
        all.into_iter().find(|source| source.as_str() == word)
    }
}

impl Serialize for LinkSource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl PersonLink {
    /// Returns the link of two persons if one is a `@lid` and the other a number.
    pub fn between(one: &str, other: &str, source: LinkSource) -> Option<Self> {
        let link = |a: &str, b: &str| Self { a: a.to_owned(), b: b.to_owned(), source };
        let is_link = |a, b| chat_id::is_lid(a) && chat_id::contact(b).is_some();
        match (is_link(one, other), is_link(other, one)) {
            (true, _) => Some(link(one, other)),
            (_, true) => Some(link(other, one)),
            _ => None,
        }
    }

    pub fn at(self, instance_id: &InstanceId, seq: i64) -> ChatLink {
        ChatLink { instance_id: instance_id.clone(), a: self.a, b: self.b, source: self.source, seq }
    }
}

impl ChatLink {
    pub fn keys(&self) -> [ChatKey; 2] {
        [&self.a, &self.b].map(|id| ChatKey { instance_id: self.instance_id.clone(), chat_id: id.clone() })
    }
}

/// Returns the evidence in a copy of a message.
pub fn of_copy(document: &Document<'_>, fields: &MessageFields) -> Vec<PersonLink> {
    let (from, to) = (fields.from_id.as_deref(), fields.to_id.as_deref());
    let (own, other) = if fields.from_me { (from, to) } else { (to, from) };
    let worked_out = chat_id::worked_out(from, to, fields.from_me);
    let chat = fields.chat_id.as_deref().or(worked_out);
    let author = fields.group_sender.as_deref().filter(|_| !fields.from_me);
    let mut links = vec![];
    // An outgoing message states the ids of its sender, which are our own.
    if !fields.from_me {
        links.extend(stated(document, &SENDER, from));
        links.extend(stated(document, &PARTICIPANT, author));
    }
    links.extend(stated(document, &CHAT, chat));
    links.extend(named_together([chat, other, author].into_iter().flatten().filter(|id| Some(*id) != own)));
    links.retain(|link| own.is_none_or(|own| link.a != own && link.b != own));
    let stated_numbers: Vec<String> = links.iter().map(|link| link.b.clone()).collect();
    let named = [chat, other, author].into_iter().flatten().chain(stated_numbers.iter().map(String::as_str));
    links.extend(named.filter(|id| Some(*id) != own).filter_map(number));
    links.extend(chat.filter(|id| Some(*id) != own).and_then(first_message));
    links.sort();
    links.dedup();
    links
}

/// Returns the evidence in the name of a person.
pub fn number(id: &str) -> Option<PersonLink> {
    let shorter = shorter_form(chat_id::contact(id)?)?;
    Some(PersonLink { a: id.to_owned(), b: chat_id::of_number(&shorter), source: LinkSource::Number })
}

fn first_message(chat: &str) -> Option<PersonLink> {
    chat_id::contact(chat)?;
    Some(PersonLink { a: chat.to_owned(), b: chat.to_owned(), source: LinkSource::FirstMessage })
}

/// Returns the links of the ids that these fields state with the person to whom they belong; if that is no person (but a
/// group), of the ids with each other.
fn stated(document: &Document<'_>, fields: &[&'static str], of: Option<&str>) -> Vec<PersonLink> {
    let ids: Vec<String> = fields.iter().filter_map(|field| person(document, field)).collect();
    let between = |one: &str, other: &str| PersonLink::between(one, other, LinkSource::Stated);
    match of.filter(|of| chat_id::is_person(of)) {
        Some(of) => ids.iter().filter_map(|id| between(of, id)).collect(),
        None => ids.iter().flat_map(|one| ids.iter().filter_map(|other| between(one, other))).collect(),
    }
}

/// Reads the id of a person. A bare number is one of the kind that the name of the field says.
fn person(document: &Document<'_>, field: &'static str) -> Option<String> {
    let id = document.readable_id(field)?;
    let bare = id.bytes().all(|byte| byte.is_ascii_digit());
    let id = match field.to_ascii_lowercase() {
        field if bare && field.ends_with("pn") => chat_id::of_number(&id),
        field if bare && field.ends_with("lid") => format!("{id}@lid"),
        _ => id,
    };
    Some(chat_id::canonical(id)).filter(|id| chat_id::is_person(id))
}

/// Returns the link of the persons that one copy names, if these are exactly one `@lid` and one number.
fn named_together<'i>(ids: impl Iterator<Item = &'i str>) -> Option<PersonLink> {
    let (lids, numbers) = of_kinds(ids);
    let (lid, number) = (lids.first()?, numbers.first()?);
    let exactly_one = (lids.len(), numbers.len()) == (1, 1);
    exactly_one.then(|| PersonLink::between(lid, number, LinkSource::SameMessage))?
}

/// Returns the `@lid`s and the numbers among the ids.
fn of_kinds<'i>(ids: impl Iterator<Item = &'i str>) -> (BTreeSet<&'i str>, BTreeSet<&'i str>) {
    ids.filter(|id| chat_id::is_person(id)).partition(|id| chat_id::is_lid(id))
}

/// Returns the evidence in the chats that the copies of one message state, each with the lowest number of such a copy. All
/// pairs are given, and marks if there is more than one `@lid` or number, so that it does not matter in which steps the
/// copies become known.
pub fn of_copies(instance_id: &InstanceId, chats: &BTreeMap<String, i64>) -> Vec<ChatLink> {
    let (lids, numbers) = of_kinds(chats.keys().map(String::as_str));
    let several = lids.len() > 1 || numbers.len() > 1;
    let pair = |lid: &str, number: &str| {
        let seq = chats[lid].max(chats[number]);
        let pair = PersonLink { a: lid.to_owned(), b: number.to_owned(), source: LinkSource::SameMessage };
        let mark = several.then(|| PersonLink { b: lid.to_owned(), ..pair.clone() });
        [Some(pair), mark].into_iter().flatten().map(move |link| link.at(instance_id, seq))
    };
    lids.iter().flat_map(|lid| numbers.iter().flat_map(|number| pair(lid, number))).collect()
}

/// Returns the evidence in a quote, from the chat and the number of the copy that quotes and from the chats that the copies
/// of the quoted message state.
pub fn of_quote(
    instance_id: &InstanceId,
    (chat_id, seq): (&str, i64),
    quoted: &BTreeMap<String, i64>,
) -> Vec<ChatLink> {
    let link = |(other, since): (&String, &i64)| {
        Some(PersonLink::between(chat_id, other, LinkSource::Quote)?.at(instance_id, seq.max(*since)))
    };
    quoted.iter().filter_map(link).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::event::{Effect, Interpretation};
    use crate::time::timestamp::Timestamp;

    const ANA: &str = "573001112233@c.us";
    const LID: &str = "1763@lid";
    const OURS: &str = "573009998877@c.us";

    /// Returns the evidence in a message, without first messages.
    fn links(event_type: &str, fields: Value) -> Vec<String> {
        let mut body = json!({"event_type": event_type, "id": "A"});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let body = body.to_string();
        let arrival = Timestamp::from_millis(0);
        let effect = Interpretation::of_ledger(body.as_bytes(), &InstanceId::unstated(), arrival).effect;
        let Effect::Message(copy) = effect else { panic!("{body}") };
        let links = copy.links.iter().filter(|link| link.source != LinkSource::FirstMessage);
        links.map(|link| format!("{} {} {}", link.a, link.b, link.source.as_str())).collect()
    }

    #[test]
    fn an_incoming_message_states_ids_of_its_sender_its_author_and_its_chat() {
        let stated = vec![format!("{LID} {ANA} stated")];
        let from = |id: &str| json!({"chat_id": id, "from": id, "to": OURS});
        let in_group = json!({"chat_id": "1203@g.us", "from": "1203@g.us", "group_sender": LID});
        for (base, field, value) in [
            (from(LID), "sender_pn", ANA),
            (from(LID), "senderPn", "573001112233:4@s.whatsapp.net"),
            (from(LID), "sender_pn", "573001112233"),
            (from(LID), "sender_alt", ANA),
            (from(ANA), "sender_lid", "1763:2@lid"),
            (from(ANA), "senderLid", "1763"),
            (from(LID), "remoteJidAlt", ANA),
            (in_group.clone(), "participant_pn", ANA),
            (in_group.clone(), "participantAlt", ANA),
        ] {
            let mut fields = base;
            fields[field] = json!(value);
            assert_eq!(links("message_received", fields.clone()), stated, "{fields}");
        }
        let mut both = in_group;
        both["sender_pn"] = json!(ANA);
        both["sender_lid"] = json!(LID);
        assert_eq!(links("message_received", both), stated);
    }

    #[test]
    fn nothing_is_evidence_about_our_own_number() {
        let chat = json!({"chat_id": LID, "from": OURS, "to": LID});
        for (field, value) in [("sender_pn", ANA), ("participant_pn", ANA), ("sender_pn", OURS), ("remoteJidAlt", OURS)]
        {
            let mut fields = chat.clone();
            fields[field] = json!(value);
            assert_eq!(links("message_sent", fields.clone()), Vec::<String>::new(), "{fields}");
        }
        let mut fields = chat;
        fields["remoteJidAlt"] = json!(ANA);
        assert_eq!(links("message_sent", fields), [format!("{LID} {ANA} stated")]);
        let ours = json!({"chat_id": LID, "from": LID, "to": OURS, "sender_pn": OURS});
        assert_eq!(links("message_received", ours), Vec::<String>::new());
    }

    #[test]
    fn a_copy_that_names_one_lid_and_one_number_names_one_person() {
        let same = vec![format!("{LID} {ANA} same message")];
        assert_eq!(links("message_received", json!({"chat_id": LID, "from": ANA, "to": OURS})), same);
        assert_eq!(links("message_sent", json!({"chat_id": LID, "from": OURS, "to": ANA})), same);
        let three = json!({"chat_id": LID, "from": ANA, "group_sender": "573004445566@c.us", "to": OURS});
        assert_eq!(links("message_received", three), Vec::<String>::new());
        let no_recipient = json!({"chat_id": LID, "from": LID});
        assert_eq!(links("message_received", no_recipient), Vec::<String>::new());
    }

    #[test]
    fn a_number_that_is_written_in_two_ways_has_the_shorter_one_beside_it() {
        let longer = "5215512345678@c.us";
        let number = vec![format!("{longer} 525512345678@c.us number")];
        assert_eq!(links("message_received", json!({"chat_id": longer, "from": longer, "to": OURS})), number);
        let in_group = json!({"chat_id": "1203@g.us", "from": "1203@g.us", "group_sender": longer});
        assert_eq!(links("message_received", in_group), number);
        assert_eq!(links("message_received", json!({"chat_id": ANA, "from": ANA, "to": longer})), Vec::<String>::new());
        let stated = links("message_received", json!({"chat_id": LID, "from": LID, "to": OURS, "sender_pn": longer}));
        assert_eq!(stated, [format!("{LID} {longer} stated"), number[0].clone()]);
    }

    #[test]
    fn the_chats_of_the_copies_of_a_message_are_pairs_and_marks_in_any_steps() {
        let chats = |chats: &[(&str, i64)]| chats.iter().map(|(id, seq)| ((*id).to_owned(), *seq)).collect();
        let of = |known: &[(&str, i64)]| {
            let links = of_copies(&InstanceId::unstated(), &chats(known));
            links.into_iter().map(|link| format!("{} {} {}", link.a, link.b, link.seq)).collect::<Vec<_>>()
        };
        assert_eq!(of(&[(LID, 1), (ANA, 2)]), [format!("{LID} {ANA} 2")]);
        assert_eq!(of(&[(LID, 1), ("1203@g.us", 2)]), Vec::<String>::new());
        let three = of(&[(LID, 1), (ANA, 2), ("573004445566@c.us", 3)]);
        let expected = [
            "1763@lid 573001112233@c.us 2",
            "1763@lid 1763@lid 2",
            "1763@lid 573004445566@c.us 3",
            "1763@lid 1763@lid 3",
        ];
        assert_eq!(three, expected);
    }
}
