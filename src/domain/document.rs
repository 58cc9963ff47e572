//! The tolerant decoder: a JSON body's fields, each read for itself, so that one bad field harms no other.
//!
//! Gateways send flags as 0/1, true/false or text, numbers as text and back, and leave out what is null. Only the top
//! level is parsed as a whole; every value stays raw text until it is asked for, so that a number beyond every range or
//! a hundred thousand brackets in a field that nobody reads are harmless.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::de::IgnoredAny;
use serde_bytes::{ByteBuf, Bytes};
use serde_json::value::RawValue;

use super::defect::Defect;
use super::instance::InstanceId;
use super::timestamp::Timestamp;

const REPLACEMENT: char = '\u{FFFD}';

/// A body as text: without a byte order mark, and U+FFFD where it is no UTF-8.
pub struct Text<'b> {
    text: Cow<'b, str>,
}

impl<'b> Text<'b> {
    pub fn of(body: &'b [u8]) -> Self {
        let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
        Self { text: String::from_utf8_lossy(body) }
    }
}

/// A JSON object's fields, with notes of those that could not be taken as they came.
#[derive(Debug)]
pub struct Document<'t> {
    /// By the bytes of their names, which need not be text. Of a repeated name, the last.
    fields: HashMap<ByteBuf, &'t RawValue>,
    /// Whether the body was no UTF-8, so that any U+FFFD in it may stand for other bytes.
    lossy: bool,
    unusable: Vec<&'static str>,
    repaired: Vec<&'static str>,
}

/// A field's text.
enum Field {
    Absent,
    Text {
        text: String,
        repaired: bool,
    },
    Number(String),
    Flag(bool),
    /// An array or object, or text that no parser reads.
    Other,
}

/// A field that is there and is no text.
struct NoText;

/// Why a field is no id.
enum Flaw {
    /// It never was one: broken text, a fraction, neither text nor number.
    NoId,
    /// With a NUL, or a number beyond 64 bits.
    Unholdable,
}

impl<'t> Document<'t> {
    pub fn parse(text: &'t Text<'_>) -> Result<Self, Defect> {
        let lossy = matches!(text.text, Cow::Owned(_));
        match serde_json::from_str(&text.text) {
            Ok(fields) => Ok(Self { fields, lossy, unusable: vec![], repaired: vec![] }),
            Err(_) => Err(match serde_json::from_str::<IgnoredAny>(&text.text) {
                Ok(_) if !text.text.trim_ascii_start().starts_with('{') => Defect::NotAnObject,
                _ => Defect::NotJson,
            }),
        }
    }

    /// What could not be taken as it came, for the column `reason`: `unusable:latitude repaired:body,vcard`.
    pub fn notes(&self) -> Option<String> {
        let note = |word: &str, fields: &[&str]| (!fields.is_empty()).then(|| format!("{word}:{}", fields.join(",")));
        let notes = [note("unusable", &self.unusable), note("repaired", &self.repaired)];
        let notes: Vec<String> = notes.into_iter().flatten().collect();
        (!notes.is_empty()).then(|| notes.join(" "))
    }

    /// The instance that the body names, if it names one.
    pub fn instance_id(&self) -> Result<Option<InstanceId>, Defect> {
        const FIELD: &str = "instance_id";
        let Some(id) = self.exact(FIELD).map_err(|_| Defect::Unusable(FIELD))? else { return Ok(None) };
        let id = InstanceId::new(&id).map_err(|_| Defect::TooLong(FIELD))?;
        Ok(Some(id).filter(|id| !id.is_unstated()))
    }

    /// An id that the event cannot do without.
    pub fn required_id(&self, field: &'static str) -> Result<String, Defect> {
        let id = self.exact(field).map_err(|_| Defect::Unusable(field))?;
        within(field, MAX_ID_BYTES, id)?.ok_or(Defect::Missing(field))
    }

    /// An id that may be absent. One that was never an id counts as absent; one that no column can hold as it is sets
    /// the event aside.
    pub fn optional_id(&mut self, field: &'static str) -> Result<Option<String>, Defect> {
        match self.exact(field) {
            Ok(id) => within(field, MAX_ID_BYTES, id),
            Err(Flaw::NoId) => Ok(self.note_unusable(field)),
            Err(Flaw::Unholdable) => Err(Defect::Unusable(field)),
        }
    }

    /// Text that the event turns on and that stands in a unique key: `None` if it is absent or null.
    pub fn key_text(&mut self, field: &'static str, max_bytes: usize) -> Result<Option<String>, Defect> {
        let text = self.readable(field).map_err(|NoText| Defect::Unusable(field))?;
        within(field, max_bytes, text)
    }

