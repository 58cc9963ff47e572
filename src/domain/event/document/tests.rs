use crate::event::document::*;

const ARRIVAL: Timestamp = Timestamp::from_millis(1_724_716_801_204);

/// Parses `body`, reads it with `read`, and returns the value with the notes.
fn read<T>(body: &[u8], read: impl FnOnce(&mut Document<'_>) -> T) -> (T, Option<String>) {
    let text = BodyText::of(body);
    let mut document = Document::parse(&text).unwrap();
    let value = read(&mut document);
    (value, document.notes())
}

fn noted(note: &str) -> Option<String> {
    Some(note.to_owned())
}

#[test]
fn only_an_object_is_a_document() {
    let defect = |body: &[u8]| Document::parse(&BodyText::of(body)).unwrap_err();
    for not_json in [&b""[..], b"hola", b"{\"id\":", b"{} {}", b"{'id':1}", b"\0"] {
        assert_eq!(defect(not_json), Defect::NotJson, "{not_json:?}");
    }
    for not_an_object in [&b"[]"[..], b" 7", b"null", b"\"text\"", b"[{}]"] {
        assert_eq!(defect(not_an_object), Defect::NotAnObject, "{not_an_object:?}");
    }
}

#[test]
fn a_byte_order_mark_is_stripped_and_the_last_field_of_a_repeated_name_counts() {
    let body = b"\xEF\xBB\xBF{\"id\":\"first\",\"id\":\"last\"}";
    assert_eq!(read(body, |it| it.required_id("id")), (Ok("last".to_owned()), None));
}

#[test]
fn ids_are_text_or_whole_numbers_within_64_bits() {
    let id = |json: &str| read(format!(r#"{{"id":{json}}}"#).as_bytes(), |it| it.required_id("id")).0;
    for (json, text) in [
        (r#""a b""#, "a b"),
        ("123", "123"),
        ("-5", "-5"),
        ("18446744073709551615", "18446744073709551615"),
        ("123.0", "123"),
        ("1e3", "1000"),
    ] {
        assert_eq!(id(json), Ok(text.to_owned()), "{json}");
    }
    for json in ["18446744073709551616", "1e400", "1.5", "true", "{}", "[1]", r#""a\u0000b""#, r#""\ud800""#] {
        assert_eq!(id(json), Err(Defect::Unusable("id")), "{json}");
    }
    for json in ["null", r#""""#] {
        assert_eq!(id(json), Err(Defect::Missing("id")), "{json}");
    }
    let long = format!("\"{}\"", "x".repeat(MAX_ID_BYTES + 1));
    assert_eq!(id(&long), Err(Defect::TooLong("id")));
}

#[test]
fn an_optional_id_of_the_wrong_type_is_noted_and_one_that_would_be_changed_is_refused() {
    let chat = |json: &str| read(format!(r#"{{"chat_id":{json}}}"#).as_bytes(), |it| it.optional_id("chat_id"));
    assert_eq!(chat(r#"{"_serialized":"x"}"#), (Ok(None), noted("unusable:chat_id")));
    for not_an_id in ["1.5", r#""\ud800""#, "true", "[]"] {
        assert_eq!(chat(not_an_id), (Ok(None), noted("unusable:chat_id")), "{not_an_id}");
    }
    assert_eq!(chat("null"), (Ok(None), None));
    for not_storable in [r#""a\u0000""#, "1e400", "123456789012345678901234567890"] {
        assert_eq!(chat(not_storable).0, Err(Defect::Unusable("chat_id")), "{not_storable}");
    }
}

#[test]
fn broken_text_is_repaired_and_noted() {
    let body = |json: &[u8]| {
        let body = [&b"{\"body\":\""[..], json, b"\"}"].concat();
        read(&body, |it| it.text("body"))
    };
    let repaired = |text: &str| (Some(text.to_owned()), noted("repaired:body"));
    assert_eq!(body(br"a\u0000b"), repaired("a\u{FFFD}b"));
    assert_eq!(body(br"a\ud83d!"), repaired("a\u{FFFD}!"));
    assert_eq!(body(br"\udc4d\ud83d"), repaired("\u{FFFD}\u{FFFD}"));
    assert_eq!(body(b"caf\xE9"), repaired("caf\u{FFFD}"));
    assert_eq!(body(br"\ud83d\udc4d"), (Some("👍".to_owned()), None));
    assert_eq!(body("\u{FFFD}".as_bytes()), (Some("\u{FFFD}".to_owned()), None));
}

#[test]
fn a_field_name_that_is_not_text_does_no_harm_to_other_fields() {
    let body = br#"{"\ud800":1,"id":"A","\u0069nstance_id":7}"#;
    assert_eq!(read(body, |it| it.required_id("id")), (Ok("A".to_owned()), None));
    assert_eq!(read(body, |it| it.required_id("instance_id")), (Ok("7".to_owned()), None));
}

#[test]
fn false_counts_as_absent_text_and_true_as_unusable() {
    let text = |json: &str| read(format!(r#"{{"body":{json}}}"#).as_bytes(), |it| it.text("body"));
    assert_eq!(text("false"), (None, None));
    assert_eq!(text("true"), (None, noted("unusable:body")));
    assert_eq!(text("5"), (noted("5"), None));
}

#[test]
fn flags_are_read_in_every_form() {
    let flag = |json: &str| read(format!(r#"{{"from_me":{json}}}"#).as_bytes(), |it| it.flag("from_me"));
    for yes in ["1", "true", r#""1""#, r#""True""#] {
        assert_eq!(flag(yes), (Some(true), None), "{yes}");
    }
    for no in ["0", "false", r#""0""#, r#""false""#] {
        assert_eq!(flag(no), (Some(false), None), "{no}");
    }
    assert_eq!(flag("null"), (None, None));
    assert_eq!(flag("2"), (None, noted("unusable:from_me")));
    assert_eq!(flag("[]"), (None, noted("unusable:from_me")));
}

#[test]
fn coordinates_are_kept_to_nine_decimals_and_within_their_limit() {
    let latitude =
        |json: &str| read(format!(r#"{{"latitude":{json}}}"#).as_bytes(), |it| it.coordinate("latitude", 90.0)).0;
    for (json, degrees) in [("4.60971", 4.60971), (r#""-74.08175""#, -74.08175), ("7.8e-250", 0.0), ("90", 90.0)] {
        assert_eq!(latitude(json), Some(degrees), "{json}");
    }
    assert_eq!(latitude("-1e-12").map(f64::to_bits), Some(0), "no negative zero");
    assert_eq!(latitude("4.12345678949"), Some(4.123456789));
    for unusable in ["90.1", "1e400", r#""north""#, r#""NaN""#, "true"] {
        assert_eq!(latitude(unusable), None, "{unusable}");
    }
}

#[test]
fn a_bad_optional_field_does_no_harm_to_others() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let body = format!(r#"{{"latitude":1e400,"timestamp":"soon","body":{deep},"extra":{deep},"type":"text"}}"#);
    let (values, notes) = read(body.as_bytes(), |it| {
        (it.coordinate("latitude", 90.0), it.time("timestamp", ARRIVAL), it.text("body"), it.text("type"))
    });
    assert_eq!(values, (None, None, None, noted("text")));
    assert_eq!(notes, noted("unusable:latitude,timestamp,body"));
}

#[test]
fn a_time_may_be_a_number_in_two_halves() {
    let time = |json: &str| read(format!(r#"{{"timestamp":{json}}}"#).as_bytes(), |it| it.time("timestamp", ARRIVAL));
    let midnight = Some(Timestamp::from_seconds(1_724_716_800));
    assert_eq!(time(r#"{"low":1724716800,"high":0,"unsigned":true}"#), (midnight, None));
    assert_eq!(time(r#"{"low":-1860052992,"high":401}"#), (midnight, None));
    assert_eq!(time(r#"{"low":1724716800}"#), (midnight, None));
    for unusable in ["{}", r#"{"low":0,"high":0}"#, r#"{"low":"x"}"#, r#"{"low":1.5,"high":0}"#, r#"{"low":{}}"#, "[]"]
    {
        assert_eq!(time(unusable), (None, noted("unusable:timestamp")), "{unusable}");
    }
}

#[test]
fn several_cards_follow_one_another() {
    let cards = |json: &str| read(format!(r#"{{"vcard":{json}}}"#).as_bytes(), |it| it.cards("vcard"));
    for (json, text, notes) in [
        (r#""A""#, Some("A"), None),
        (r#"["A","B\n","C"]"#, Some("A\nB\nC"), None),
        (r#"["A\r\nB\r\n","C\r\n"]"#, Some("A\r\nB\r\nC\r\n"), None),
        (r#"{"displayName":"Ana","vcard":"A"}"#, Some("A"), None),
        (r#"[{"vcard":"A"},"B",null,"",{"vcard":null},{"vcard":"C","x":[{}]}]"#, Some("A\nB\nC"), None),
        (r#"["A",5,{},[],{"vcard":{}},"B"]"#, Some("A\nB"), Some("unusable:vcard")),
        (r#"["a\u0000",{"vcard":"\ud83d"}]"#, Some("a\u{FFFD}\n\u{FFFD}"), Some("repaired:vcard")),
        ("[]", None, None),
        ("{}", None, Some("unusable:vcard")),
        ("5", Some("5"), None),
        ("null", None, None),
    ] {
        assert_eq!(cards(json), (text.map(str::to_owned), notes.map(str::to_owned)), "{json}");
    }
    let deep = format!("[{}{}]", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(cards(&deep), (None, noted("unusable:vcard")));
}
