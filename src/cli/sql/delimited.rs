use std::io::{self, Write};

use super::{Output, text};
use crate::store::Value;

/// CSV as RFC 4180 has it. NULL is empty.
pub(super) struct Delimited<W: Write> {
    writer: csv::Writer<W>,
}

impl<W: Write> Delimited<W> {
    pub(super) fn new(out: W) -> Self {
        Self { writer: csv::Writer::from_writer(out) }
    }
}

impl<W: Write> Output for Delimited<W> {
    fn columns(&mut self, names: Vec<String>) -> io::Result<()> {
        Ok(self.writer.write_record(names.into_iter().map(guarded))?)
    }

    fn row(&mut self, values: Vec<Value>) -> io::Result<()> {
        let cell = |value| match value {
            Value::Text(text) | Value::Json(text) => guarded(text),
            number => text(number),
        };
        Ok(self.writer.write_record(values.into_iter().map(cell))?)
    }

    fn end(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Spreadsheets carry out text that begins like a formula, and strangers send text.
fn guarded(text: String) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_is_text_and_a_number_stays_a_number() {
        let mut out = Vec::new();
        let mut csv = Delimited::new(&mut out);
        let text = |text: &str| Value::Text(text.to_owned());
        csv.columns(vec!["a".to_owned(), "=b".to_owned()]).unwrap();
        for formula in ["=1+1", "+57", "-1", "@SUM(A1)", "\tx", "\rx"] {
            csv.row(vec![text(formula), Value::Integer(-1)]).unwrap();
        }
        csv.row(vec![text("a=1, \"b\""), Value::Null]).unwrap();
        csv.row(vec![Value::Decimal("-1.50".to_owned()), Value::Bytes(vec![0, 255])]).unwrap();
        csv.end().unwrap();
        drop(csv);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "a,'=b\n'=1+1,-1\n'+57,-1\n'-1,-1\n'@SUM(A1),-1\n'\tx,-1\n\"'\rx\",-1\n\"a=1, \"\"b\"\"\",\n-1.50,00ff\n"
        );
    }
}