    /// Text that may be left out and that stands in a unique key.
    pub fn limited_text(&mut self, field: &'static str, max_bytes: usize) -> Result<Option<String>, Defect> {
        let text = self.text(field);
        within(field, max_bytes, text)
    }

    /// Text that may be left out.
    pub fn text(&mut self, field: &'static str) -> Option<String> {
        self.readable(field).unwrap_or_else(|NoText| self.note_unusable(field))
    }

    /// Text, or a number as it was written; `false` counts as absent. A NUL becomes U+FFFD: PostgreSQL holds none.
    fn readable(&mut self, field: &'static str) -> Result<Option<String>, NoText> {
        match self.field(field) {
            Field::Absent | Field::Flag(false) => Ok(None),
            Field::Number(digits) => Ok(Some(digits)),
            Field::Flag(true) | Field::Other => Err(NoText),
            Field::Text { text, repaired } => {
                if repaired || text.contains('\0') {
                    self.repaired.push(field);
                }
                Ok(Some(text.replace('\0', "\u{FFFD}")))
            }
        }
    }

    /// A flag: 0/1, true/false or text of either.
    pub fn flag(&mut self, field: &'static str) -> Option<bool> {
        let word = match self.field(field) {
            Field::Absent => return None,
            Field::Flag(flag) => return Some(flag),
            Field::Number(word) | Field::Text { text: word, .. } => word,
            Field::Other => return self.note_unusable(field),
        };
        match word.trim().to_ascii_lowercase().as_str() {
            "" => None,
            "1" | "true" => Some(true),
            "0" | "false" => Some(false),
            _ => self.note_unusable(field),
        }
    }

    /// A finite number of at most `limit` either way: a coordinate.
    pub fn coordinate(&mut self, field: &'static str, limit: f64) -> Option<f64> {
        self.parsed(field, |word| {
            // Without a negative zero, which the databases write differently.
            let number = word.trim().parse::<f64>().ok()? + 0.0;
            (number.abs() <= limit).then_some(number)
        })
    }

    /// A time in any form that [`Timestamp::from_provider`] understands.
    pub fn time(&mut self, field: &'static str, arrival: Timestamp) -> Option<Timestamp> {
        self.parsed(field, |word| Timestamp::from_provider(word, arrival))
    }

    /// Notes that `field` is there and cannot be used.
    pub fn note_unusable<T>(&mut self, field: &'static str) -> Option<T> {
        self.unusable.push(field);
        None
    }

    fn parsed<T>(&mut self, field: &'static str, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        match self.field(field) {
            Field::Absent => None,
            Field::Number(word) | Field::Text { text: word, .. } => match word.trim().is_empty() {
                true => None,
                false => parse(&word).or_else(|| self.note_unusable(field)),
            },
            Field::Flag(_) | Field::Other => self.note_unusable(field),
        }
    }

    /// An id as it came: text or a whole number; empty counts as absent. What would have to be changed to be kept is
    /// refused, because two different ids could become the same.
    fn exact(&self, field: &'static str) -> Result<Option<String>, Flaw> {
        match self.field(field) {
            Field::Absent => Ok(None),
            Field::Text { repaired: true, .. } | Field::Flag(_) | Field::Other => Err(Flaw::NoId),
            Field::Text { text, .. } if text.contains('\0') => Err(Flaw::Unholdable),
            Field::Text { text, .. } => Ok(Some(text).filter(|text| !text.is_empty())),
            Field::Number(digits) => whole_number(&digits).map(Some),
        }
    }

    fn field(&self, name: &str) -> Field {
        let Some(raw) = self.fields.get(Bytes::new(name.as_bytes())).map(|raw| raw.get()) else { return Field::Absent };
        match raw.as_bytes().first() {
            Some(b'"') => match decode_text(raw) {
                Some((text, repaired)) => {
                    let repaired = repaired || (self.lossy && text.contains(REPLACEMENT));
                    Field::Text { text, repaired }
                }
                None => Field::Other,
            },
            Some(b'n') => Field::Absent,
            Some(b't') => Field::Flag(true),
            Some(b'f') => Field::Flag(false),
            Some(b'[' | b'{') | None => Field::Other,
            Some(_) => Field::Number(raw.to_owned()),
        }
    }
}

/// Message, chat and person ids: WhatsApp's have up to about 120 bytes, and a btree key takes 2,704.
pub const MAX_ID_BYTES: usize = 512;

fn within(field: &'static str, max_bytes: usize, text: Option<String>) -> Result<Option<String>, Defect> {
    match text {
        Some(text) if text.len() > max_bytes => Err(Defect::TooLong(field)),
        text => Ok(text),
    }
}

