//! The ids of chats. An id is a name, `@` and the kind of the chat: `573001112233@c.us`. A person has the id of the chat
//! with them.

use super::chat_kind::ChatKind;

/// The kind of a chat whose name is the phone number of a person.
const NUMBER: &str = "c.us";
/// Another word for [`NUMBER`].
const NUMBER_ELSEWHERE: &str = "s.whatsapp.net";
/// The kind of a chat whose name hides the phone number of a person.
const HIDDEN_NUMBER: &str = "lid";

/// Returns the form of an id that all ids of the same chat have in common. A person's id has no number of a device, and
/// ends in one way: `573001112233:3@s.whatsapp.net` is `573001112233@c.us`. Other ids stay as they are.
pub fn canonical(id: String) -> String {
    let Some((name, kind)) = id.rsplit_once('@') else { return id };
    let canonical_kind = if kind == NUMBER_ELSEWHERE { NUMBER } else { kind };
    if ![NUMBER, HIDDEN_NUMBER].contains(&canonical_kind) {
        return id;
    }
    let is_device = |device: &str| !device.is_empty() && device.bytes().all(|byte| byte.is_ascii_digit());
    let person = match name.split_once(':') {
        Some((person, device)) if !person.is_empty() && is_device(device) => person,
        _ => name,
    };
    if (person, canonical_kind) == (name, kind) { id } else { format!("{person}@{canonical_kind}") }
}

/// Returns the chat of a message that does not state it, from its sender and its recipient: the group, broadcast or
/// newsletter among the two, or else the other person.
pub fn worked_out<'i>(from: Option<&'i str>, to: Option<&'i str>, from_me: bool) -> Option<&'i str> {
    let of_many = [from, to].into_iter().flatten().find(|id| ChatKind::of(id).is_of_many());
    of_many.or(if from_me { to } else { from })
}

/// Returns the digits of a person's phone number, or `None` for a group, a `@lid` and every other kind.
pub fn contact(chat_id: &str) -> Option<&str> {
    let (number, _) = chat_id.rsplit_once('@').filter(|(_, kind)| *kind == NUMBER)?;
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    digits.then_some(number)
}

/// Returns the id of the chat with a number.
pub fn of_number(number: &str) -> String {
    format!("{number}@{NUMBER}")
}

/// Returns whether this is the id of a person that hides the number.
pub fn is_lid(id: &str) -> bool {
    id.rsplit_once('@').is_some_and(|(name, kind)| kind == HIDDEN_NUMBER && !name.is_empty())
}

/// Returns whether this is the id of a person, with a number or without.
pub fn is_person(id: &str) -> bool {
    is_lid(id) || contact(id).is_some()
}

/// Returns the part before the first `@`, or the whole id if it has none.
pub fn name(chat_id: &str) -> &str {
    chat_id.split_once('@').map_or(chat_id, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_a_person_has_no_device_and_one_ending() {
        for (id, expected) in [
            ("573001112233@c.us", "573001112233@c.us"),
            ("573001112233:35@c.us", "573001112233@c.us"),
            ("573001112233@s.whatsapp.net", "573001112233@c.us"),
            ("573001112233:3@s.whatsapp.net", "573001112233@c.us"),
            ("1234:2@lid", "1234@lid"),
            ("1234@lid", "1234@lid"),
            ("573001112233:@c.us", "573001112233:@c.us"),
            ("573001112233:x@c.us", "573001112233:x@c.us"),
            (":3@c.us", ":3@c.us"),
            ("1203:3@g.us", "1203:3@g.us"),
            ("1203@newsletter", "1203@newsletter"),
            ("status@broadcast", "status@broadcast"),
            ("573001112233:3", "573001112233:3"),
            ("573001112233", "573001112233"),
            ("", ""),
        ] {
            assert_eq!(canonical(id.to_owned()), expected, "{id}");
            assert_eq!(canonical(expected.to_owned()), expected, "{id}");
        }
    }

    #[test]
    fn a_chat_that_is_not_stated_is_that_of_many_or_the_other_person() {
        let (ana, us, group) = ("573001112233@c.us", "573009998877@c.us", "1203@g.us");
        for (from, to, from_me, chat) in [
            (Some(ana), Some(us), false, Some(ana)),
            (Some(us), Some(ana), true, Some(ana)),
            (Some(ana), None, false, Some(ana)),
            (None, Some(us), false, None),
            (Some(us), None, true, None),
            (None, None, true, None),
            (Some(group), Some(us), false, Some(group)),
            (Some(ana), Some(group), false, Some(group)),
            (Some(us), Some("1203@newsletter"), true, Some("1203@newsletter")),
            (Some("status@broadcast"), Some(us), false, Some("status@broadcast")),
            (Some("status@broadcast"), Some(us), true, Some("status@broadcast")),
        ] {
            assert_eq!(worked_out(from, to, from_me), chat, "{from:?} {to:?} {from_me}");
        }
    }

    #[test]
    fn only_chats_of_persons_have_a_phone_number() {
        for (chat_id, number) in [
            ("573001112233@c.us", Some("573001112233")),
            ("120363041234567890@g.us", None),
            ("123456789012345@lid", None),
            ("120363041234567890@newsletter", None),
            ("status@broadcast", None),
            ("573001112233", None),
            ("status@c.us", None),
            ("@c.us", None),
            ("573001112233:x@c.us", None),
            ("٥٧٣@c.us", None),
            ("", None),
        ] {
            assert_eq!(contact(chat_id), number, "{chat_id}");
        }
    }

    #[test]
    fn the_name_in_an_id_ends_at_the_first_at_sign() {
        assert_eq!(name("573001112233@c.us"), "573001112233");
        assert_eq!(name("a@b@c.us"), "a");
        assert_eq!(name("anything"), "anything");
    }
}
