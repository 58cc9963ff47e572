use proptest::prelude::*;

use super::*;

fn copy(seq: i64, sent_at: Option<i64>, fields: MessageFields) -> LedgerCopy {
    LedgerCopy {
        instance_id: InstanceId::new("123").unwrap(),
        copy: Arc::new(MessageCopy {
            id: "ABCD1234".to_owned(),
            words: fields.body.as_deref().map(first_words).unwrap_or_default(),
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
    assert_eq!(message.words, "hola");
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
fn a_group_is_recognised_by_its_chat_if_a_copy_does_not_state_it() {
    let is_group = |body: &str| {
        let instance = InstanceId::new("123").unwrap();
        let copy = LedgerCopy::of_ledger(instance, body.as_bytes(), &[0; 32], Timestamp::from_millis(0), 1);
        Message::fold(&[copy.unwrap()]).is_group()
    };
    let message = |fields: &str| format!(r#"{{"event_type":"message_received","id":"A",{fields}}}"#);
    assert!(is_group(&message(r#""chat_id":"1203@g.us""#)));
    assert!(!is_group(&message(r#""chat_id":"573001112233@c.us""#)));
    assert!(!is_group(&message(r#""chat_id":"1203@g.us","is_group":false"#)));
    assert!(is_group(&message(r#""is_group":1"#)));
    assert!(!is_group(&message(r#""body":"Hola""#)));
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
    prop::collection::vec((one, prop::collection::vec(text(), 9)), 1..8).prop_map(|copies| {
        let copies = copies.into_iter().zip(1..);
        let made = |(((sent_at, from_me, is_group, chat_id, body, latitude), texts), seq): (Drawn, i64)| {
            let [from_id, to_id, sender_name, kind, quoted_message_id, reaction, media_url, vcard, status] =
                <[Text; 9]>::try_from(texts).unwrap();
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
    let words = if message.fields.body.is_some() { &message.words } else { &earlier.words };
    let fields = earlier.fields.clone().overlay(&message.fields);
    Message { fields, words: words.clone(), ack: earlier.ack.clone(), ..message }
}

fn recorded(message: &Message) -> RecordedMessage {
    let Message { instance_id, id, received_at, seq, event_seq, .. } = message.clone();
    let MessageFields { chat_id, from_me, sender_name, sent_at, .. } = message.fields.clone();
    let is_group = message.is_group();
    RecordedMessage { instance_id, id, chat_id, from_me, sender_name, sent_at, is_group, received_at, seq, event_seq }
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
        let earlier = row(Message::fold(earlier));
        let laid = match later {
            [] => earlier,
            later => {
                let message = Message::fold(later).laid_over(&recorded(&earlier));
                prop_assert_eq!(message.occurred_at(), Message::fold(&copies).occurred_at());
                prop_assert_eq!(message.is_group(), Message::fold(&copies).is_group());
                written(message, &earlier)
            }
        };
        prop_assert_eq!(row(laid), row(Message::fold(&copies)));
    }

    #[test]
    fn essential_copies_are_few_and_fold_to_the_same_message_as_all(copies in copies(), at in 0..8_usize) {
        let (some, others) = copies.split_at(at.min(copies.len()));
        let kept = essential_copies([essential_copies(some.to_vec()), others.to_vec()].concat());
        prop_assert!(kept.len() <= 17, "one for each field, and the last");
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
