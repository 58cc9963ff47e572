//! A tolerant decoder for JSON bodies. Every field is read on its own, so that a bad field does no harm to the others.
//!
//! Gateways send flags as 0/1, true/false or text, send numbers as text and text as numbers, and leave out fields that
//! are null. Only the top level is parsed as a whole. Every value stays raw text until it is read, so that a number out
//! of every range, or a hundred thousand brackets in a field that nobody reads, is harmless.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer as _};
use serde_bytes::{ByteBuf, Bytes};
use serde_json::value::RawValue;

use super::defect::Defect;
use crate::instance::InstanceId;
use crate::time::timestamp::Timestamp;

const REPLACEMENT: char = '\u{FFFD}';

/// A body as text, without a byte order mark, and with U+FFFD in place of invalid UTF-8.
pub struct BodyText<'b> {
    text: Cow<'b, str>,
}

impl<'b> BodyText<'b> {
    pub fn of(body: &'b [u8]) -> Self {
        let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
        Self { text: String::from_utf8_lossy(body) }
    }
}

/// The fields of a JSON object, with notes on those that could not be taken as they were.
#[derive(Debug)]
pub struct Document<'t> {
    /// The fields by the bytes of their names, which need not be valid text. If a name is repeated, the last field
    /// counts.
    fields: HashMap<ByteBuf, &'t RawValue>,
    /// True if the body was not valid UTF-8, so that any U+FFFD in it may stand for other bytes.
    lossy: bool,
    unusable: Vec<&'static str>,
    repaired: Vec<&'static str>,
}

/// The value of a field.
enum Field {
    Absent,
    Text {
        text: String,
        repaired: bool,
    },
    Number(String),
    Flag(bool),
    /// An array, an object, or text that cannot be parsed.
    Other,
}

/// The error for a field that is present and is not text.
struct NotText;

/// The reason why a field is not a usable id.
enum InvalidId {
    /// It cannot be an id at all: broken text, a fraction, or neither text nor number.
    NotAnId,
    /// It cannot be stored unchanged: it has a NUL, or is a number beyond 64 bits.
    NotStorable,
}

impl<'t> Document<'t> {
    pub fn parse(text: &'t BodyText<'_>) -> Result<Self, Defect> {
        let lossy = matches!(text.text, Cow::Owned(_));
        match serde_json::from_str(&text.text) {
            Ok(fields) => Ok(Self { fields, lossy, unusable: vec![], repaired: vec![] }),
            Err(_) => Err(match serde_json::from_str::<IgnoredAny>(&text.text) {
                Ok(_) if !text.text.trim_ascii_start().starts_with('{') => Defect::NotAnObject,
                _ => Defect::NotJson,
            }),
        }
    }

    /// Returns the notes for the column `reason`, such as `unusable:latitude repaired:body,vcard`.
    pub fn notes(&self) -> Option<String> {
        let note = |word: &str, fields: &[&str]| (!fields.is_empty()).then(|| format!("{word}:{}", fields.join(",")));
        let notes = [note("unusable", &self.unusable), note("repaired", &self.repaired)];
        let notes: Vec<String> = notes.into_iter().flatten().collect();
        (!notes.is_empty()).then(|| notes.join(" "))
    }

    /// Reads the instance that the body states, if it states one.
    pub fn instance_id(&self) -> Result<Option<InstanceId>, Defect> {
        const FIELD: &str = "instance_id";
        let Some(id) = self.exact_id(FIELD).map_err(|_| Defect::Unusable(FIELD))? else { return Ok(None) };
        let id = InstanceId::new(&id).map_err(|_| Defect::TooLong(FIELD))?;
        Ok(Some(id).filter(|id| !id.is_unstated()))
    }

    /// Reads an id that the event requires.
    pub fn required_id(&self, field: &'static str) -> Result<String, Defect> {
        let id = self.exact_id(field).map_err(|_| Defect::Unusable(field))?;
        within(field, MAX_ID_BYTES, id)?.ok_or(Defect::Missing(field))
    }

    /// Reads an optional id. A value that cannot be an id counts as absent and is noted. An id that cannot be stored
    /// unchanged is a defect of the event.
    pub fn optional_id(&mut self, field: &'static str) -> Result<Option<String>, Defect> {
        match self.exact_id(field) {
            Ok(id) => within(field, MAX_ID_BYTES, id),
            Err(InvalidId::NotAnId) => Ok(self.note_unusable(field)),
            Err(InvalidId::NotStorable) => Err(Defect::Unusable(field)),
        }
    }

    /// Reads an id if it can be stored unchanged. Nothing is noted.
    pub fn readable_id(&self, field: &'static str) -> Option<String> {
        self.exact_id(field).ok().flatten().filter(|id| id.len() <= MAX_ID_BYTES)
    }

