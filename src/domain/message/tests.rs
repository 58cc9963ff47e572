use proptest::prelude::*;

use super::*;

fn copy(seq: i64, sent_at: Option<i64>, fields: MessageFields) -> LedgerCopy {
    LedgerCopy {
        instance_id: InstanceId::new("123").unwrap(),
        copy: Arc::new(MessageCopy {
            id: "ABCD1234".to_owned(),
            words: fields.searched().words(),
            fields: MessageFields { sent_at: sent_at.map(Timestamp::from_millis), ..fields },
            ack: None,
        }),
        body_sha256: [seq as u8; 32],
        received_at: Timestamp::from_millis(1_000 * seq),
        seq,
    }
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn a_later_copy_fills_what_a_stub_left_empty_and_blanks_nothing() {
    let stub =
        copy(1, None, MessageFields { sender_name: some("Juan"), is_group: Some(false), ..MessageFields::default() });
    let real = copy(2, Some(900), MessageFields { body: some("Hola"), ..MessageFields::default() });
    let late = copy(3, Some(900), MessageFields { media_url: some("/uploads/x.jpg"), ..MessageFields::default() });
    let message = Message::fold(&[stub.clone(), real.clone(), late.clone()]);
    assert_eq!(message.fields.sender_name, some("Juan"));
    assert_eq!(message.fields.body, some("Hola"));
    assert_eq!(message.words, "hola x jpg");
    assert_eq!(message.fields.media_url, some("/uploads/x.jpg"));
    assert_eq!(message.received_at.millis(), 1_000);
    assert_eq!(message.occurred_at().millis(), 900);
    assert_eq!(message.event_seq, 3);
    assert_eq!(Message::fold(&[late.clone(), stub, late, real]), message);
}

#[test]
fn if_copies_disagree_the_later_sent_wins_and_then_the_greater_hash() {
    let body = |seq, sent_at, text| copy(seq, sent_at, MessageFields { body: some(text), ..MessageFields::default() });
    let fold = |copies: &[LedgerCopy]| Message::fold(copies).fields.body.unwrap();
    assert_eq!(fold(&[body(1, Some(20), "later"), body(2, Some(10), "earlier")]), "later");
    assert_eq!(fold(&[body(1, Some(10), "low"), body(2, Some(10), "high")]), "high");
    assert_eq!(fold(&[body(9, None, "unknown"), body(1, Some(10), "known")]), "known");
}

#[test]
fn a_message_is_outgoing_if_any_copy_is() {
    let mine = copy(1, None, MessageFields { from_me: true, ..MessageFields::default() });
    let theirs = copy(2, Some(10), MessageFields::default());
    assert!(Message::fold(&[mine, theirs]).fields.from_me);
}

#[test]
fn a_group_is_recognised_by_its_chat_and_by_the_flag_if_the_chat_is_unknown() {
    let is_group = |body: &str| {
        let instance = InstanceId::new("123").unwrap();
        let copy = LedgerCopy::of_ledger(instance, body.as_bytes(), &[0; 32], Timestamp::from_millis(0), 1);
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
    let copy = LedgerCopy::of_ledger(instance, body.as_bytes(), &[0; 32], Timestamp::from_millis(0), 1).unwrap();
    assert_eq!(copy.copy.id, "1:2@s.whatsapp.net");
    let fields = &copy.copy.fields;
    assert_eq!((&fields.from_id, &fields.to_id), (&some("57@c.us"), &some("58@c.us")));
    assert_eq!((&fields.group_sender, &fields.quoted_message_id), (&some("1234@lid"), &some("9:9@c.us")));
}

#[test]
fn a_chat_that_no_copy_states_is_worked_out_from_all_of_them() {
    let fields = |chat_id: Option<&str>, from: Option<&str>, to: Option<&str>| MessageFields {
        chat_id: chat_id.map(str::to_owned),
        from_id: from.map(str::to_owned),
        to_id: to.map(str::to_owned),
        ..MessageFields::default()
    };
    let chat = |copies: [MessageFields; 2]| {
        let copies: Vec<LedgerCopy> = copies.into_iter().zip(1..).map(|(it, seq)| copy(seq, Some(seq), it)).collect();
        Message::fold(&copies).placed().fields.chat_id
    };
    assert_eq!(chat([fields(None, Some("a"), None), fields(None, Some("b"), None)]), some("b"));
    assert_eq!(chat([fields(Some("a"), Some("a"), None), fields(None, Some("b"), None)]), some("a"));
    assert_eq!(chat([fields(None, Some("a"), None), fields(None, None, Some("1@g.us"))]), some("1@g.us"));
    assert_eq!(chat([fields(None, None, None), fields(None, None, Some("a"))]), None);
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

type Text = Option<String>;
/// The random values of a copy: its time, flags, chat, body and latitude, and its other texts.
type Drawn = ((Option<i64>, bool, Option<bool>, Text, Text, Option<f64>), Vec<Text>);

/// Generates copies with few values for each field, so that copies agree, differ and leave fields empty.
fn copies() -> impl Strategy<Value = Vec<LedgerCopy>> {
    let text = || prop::option::of(prop_oneof![Just("x".to_owned()), Just("y".to_owned())]);
    let latitude = || prop::option::of((0..2_u8).prop_map(f64::from));
    let one = (prop::option::of(0..3_i64), any::<bool>(), prop::option::of(any::<bool>()), text(), text(), latitude());
    prop::collection::vec((one, prop::collection::vec(text(), 10)), 1..8).prop_map(|copies| {
        let copies = copies.into_iter().zip(1..);
        let made = |(((sent_at, from_me, is_group, chat_id, body, latitude), texts), seq): (Drawn, i64)| {
            let [from_id, to_id, sender_name, kind, quoted_message_id, reaction, media_url, file_name, vcard, status] =
                <[Text; 10]>::try_from(texts).unwrap();
            let location = latitude.map(|latitude| Location { latitude, longitude: 0.0 });
            let group_sender = from_id.clone();
            copy(
                seq,
                sent_at,
                MessageFields {
                    chat_id,
                    from_id,
                    to_id,
                    from_me,
                    sender_name,
                    body,
                    kind,
                    is_group,
                    quoted_message_id,
                    reaction,
                    media_url,
                    file_name,
                    location,
                    vcard,
                    status,
                    group_sender,
                    sent_at: None,
                },
            )
        };
        copies.map(made).collect()
    })
}

/// Returns the row after the message was written over the earlier one. The columns that the message fills are replaced.
fn written(message: Message, earlier: &Message) -> Message {
    let fields = earlier.fields.clone().overlay(&message.fields);
    Message { words: fields.searched().words(), fields, ack: earlier.ack.clone(), ..message }
}

fn recorded(message: &Message) -> RecordedMessage {
    let Message { instance_id, id, received_at, seq, event_seq, .. } = message.clone();
    let MessageFields { chat_id, from_id, to_id, from_me, sender_name, sent_at, .. } = message.fields.clone();
    let is_group = message.is_group();
    RecordedMessage {
        instance_id,
        id,
        chat_id,
        from_id,
        to_id,
        from_me,
        sender_name,
        sent_at,
        is_group,
        received_at,
        seq,
        event_seq,
    }
}

/// Returns the message as a row holds it, where an unknown `is_group` is false.
fn row(message: Message) -> Message {
    Message { fields: MessageFields { is_group: Some(message.is_group()), ..message.fields.clone() }, ..message }
}

proptest! {
    #[test]
    fn laying_later_copies_over_a_recorded_message_equals_folding_all_copies(mut copies in copies(), at in 0..8_usize) {
        copies.sort_by_key(LedgerCopy::order);
        let (earlier, later) = copies.split_at(at.clamp(1, copies.len()));
        let earlier = row(Message::fold(earlier).placed());
        let all = Message::fold(&copies);
        let laid = match later {
            [] => earlier,
            later => {
                let later = Message::fold(later);
                let hidden = recorded(&earlier).hides_chat_from(&later.fields);
                let message = if hidden { all.clone() } else { later }.laid_over(&recorded(&earlier));
                prop_assert_eq!(message.occurred_at(), all.occurred_at());
                prop_assert_eq!(message.is_group(), all.clone().placed().is_group());
                written(message, &earlier)
            }
        };
        prop_assert_eq!(row(laid), row(all.placed()));
    }

    #[test]
    fn essential_copies_are_few_and_fold_to_the_same_message_as_all(copies in copies(), at in 0..8_usize) {
        let (some, others) = copies.split_at(at.min(copies.len()));
        let kept = essential_copies([essential_copies(some.to_vec()), others.to_vec()].concat());
        prop_assert!(kept.len() <= 18, "one for each field, and the last");
        let (of_kept, of_all) = (Message::fold(&kept), Message::fold(&copies));
        prop_assert_eq!((of_kept.fields, of_kept.words), (of_all.fields, of_all.words));
        prop_assert_eq!(of_kept.event_seq, of_all.event_seq);
    }
}

#[test]
fn two_copies_can_always_be_folded_and_more_within_limits() {
    let can = |copies, bytes| CopySizes { copies, bytes }.can_be_folded();
    assert!(can(2, MAX_FOLDED_BYTES * 2) && can(MAX_FOLDED_COPIES, MAX_FOLDED_BYTES));
    assert!(!can(3, MAX_FOLDED_BYTES + 1) && !can(MAX_FOLDED_COPIES + 1, 0));
}
