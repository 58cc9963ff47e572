//! Answers as JSON.

use std::collections::HashSet;
use std::io::{self, BufWriter, Write};

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::AnswerWriter;
use store::Value;

/// A writer of objects whose keys are the names of the columns. If several columns have the same name, the further ones
/// get a number.
pub(super) struct Json<W: Write> {
    out: BufWriter<W>,
    names: Vec<String>,
    /// The text before the first object, between two, and after the last.
    marks: [&'static str; 3],
    is_first: bool,
}

impl<W: Write> Json<W> {
    pub(super) fn array(out: W) -> Self {
        Self::new(out, ["[\n", ",\n", "\n]\n"])
    }

    pub(super) fn lines(out: W) -> Self {
        Self::new(out, ["", "\n", "\n"])
    }

    fn new(out: W, marks: [&'static str; 3]) -> Self {
        Self { out: BufWriter::new(out), names: vec![], marks, is_first: true }
    }
}

impl<W: Write> AnswerWriter for Json<W> {
    fn columns(&mut self, names: Vec<String>) -> io::Result<()> {
        self.names = distinct(names);
        self.out.write_all(self.marks[0].as_bytes())
    }

    fn row(&mut self, values: Vec<Value>) -> io::Result<()> {
        if !std::mem::take(&mut self.is_first) {
            self.out.write_all(self.marks[1].as_bytes())?;
        }
        Ok(serde_json::to_writer(&mut self.out, &Record { names: &self.names, values: &values })?)
    }

    fn end(&mut self) -> io::Result<()> {
        let nothing = self.is_first && self.marks[0].is_empty();
        if !nothing {
            self.out.write_all(self.marks[2].as_bytes())?;
        }
        self.out.flush()
    }
}

fn distinct(names: Vec<String>) -> Vec<String> {
    let mut taken = HashSet::new();
    let mut own = |name: String| {
        let numbered = (2..).map(|number| format!("{name}_{number}"));
        let free = std::iter::once(name.clone()).chain(numbered).find(|name| !taken.contains(name));
        let free = free.unwrap_or(name);
        taken.insert(free.clone());
        free
    };
    names.into_iter().map(&mut own).collect()
}

struct Record<'r> {
    names: &'r [String],
    values: &'r [Value],
}

impl Serialize for Record<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.names.iter().zip(self.values.iter().map(Typed)))
    }
}

struct Typed<'v>(&'v Value);

impl Serialize for Typed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => serializer.serialize_unit(),
            Value::Flag(flag) => serializer.serialize_bool(*flag),
            Value::Integer(number) => serializer.serialize_i64(*number),
            Value::Real(number) if number.is_finite() => serializer.serialize_f64(*number),
            Value::Real(number) => serializer.serialize_str(&number.to_string()),
            Value::Text(text) => serializer.serialize_str(text),
            Value::Bytes(bytes) => serializer.serialize_str(&hex::encode(bytes)),
            // Written verbatim with all digits. NaN, which JSON does not have, becomes text.
            Value::Decimal(text) | Value::Json(text) => match RawValue::from_string(text.clone()) {
                Ok(raw) => raw.serialize(serializer),
                Err(_) => serializer.serialize_str(text),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(mut json: Json<&mut Vec<u8>>, rows: Vec<Vec<Value>>) {
        json.columns(["a", "b", "a", "a_2"].map(str::to_owned).to_vec()).unwrap();
        for row in rows {
            json.row(row).unwrap();
        }
        json.end().unwrap();
    }

    #[test]
    fn types_and_names_are_kept() {
        let decimal = Value::Decimal("12345678901234567890.50".to_owned());
        let first = vec![Value::Integer(i64::MAX), Value::Real(0.5), Value::Flag(true), decimal];
        let document = Value::Json("{\"x\":[1]}".to_owned());
        let second = vec![Value::Null, Value::Real(f64::NAN), Value::Bytes(vec![1, 255]), document];
        let (mut lines, mut array, mut none) = (vec![], vec![], vec![]);
        printed(Json::lines(&mut lines), vec![first.clone(), second.clone()]);
        printed(Json::array(&mut array), vec![first, second]);
        printed(Json::lines(&mut none), vec![]);
        let expected = [
            "{\"a\":9223372036854775807,\"b\":0.5,\"a_2\":true,\"a_2_2\":12345678901234567890.50}",
            "{\"a\":null,\"b\":\"NaN\",\"a_2\":\"01ff\",\"a_2_2\":{\"x\":[1]}}",
        ];
        assert_eq!(String::from_utf8(lines).unwrap(), format!("{}\n{}\n", expected[0], expected[1]));
        assert_eq!(String::from_utf8(array).unwrap(), format!("[\n{},\n{}\n]\n", expected[0], expected[1]));
        assert!(none.is_empty());
    }
}