    /// Reads text that is part of a unique key and without which the event makes no sense. Returns `None` if it is
    /// absent or null. Any other value than text is a defect.
    pub fn key_text(&mut self, field: &'static str, max_bytes: usize) -> Result<Option<String>, Defect> {
        let text = self.readable(field).map_err(|NotText| Defect::Unusable(field))?;
        within(field, max_bytes, text)
    }

    /// Reads optional text that is part of a unique key. Text beyond the limit is a defect.
    pub fn limited_text(&mut self, field: &'static str, max_bytes: usize) -> Result<Option<String>, Defect> {
        let text = self.text(field);
        within(field, max_bytes, text)
    }

    /// Reads optional text. A value that is not text counts as absent and is noted.
    pub fn text(&mut self, field: &'static str) -> Option<String> {
        self.readable(field).unwrap_or_else(|NotText| self.note_unusable(field))
    }

    /// Reads optional text. Text of more than `max_bytes` counts as absent and is noted.
    pub fn short_text(&mut self, field: &'static str, max_bytes: usize) -> Option<String> {
        let text = self.text(field)?;
        if text.len() <= max_bytes { Some(text) } else { self.note_unusable(field) }
    }

    /// Reads text, or a number as it was written. `false` counts as absent. A NUL becomes U+FFFD, because PostgreSQL
    /// cannot store one.
    fn readable(&mut self, field: &'static str) -> Result<Option<String>, NotText> {
        match self.field(field) {
            Field::Absent | Field::Flag(false) => Ok(None),
            Field::Number(digits) => Ok(Some(digits)),
            Field::Flag(true) | Field::Other => Err(NotText),
            Field::Text { text, repaired } => {
                if repaired || text.contains('\0') {
                    self.repaired.push(field);
                }
                Ok(Some(text.replace('\0', "\u{FFFD}")))
            }
        }
    }

    /// Reads a flag: 0/1, true/false, or text of either.
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

    /// Reads a coordinate in degrees, between `-limit` and `limit`. It is rounded to 9 decimals (0.1 mm): with more,
    /// SQLite and PostgreSQL would differ in the last digit.
    pub fn coordinate(&mut self, field: &'static str, limit: f64) -> Option<f64> {
        const DECIMALS: f64 = 1e9;
        self.parsed(field, |word| {
            let degrees = word.trim().parse::<f64>().ok().filter(|degrees| degrees.abs() <= limit)?;
            // Adding 0.0 turns a negative zero into a positive one.
            Some((degrees * DECIMALS).round() / DECIMALS + 0.0)
        })
    }

    /// Reads a time in any form that [`Timestamp::from_provider`] understands, or as a number in two halves.
    pub fn time(&mut self, field: &'static str, arrival: Timestamp) -> Option<Timestamp> {
        match self.raw(field).filter(|raw| raw.starts_with('{')) {
            Some(raw) => {
                let halves: Option<Halves> = serde_json::from_str(raw).ok();
                let time = halves.and_then(|halves| Timestamp::from_halves(halves.low, halves.high, arrival));
                time.or_else(|| self.note_unusable(field))
            }
            None => self.parsed(field, |word| Timestamp::from_provider(word, arrival)),
        }
    }

    /// Reads contact cards: text, an object that holds a text `vcard`, or an array of these, whose cards follow one
    /// another in the result, each from the beginning of a line. An element that is no card is left out and noted.
    pub fn cards(&mut self, field: &'static str) -> Option<String> {
        match self.raw(field) {
            Some(raw) if raw.starts_with(['[', '{']) => {
                let mut cards = Cards { lossy: self.lossy, ..Cards::default() };
                match raw.starts_with('[') {
                    true => (&mut serde_json::Deserializer::from_str(raw)).deserialize_seq(&mut cards).ok()?,
                    false => cards.add(raw),
                }
                if cards.repaired {
                    self.repaired.push(field);
                }
                if cards.unusable {
                    self.unusable.push(field);
                }
                Some(cards.text).filter(|text| !text.is_empty())
            }
            _ => self.text(field),
        }
    }

    /// Notes that `field` is present and cannot be used.
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

    /// Reads an id unchanged: text or a whole number. Empty text counts as absent. An id that could only be stored in
    /// another form is refused, because two different ids could become the same.
    fn exact_id(&self, field: &'static str) -> Result<Option<String>, InvalidId> {
        match self.field(field) {
            Field::Absent => Ok(None),
            Field::Text { repaired: true, .. } | Field::Flag(_) | Field::Other => Err(InvalidId::NotAnId),
            Field::Text { text, .. } if text.contains('\0') => Err(InvalidId::NotStorable),
            Field::Text { text, .. } => Ok(Some(text).filter(|text| !text.is_empty())),
            Field::Number(digits) => whole_number(&digits).map(Some),
        }
    }