/// Decodes a JSON string; says whether lone surrogates had to be replaced.
fn decode_text(raw: &str) -> Option<(String, bool)> {
    if let Ok(text) = serde_json::from_str(raw) {
        return Some((text, false));
    }
    // As bytes, serde_json lets a lone surrogate through in its three-byte form, which no UTF-8 has.
    let mut bytes = serde_json::from_str::<ByteBuf>(raw).ok()?.into_vec();
    for at in 0..bytes.len().saturating_sub(2) {
        if bytes[at] == 0xED && bytes[at + 1] >= 0xA0 {
            REPLACEMENT.encode_utf8(&mut bytes[at..at + 3]);
        }
    }
    Some((String::from_utf8(bytes).ok()?, true))
}

/// A JSON number as an id: whole and within 64 bits, `123.0` and `1e3` among them.
fn whole_number(digits: &str) -> Result<String, Flaw> {
    /// From here on a double skips whole numbers.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if digits.parse::<i64>().is_ok() || digits.parse::<u64>().is_ok() {
        return Ok(digits.to_owned());
    }
    match digits.parse::<f64>() {
        Ok(number) if number.abs() >= EXACT => Err(Flaw::Unholdable),
        Ok(number) if number.fract() == 0.0 => Ok((number as i64).to_string()),
        _ => Err(Flaw::NoId),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARRIVAL: Timestamp = Timestamp::from_millis(1_724_716_801_204);

    /// Parses `body`, reads it with `read`, and gives the answer with the notes.
    fn read<T>(body: &[u8], read: impl FnOnce(&mut Document<'_>) -> T) -> (T, Option<String>) {
        let text = Text::of(body);
        let mut document = Document::parse(&text).unwrap();
        let value = read(&mut document);
        (value, document.notes())
    }

    fn noted(note: &str) -> Option<String> {
        Some(note.to_owned())
    }

    #[test]
    fn only_an_object_is_a_document() {
        let defect = |body: &[u8]| Document::parse(&Text::of(body)).unwrap_err();
        for not_json in [&b""[..], b"hola", b"{\"id\":", b"{} {}", b"{'id':1}", b"\0"] {
            assert_eq!(defect(not_json), Defect::NotJson, "{not_json:?}");
        }
        for not_an_object in [&b"[]"[..], b" 7", b"null", b"\"text\"", b"[{}]"] {
            assert_eq!(defect(not_an_object), Defect::NotAnObject, "{not_an_object:?}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_stripped_and_of_a_repeated_name_the_last_counts() {
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
    fn an_optional_id_of_the_wrong_kind_is_noted_and_one_that_would_be_changed_is_refused() {
        let chat = |json: &str| read(format!(r#"{{"chat_id":{json}}}"#).as_bytes(), |it| it.optional_id("chat_id"));
        assert_eq!(chat(r#"{"_serialized":"x"}"#), (Ok(None), noted("unusable:chat_id")));
        for never_one in ["1.5", r#""\ud800""#, "true", "[]"] {
            assert_eq!(chat(never_one), (Ok(None), noted("unusable:chat_id")), "{never_one}");
        }
        assert_eq!(chat("null"), (Ok(None), None));
        for unholdable in [r#""a\u0000""#, "1e400", "123456789012345678901234567890"] {
            assert_eq!(chat(unholdable).0, Err(Defect::Unusable("chat_id")), "{unholdable}");
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
    fn a_name_that_is_no_text_harms_no_other_field() {
        let body = br#"{"\ud800":1,"id":"A","\u0069nstance_id":7}"#;
        assert_eq!(read(body, |it| it.required_id("id")), (Ok("A".to_owned()), None));
        assert_eq!(read(body, |it| it.required_id("instance_id")), (Ok("7".to_owned()), None));
    }

    #[test]
    fn false_is_no_text() {
        let text = |json: &str| read(format!(r#"{{"body":{json}}}"#).as_bytes(), |it| it.text("body"));
        assert_eq!(text("false"), (None, None));
        assert_eq!(text("true"), (None, noted("unusable:body")));
        assert_eq!(text("5"), (noted("5"), None));
    }

    #[test]
    fn flags_come_in_every_dress() {
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
    fn a_bad_optional_field_harms_no_other() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let body = format!(r#"{{"latitude":1e400,"timestamp":"soon","body":{deep},"extra":{deep},"type":"text"}}"#);
        let (values, notes) = read(body.as_bytes(), |it| {
            (it.coordinate("latitude", 90.0), it.time("timestamp", ARRIVAL), it.text("body"), it.text("type"))
        });
        assert_eq!(values, (None, None, None, noted("text")));
        assert_eq!(notes, noted("unusable:latitude,timestamp,body"));
    }
}
