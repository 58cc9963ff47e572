use proptest::prelude::*;

use super::*;
use crate::message::service::is_service;
use crate::message::{Location, text_digest};

fn copy(seq: i64, sent_at: Option<i64>, fields: MessageFields) -> LedgerCopy {
    let fields = MessageFields { sent_at: sent_at.map(Timestamp::from_millis), ..fields };
    LedgerCopy {
        instance_id: InstanceId::new("123").unwrap(),
        copy: Arc::new(MessageCopy {
            id: "ABCD1234".to_owned(),
            words: fields.searched().words(),
            text_digest: fields.body.as_deref().map(text_digest),
            is_service: is_service(&fields),
            fields,
            ack: None,
            links: vec![],
            file_bytes: 0,
        }),
        received_at: Timestamp::from_millis(1_000 * seq + 7),
        seq,
    }
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// Returns a copy of a type with a text, which arrives 1,000 times its number and 7 milliseconds after 1970.
fn of_type(seq: i64, sent_at: Option<i64>, kind: &str, text: &str) -> LedgerCopy {
    let body = Some(text).filter(|text| !text.is_empty()).map(str::to_owned);
    copy(seq, sent_at, MessageFields { kind: some(kind), body, ..MessageFields::default() })
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
    assert_eq!(message.received_at.millis(), 1_007);
    assert_eq!(message.occurred_at().millis(), 900);
    assert_eq!((message.event_seq, message.edit), (3, None));
    assert_eq!(Message::fold(&[late.clone(), stub, late, real]), message);
}

#[test]
fn a_message_has_the_last_text_at_its_first_time() {
    type Copy = (i64, Option<i64>, &'static str, &'static str);
    // The copies, the text, the time, when it was edited, when it was deleted, and the number of the last copy.
    type Row = (&'static str, Option<i64>, Option<i64>, Option<i64>, i64);
    let cases: &[(&str, &[Copy], Row)] = &[
        (
            "an edit with a later time",
            &[(1, Some(10), "text", "a"), (2, Some(20), "text", "b")],
            ("b", Some(10), Some(20), None, 2),
        ),
        (
            "an edit within the same time",
            &[(1, Some(10), "text", "a"), (2, Some(10), "text", "b")],
            ("b", Some(10), Some(2_007), None, 2),
        ),
        (
            "an edit that came first",
            &[(1, Some(20), "text", "b"), (2, Some(10), "text", "a")],
            ("b", Some(10), Some(20), None, 1),
        ),
        (
            "an edit without a time",
            &[(1, None, "text", "a"), (2, None, "text", "b")],
            ("b", None, Some(2_007), None, 2),
        ),
        (
            "the same text again",
            &[(1, Some(10), "text", "a"), (2, Some(20), "text", "a")],
            ("a", Some(10), None, None, 2),
        ),
        (
            "an edit that came again",
            &[(1, Some(10), "text", "a"), (2, Some(20), "text", "b"), (3, Some(30), "text", "b")],
            ("b", Some(10), Some(20), None, 3),
        ),
        (
            "an edit and back",
            &[(1, Some(10), "text", "a"), (2, Some(20), "text", "b"), (3, Some(30), "text", "a")],
            ("a", Some(10), Some(30), None, 3),
        ),
        (
            "a caption that came late",
            &[(1, Some(10), "image", ""), (2, Some(20), "image", "a")],
            ("a", Some(10), None, None, 2),
        ),
        (
            "a placeholder",
            &[(1, Some(10), "ciphertext", ""), (2, Some(10), "text", "a")],
            ("a", Some(10), None, None, 2),
        ),
        (
            "a placeholder that came last",
            &[(1, Some(10), "text", "a"), (2, Some(20), "ciphertext", "?")],
            ("a", Some(10), None, None, 1),
        ),
        (
            "a placeholder with a text",
            &[(1, Some(10), "notification", "?"), (2, Some(10), "text", "a")],
            ("a", Some(10), None, None, 2),
        ),
        ("a deletion", &[(1, Some(10), "text", "a"), (2, Some(30), "revoked", "")], ("a", Some(10), None, Some(30), 1)),
        (
            "a deletion with the time of the message",
            &[(1, Some(10), "text", "a"), (2, Some(10), "revoked", "")],
            ("a", Some(10), None, Some(2_007), 1),
        ),
        (
            "a deletion without a time",
            &[(1, Some(10), "text", "a"), (2, None, "revoked", "")],
            ("a", Some(10), None, Some(2_007), 1),
        ),
        (
            "two deletions",
            &[(1, Some(10), "text", "a"), (2, Some(40), "revoked", ""), (3, Some(30), "revoked", "")],
            ("a", Some(10), None, Some(30), 1),
        ),
        ("a deletion alone", &[(1, Some(10), "revoked", "")], ("", Some(10), None, Some(1_007), 1)),
        (
            "a deletion of an edited message",
            &[(1, Some(10), "text", "a"), (2, Some(20), "text", "b"), (3, Some(30), "revoked", "c")],
            ("b", Some(10), Some(20), Some(30), 2),
        ),
        (
            "a notice that came twice",
            &[(1, Some(10), "call_log", "a"), (2, Some(20), "call_log", "b")],
            ("b", Some(10), None, None, 2),
        ),
    ];
    for (name, copies, row) in cases {
        let copies: Vec<LedgerCopy> =
            copies.iter().map(|(seq, sent_at, kind, text)| of_type(*seq, *sent_at, kind, text)).collect();
        let message = Message::fold(&copies);
        let millis = |time: Option<Timestamp>| time.map(Timestamp::millis);
        let found = (
            message.fields.body.as_deref().unwrap_or_default(),
            millis(message.fields.sent_at),
            millis(message.edit.map(|time| time.at)),
            millis(message.revocation.map(|it| it.time.at)),
            message.event_seq,
        );
        assert_eq!(found, *row, "{name}");
    }
}

#[test]
fn if_copies_disagree_the_later_sent_wins_and_then_the_later_arrived() {
    let body = |seq, sent_at, text| copy(seq, sent_at, MessageFields { body: some(text), ..MessageFields::default() });
    let fold = |copies: &[LedgerCopy]| Message::fold(copies).fields.body.unwrap();
    assert_eq!(fold(&[body(1, Some(20), "later"), body(2, Some(10), "earlier")]), "later");
    assert_eq!(fold(&[body(2, Some(10), "second"), body(1, Some(10), "first")]), "second");
    assert_eq!(fold(&[body(9, None, "unknown"), body(1, Some(10), "known")]), "known");
}

#[test]
fn a_message_is_outgoing_if_any_copy_is() {
    let mine = copy(1, None, MessageFields { from_me: true, ..MessageFields::default() });
    let theirs = copy(2, Some(10), MessageFields::default());
    assert!(Message::fold(&[mine, theirs]).fields.from_me);
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

type Text = Option<String>;
/// The random values of a copy: its time, flags, chat, body and latitude, and its other texts.
type Drawn = ((Option<i64>, bool, Option<bool>, Text, Text, Option<f64>), Vec<Text>);

/// Generates copies with few values for each field, so that copies agree, differ and leave fields empty.
fn copies() -> impl Strategy<Value = Vec<LedgerCopy>> {
    let text = || prop::option::of(prop_oneof![Just("x".to_owned()), Just("y".to_owned())]);
    let kind = prop_oneof![
        3 => Just(some("text")), 1 => Just(None), 1 => Just(some("unknown")), 1 => Just(some("protocol")),
        2 => Just(some("revoked")),
    ];
    let latitude = || prop::option::of((0..2_u8).prop_map(f64::from));
    let one = (prop::option::of(0..3_i64), any::<bool>(), prop::option::of(any::<bool>()), text(), text(), latitude());
    let texts = (kind, prop::collection::vec(text(), 9)).prop_map(|(kind, texts)| [vec![kind], texts].concat());
    prop::collection::vec((one, texts), 1..8).prop_map(|copies| {
        let copies = copies.into_iter().zip(1..);
        let made = |(((sent_at, from_me, is_group, chat_id, body, latitude), texts), seq): (Drawn, i64)| {
            let [kind, from_id, to_id, sender_name, quoted_message_id, reaction, media_url, file_name, vcard, status] =
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

/// Generates copies in any order, with the sizes of the batches in which they are applied.
fn deliveries() -> impl Strategy<Value = (Vec<LedgerCopy>, Vec<usize>)> {
    (copies().prop_shuffle(), prop::collection::vec(1..4_usize, 8))
}

/// Returns the row after the message was written over the earlier one. The columns that the message fills are
/// replaced, and its chat and time in any case.
fn written(message: Message, earlier: &Message) -> Message {
    let is_emptied = earlier.is_service && !message.is_service;
    let kept = if is_emptied { MessageFields::default() } else { earlier.fields.clone() };
    let (chat_id, sent_at) = (message.fields.chat_id.clone(), message.fields.sent_at);
    let fields = MessageFields { chat_id, sent_at, ..kept.overlay(&message.fields) };
    Message { words: fields.searched().words(), fields, ack: earlier.ack.clone(), ..message }
}

fn recorded(message: &Message) -> RecordedMessage {
    let Message { instance_id, id, received_at, seq, event_seq, last_sent_at, is_service, .. } = message.clone();
    let MessageFields { chat_id, from_id, to_id, from_me, sender_name, sent_at, .. } = message.fields.clone();
    RecordedMessage {
        instance_id,
        id,
        chat_id,
        stated_chat_id: None,
        from_id,
        to_id,
        from_me,
        sender_name,
        sent_at,
        is_group: message.is_group(),
        received_at,
        seq,
        event_seq,
        last_sent_at,
        is_service,
        edited_at: message.edit.map(|time| time.at),
        edited_sent_at: message.edit.and_then(|time| time.sent_at),
        revoked_at: message.revocation.map(|it| it.time.at),
        revoked_sent_at: message.revocation.and_then(|it| it.time.sent_at),
        revoked_seq: message.revocation.map(|it| it.seq),
    }
}

/// Returns the message as a row holds it, where an unknown `is_group` is false.
fn row(message: Message) -> Message {
    let fields = MessageFields { is_group: Some(message.is_group()), ..message.fields.clone() };
    Message { fields, wording: None, ..message }
}

/// Applies a batch to a row, as the store does. `all` has the copies of the row and those of the batch.
fn applied(earlier: Option<Message>, batch: &[LedgerCopy], all: &[LedgerCopy]) -> Message {
    let Some(earlier) = earlier else { return row(Message::fold(batch).placed()) };
    let recorded = recorded(&earlier);
    let (later, early) = recorded.split(Vec::from(batch));
    let message = if early.is_empty() {
        let later = Message::fold(&later);
        let rewords = earlier.fields.body.is_some() && later.fields.body.is_some();
        let changes_text = rewords && !earlier.is_service && earlier.fields.body != later.fields.body;
        later.laid_over(&recorded, changes_text)
    } else {
        Message::fold(&essential_copies(all.to_vec())).laid_over(&recorded, false)
    };
    row(written(message, &earlier))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn applying_copies_in_any_order_and_batches_equals_folding_all((copies, sizes) in deliveries()) {
        let (mut message, mut reached) = (None, 0);
        for size in sizes {
            let until = (reached + size).min(copies.len());
            if reached < until {
                message = Some(applied(message, &copies[reached..until], &copies[..until]));
            }
            reached = until;
        }
        let mut all = row(Message::fold(&copies[..reached]).placed());
        let message = message.expect("there is a batch");
        all.ack = message.ack.clone();
        prop_assert_eq!(message, all);
    }

    #[test]
    fn essential_copies_fold_to_the_same_message_as_all(copies in copies().prop_shuffle(), at in 0..8_usize) {
        let (some, others) = copies.split_at(at.min(copies.len()));
        let kept = essential_copies([essential_copies(some.to_vec()), others.to_vec()].concat());
        prop_assert_eq!(Message::fold(&kept), Message::fold(&copies));
    }
}

/// A live location has thousands of copies, and each is folded from few.
#[test]
fn copies_that_say_nothing_new_are_not_kept() {
    let position = |seq: i64| {
        let location = Some(Location { latitude: seq as f64, longitude: 0.0 });
        copy(seq, Some(seq), MessageFields { kind: some("location"), location, ..MessageFields::default() })
    };
    let mut kept = vec![];
    for seq in 1..500 {
        kept = essential_copies([kept, vec![position(500 - seq)]].concat());
    }
    assert!(kept.len() <= 3, "{}", kept.len());
    assert_eq!(kept.iter().map(|copy| copy.seq).max(), Some(499));
}

#[test]
fn once_a_message_is_real_a_service_copy_needs_no_other_copy() {
    let recorded = |copy: LedgerCopy| recorded(&Message::fold(&[copy]));
    let early = |recorded: RecordedMessage, copies: &[LedgerCopy]| recorded.split(Vec::from(copies)).1.len();
    let (stub, real) = (of_type(5, Some(50), "ciphertext", ""), of_type(6, Some(60), "text", "a"));
    assert_eq!(early(recorded(real.clone()), &[of_type(1, None, "revoked", ""), of_type(9, Some(1), "gp2", "")]), 0);
    assert_eq!(early(recorded(stub.clone()), std::slice::from_ref(&real)), 0);
    assert_eq!(early(recorded(stub.clone()), &[of_type(1, None, "gp2", ""), real.clone()]), 0);
    assert_eq!(early(recorded(stub), &[of_type(1, None, "gp2", "")]), 1);
    assert_eq!(early(recorded(real), &[of_type(7, Some(59), "text", "a"), of_type(8, Some(61), "text", "b")]), 1);
}

#[test]
fn two_copies_can_always_be_folded_and_more_within_limits() {
    let can = |copies, bytes| CopySizes { copies, bytes }.can_be_folded();
    assert!(can(2, MAX_FOLDED_BYTES * 2) && can(MAX_FOLDED_COPIES, MAX_FOLDED_BYTES));
    assert!(!can(3, MAX_FOLDED_BYTES + 1) && !can(MAX_FOLDED_COPIES + 1, 0));
}
