//! The ids of chats. An id is a name, `@` and the kind of the chat: `573001112233@c.us`.

const GROUP: &str = "@g.us";

/// The kinds of chats whose name is the phone number of a person.
const PERSONS: [&str; 2] = ["c.us", "s.whatsapp.net"];

/// The endings of chats in which nobody waits for an answer.
const WITHOUT_ANSWERS: [&str; 3] = [GROUP, "@broadcast", "@newsletter"];

/// Returns the digits of a person's phone number, or `None` for a group, a `@lid` and every other kind. The number of a
/// device after it (`573001112233:3@c.us`) is left out.
pub fn contact(chat_id: &str) -> Option<&str> {
    let (name, _) = chat_id.rsplit_once('@').filter(|(_, kind)| PERSONS.contains(kind))?;
    let number = name.split_once(':').map_or(name, |(number, _)| number);
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    digits.then_some(number)
}

pub fn is_group(chat_id: &str) -> bool {
    chat_id.ends_with(GROUP)
}

/// Returns whether somebody can wait for an answer in this chat. Nobody does in a group, a newsletter or a broadcast.
pub fn can_wait(chat_id: &str) -> bool {
    !WITHOUT_ANSWERS.iter().any(|kind| chat_id.ends_with(kind))
}

/// Returns the part before the first `@`, or the whole id if it has none.
pub fn name(chat_id: &str) -> &str {
    chat_id.split_once('@').map_or(chat_id, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_chats_of_persons_have_a_phone_number() {
        for (chat_id, number) in [
            ("573001112233@c.us", Some("573001112233")),
            ("573001112233@s.whatsapp.net", Some("573001112233")),
            ("573001112233:3@s.whatsapp.net", Some("573001112233")),
            ("120363041234567890@g.us", None),
            ("123456789012345@lid", None),
            ("120363041234567890@newsletter", None),
            ("status@broadcast", None),
            ("573001112233", None),
            ("status@c.us", None),
            ("@c.us", None),
            (":3@c.us", None),
            ("٥٧٣@c.us", None),
            ("", None),
        ] {
            assert_eq!(contact(chat_id), number, "{chat_id}");
        }
    }

    #[test]
    fn nobody_waits_in_groups_newsletters_and_broadcasts() {
        for chat_id in ["1203@g.us", "1203@newsletter", "status@broadcast", "1724716800@broadcast"] {
            assert!(!can_wait(chat_id), "{chat_id}");
        }
        for chat_id in ["573001112233@c.us", "573001112233@s.whatsapp.net", "123456789012345@lid", "anything"] {
            assert!(can_wait(chat_id), "{chat_id}");
        }
    }

    #[test]
    fn a_group_is_recognised_by_the_end_of_its_id() {
        assert!(is_group("1203@g.us"));
        assert!(!is_group("1203@g.us.example"));
        assert!(!is_group("573001112233@c.us"));
    }

    #[test]
    fn the_name_in_an_id_ends_at_the_first_at_sign() {
        assert_eq!(name("573001112233@c.us"), "573001112233");
        assert_eq!(name("a@b@c.us"), "a");
        assert_eq!(name("anything"), "anything");
    }
}
