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
use crate::instance::InstanceId;
use crate::time::timestamp::Timestamp;

const REPLACEMENT: char = '\u{FFFD}';

/// A body as text: without a byte order mark, and U+FFFD where it is no UTF-8.
pub struct BodyText<'b> {
    text: Cow<'b, str>,
}

impl<'b> BodyText<'b> {
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
struct NotText;

/// Why a field is no id.
enum InvalidId {
    /// It never was one: broken text, a fraction, neither text nor number.
    NotAnId,
    /// With a NUL, or a number beyond 64 bits.
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
        let Some(id) = self.exact_id(FIELD).map_err(|_| Defect::Unusable(FIELD))? else { return Ok(None) };
        let id = InstanceId::new(&id).map_err(|_| Defect::TooLong(FIELD))?;
        Ok(Some(id).filter(|id| !id.is_unstated()))
    }

    /// An id that the event cannot do without.
    pub fn required_id(&self, field: &'static str) -> Result<String, Defect> {
        let id = self.exact_id(field).map_err(|_| Defect::Unusable(field))?;
        within(field, MAX_ID_BYTES, id)?.ok_or(Defect::Missing(field))
    }

    /// An id that may be absent. One that was never an id counts as absent; one that no column can hold as it is sets
    /// the event aside.
    pub fn optional_id(&mut self, field: &'static str) -> Result<Option<String>, Defect> {
        match self.exact_id(field) {
            Ok(id) => within(field, MAX_ID_BYTES, id),
            Err(InvalidId::NotAnId) => Ok(self.note_unusable(field)),
            Err(InvalidId::NotStorable) => Err(Defect::Unusable(field)),
        }
    }

    /// An id, if it can be read and held as it is.
    pub fn readable_id(&self, field: &'static str) -> Option<String> {
        self.exact_id(field).ok().flatten().filter(|id| id.len() <= MAX_ID_BYTES)
    }

    /// Text that the event turns on and that stands in a unique key: `None` if it is absent or null.
    pub fn key_text(&mut self, field: &'static str, max_bytes: usize) -> Result<Option<String>, Defect> {
        let text = self.readable(field).map_err(|NotText| Defect::Unusable(field))?;
        within(field, max_bytes, text)
    }

    /// Text that may be left out and that stands in a unique key.
    pub fn limited_text(&mut self, field: &'static str, max_bytes: usize) -> Result<Option<String>, Defect> {
        let text = self.text(field);
        within(field, max_bytes, text)
    }

    /// Text that may be left out.
    pub fn text(&mut self, field: &'static str) -> Option<String> {
        self.readable(field).unwrap_or_else(|NotText| self.note_unusable(field))
    }

    /// The same, and unusable beyond so many bytes.
    pub fn short_text(&mut self, field: &'static str, max_bytes: usize) -> Option<String> {
        let text = self.text(field)?;
        if text.len() <= max_bytes { Some(text) } else { self.note_unusable(field) }
    }

    /// Text, or a number as it was written; `false` counts as absent. A NUL becomes U+FFFD: PostgreSQL holds none.
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

    /// A number of at most `limit` either way: a coordinate in degrees, to 9 decimals (0.1 mm). With more of them,
    /// SQLite reads the last digit otherwise than PostgreSQL.
    pub fn coordinate(&mut self, field: &'static str, limit: f64) -> Option<f64> {
        const DECIMALS: f64 = 1e9;
        self.parsed(field, |word| {
            let degrees = word.trim().parse::<f64>().ok().filter(|degrees| degrees.abs() <= limit)?;
            // Added to, a negative zero is a plain one.
            Some((degrees * DECIMALS).round() / DECIMALS + 0.0)
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
fn whole_number(digits: &str) -> Result<String, InvalidId> {
    /// From here on a double skips whole numbers.
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
