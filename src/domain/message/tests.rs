use super::fold::LedgerCopy;
use super::*;
use crate::event::{Effect, Interpretation};

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// Reads a copy that arrives at 1970-01-01T00:00:09.700Z.
fn read(body: &str) -> MessageCopy {
    let arrival = Timestamp::from_millis(9_700);
    match Interpretation::of_ledger(body.as_bytes(), &InstanceId::unstated(), arrival).effect {
        Effect::Message(copy) => MessageCopy::clone(&copy),
        other => panic!("{body}: {other:?}"),
    }
}

#[test]
fn a_group_is_recognised_by_its_chat_and_by_the_flag_if_the_chat_is_unknown() {
    let is_group = |body: &str| {
        let instance = InstanceId::new("123").unwrap();
        let copy = LedgerCopy::of_ledger(instance, body.as_bytes(), Timestamp::from_millis(0), 1);
        Message::fold(&[copy.unwrap()]).placed().is_group()
    };
    let message = |fields: &str| format!(r#"{{"event_type":"message_received","id":"A",{fields}}}"#);
    assert!(is_group(&message(r#""chat_id":"1203@g.us""#)));
    assert!(!is_group(&message(r#""chat_id":"573001112233@c.us""#)));
    assert!(is_group(&message(r#""chat_id":"1203@g.us","is_group":false"#)));
    assert!(is_group(&message(r#""from":"573001112233@c.us","to":"1203@g.us","is_group":0"#)));
    assert!(!is_group(&message(r#""from":"573001112233@c.us","is_group":1"#)));
    assert!(is_group(&message(r#""is_group":1"#)));
    assert!(!is_group(&message(r#""body":"Hola""#)));
}

#[test]
fn ids_of_chats_and_persons_are_canonical_and_that_of_the_message_stays() {
    let body = r#"{"event_type":"message_received","id":"1:2@s.whatsapp.net","chat_id":"1203@g.us","from":"57:3@c.us",
        "to":"58@s.whatsapp.net","group_sender":"1234:5@lid","quoted_message_id":"9:9@c.us"}"#;
    let instance = InstanceId::unstated();
    let copy = LedgerCopy::of_ledger(instance, body.as_bytes(), Timestamp::from_millis(0), 1).unwrap();
    assert_eq!(copy.copy.id, "1:2@s.whatsapp.net");
    let fields = &copy.copy.fields;
    assert_eq!((&fields.from_id, &fields.to_id), (&some("57@c.us"), &some("58@c.us")));
    assert_eq!((&fields.group_sender, &fields.quoted_message_id), (&some("1234@lid"), &some("9:9@c.us")));
}

#[test]
fn a_name_beyond_the_limit_counts_as_absent() {
    let read = |name: &str| {
        let body = format!(r#"{{"event_type":"message_received","id":"A","sender_name":"{name}"}}"#);
        let interpretation =
            Interpretation::of_ledger(body.as_bytes(), &InstanceId::unstated(), Timestamp::from_millis(0));
        let Effect::Message(copy) = interpretation.effect else { panic!("{body}") };
        (copy.fields.sender_name.clone(), interpretation.reason)
    };
    let longest = "x".repeat(MAX_NAME_BYTES);
    assert_eq!(read(&longest), (Some(longest.clone()), None));
    assert_eq!(read(&format!("{longest}x")), (None, some("unusable:sender_name")));
}

#[test]
fn a_message_stands_at_its_timestamp_but_not_later_than_it_arrived() {
    let place = |sent_at: Option<i64>, received_at| {
        occurred_at(sent_at.map(Timestamp::from_millis), Timestamp::from_millis(received_at)).millis()
    };
    for (sent_at, received_at, place_of_it) in [
        (Some(7_000), 9_700, 7_000),
        (Some(9_500), 9_700, 9_500),
        (Some(9_700), 9_700, 9_700),
        (Some(9_701), 9_700, 9_000),
        (Some(86_400_000), 9_700, 9_000),
        (None, 9_700, 9_000),
        (None, 9_000, 9_000),
    ] {
        assert_eq!(place(sent_at, received_at), place_of_it, "{sent_at:?} {received_at}");
    }
}

#[test]
fn an_event_that_says_that_a_message_was_deleted_is_a_copy_of_the_type_revoked() {
    for event_type in ["message_revoked", "message_deleted"] {
        let copy = read(&format!(r#"{{"event_type":"{event_type}","id":"A","type":"text","body":"Hola"}}"#));
        assert_eq!((copy.fields.kind, copy.is_service), (some("revoked"), true), "{event_type}");
    }
    let copy = read(r#"{"event_type":"message_received","id":"A","type":"revoked"}"#);
    assert_eq!((copy.fields.kind, copy.is_service), (some("revoked"), true));
}

#[test]
fn a_copy_of_the_type_reaction_that_quotes_a_message_is_a_reaction_to_it() {
    let reaction = |fields: &str| {
        let copy = read(&format!(r#"{{"event_type":"message_received","id":"A",{fields}}}"#));
        let row = copy.stated_reaction(&InstanceId::unstated(), Timestamp::from_millis(9_700))?;
        Some(format!("{}|{}|{}|{}", row.message_id, row.from_number, row.reaction, row.reacted_at.to_rfc3339()))
    };
    let here = r#""type":"reaction","quoted_message_id":"Q","from":"5@c.us""#;
    let arrival = "1970-01-01T00:00:09.700Z";
    for (fields, expected) in [
        (format!(r#"{here},"reaction":"👍","body":"x""#), Some(format!("Q|5@c.us|👍|{arrival}"))),
        (format!(r#"{here},"body":"❤️""#), Some(format!("Q|5@c.us|❤️|{arrival}"))),
        (format!(r#"{here},"reaction":"","body":null"#), Some(format!("Q|5@c.us||{arrival}"))),
        (format!(r#"{here},"reaction":"👍","group_sender":"6@c.us""#), Some(format!("Q|6@c.us|👍|{arrival}"))),
        (format!(r#"{here},"body":"{}""#, "x".repeat(257)), None),
        (r#""type":"reaction","from":"5@c.us","reaction":"👍""#.to_owned(), None),
        (r#""type":"reaction","quoted_message_id":"Q","reaction":"👍""#.to_owned(), None),
        (r#""type":"text","quoted_message_id":"Q","from":"5@c.us","reaction":"👍""#.to_owned(), None),
    ] {
        assert_eq!(reaction(&fields), expected, "{fields}");
    }
}