    fn field(&self, name: &str) -> Field {
        self.raw(name).map_or(Field::Absent, |raw| Field::read(raw, self.lossy))
    }

    fn raw(&self, name: &str) -> Option<&'t str> {
        self.fields.get(Bytes::new(name.as_bytes())).map(|raw| raw.get())
    }
}

impl Field {
    /// Reads a value. `lossy` is that of the document.
    fn read(raw: &str, lossy: bool) -> Self {
        match raw.as_bytes().first() {
            Some(b'"') => match decode_text(raw) {
                Some((text, repaired)) => {
                    let repaired = repaired || (lossy && text.contains(REPLACEMENT));
                    Self::Text { text, repaired }
                }
                None => Self::Other,
            },
            Some(b'n') => Self::Absent,
            Some(b't') => Self::Flag(true),
            Some(b'f') => Self::Flag(false),
            Some(b'[' | b'{') | None => Self::Other,
            Some(_) => Self::Number(raw.to_owned()),
        }
    }
}

/// A number of 64 bits, as JavaScript's `Long` is written in JSON.
#[derive(Deserialize)]
struct Halves {
    low: i64,
    #[serde(default)]
    high: i64,
}

/// Contact cards that are read one after the other, so that their number needs no limit of its own.
#[derive(Default)]
struct Cards {
    text: String,
    lossy: bool,
    repaired: bool,
    unusable: bool,
}

impl Cards {
    fn add(&mut self, raw: &str) {
        /// The card in an object, as WhatsApp's own messages have it.
        #[derive(Deserialize)]
        struct Contact<'t> {
            #[serde(borrow)]
            vcard: &'t RawValue,
        }
        let card = match raw.starts_with('{') {
            true => serde_json::from_str(raw)
                .map_or(Field::Other, |it: Contact<'_>| Field::read(it.vcard.get(), self.lossy)),
            false => Field::read(raw, self.lossy),
        };
        match card {
            Field::Text { text, repaired } => {
                self.repaired |= repaired || text.contains('\0');
                if !self.text.is_empty() && !text.is_empty() && !self.text.ends_with('\n') {
                    self.text.push('\n');
                }
                self.text.push_str(&text.replace('\0', "\u{FFFD}"));
            }
            Field::Absent => {}
            Field::Number(_) | Field::Flag(_) | Field::Other => self.unusable = true,
        }
    }
}

impl<'de> Visitor<'de> for &mut Cards {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of cards")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while let Some(raw) = elements.next_element::<&RawValue>()? {
            self.add(raw.get());
        }
        Ok(())
    }
}

/// The limit for the ids of messages, chats and persons. WhatsApp's have up to about 120 bytes, and a btree key of
/// PostgreSQL has room for 2,704.
pub const MAX_ID_BYTES: usize = 512;

fn within(field: &'static str, max_bytes: usize, text: Option<String>) -> Result<Option<String>, Defect> {
    match text {
        Some(text) if text.len() > max_bytes => Err(Defect::TooLong(field)),
        text => Ok(text),
    }
}

/// Decodes a JSON string, and returns whether lone surrogates had to be replaced.
fn decode_text(raw: &str) -> Option<(String, bool)> {
    if let Ok(text) = serde_json::from_str(raw) {
        return Some((text, false));
    }
    // Into bytes, serde_json decodes a lone surrogate to three bytes that are not valid UTF-8.
    let mut bytes = serde_json::from_str::<ByteBuf>(raw).ok()?.into_vec();
    for at in 0..bytes.len().saturating_sub(2) {
        if bytes[at] == 0xED && bytes[at + 1] >= 0xA0 {
            REPLACEMENT.encode_utf8(&mut bytes[at..at + 3]);
        }
    }
    Some((String::from_utf8(bytes).ok()?, true))
}

/// Reads a JSON number as an id: a whole number within 64 bits, which includes `123.0` and `1e3`.
fn whole_number(digits: &str) -> Result<String, InvalidId> {
    /// From 2^53 on, a double cannot represent every whole number.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if digits.parse::<i64>().is_ok() || digits.parse::<u64>().is_ok() {
        return Ok(digits.to_owned());
    }
    match digits.parse::<f64>() {
        Ok(number) if number.abs() >= EXACT => Err(InvalidId::NotStorable),
        Ok(number) if number.fract() == 0.0 => Ok((number as i64).to_string()),
        _ => Err(InvalidId::NotAnId),
    }
}

#[cfg(test)]
mod tests;
