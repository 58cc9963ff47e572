//! Answers as CSV.

use std::io::{self, Write};

use super::{AnswerWriter, text};
use domain::spreadsheet::guarded;
use store::Value;

/// A writer of CSV (RFC 4180). NULL is empty.
pub(super) struct CsvWriter<W: Write> {
    writer: csv::Writer<W>,
}

impl<W: Write> CsvWriter<W> {
    pub(super) fn new(out: W) -> Self {
        Self { writer: csv::Writer::from_writer(out) }
    }
}

impl<W: Write> AnswerWriter for CsvWriter<W> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_is_text_and_a_number_stays_a_number() {
        let mut out = Vec::new();
        let mut csv = CsvWriter::new(&mut out);
        let text = |text: &str| Value::Text(text.to_owned());
        csv.columns(vec!["a".to_owned(), "=b".to_owned()]).unwrap();
        for formula in ["=1+1", "+57", "-1", "@SUM(A1)", "\tx", "\rx"] {
            csv.row(vec![text(formula), Value::Integer(-1)]).unwrap();
        }
        csv.row(vec![text("a=1, \"b\""), Value::Null]).unwrap();
        csv.row(vec![Value::Decimal("-1.50".to_owned()), Value::Bytes(vec![0, 255])]).unwrap();
        csv.row(vec![Value::Json("{\"a\": \";=b\"}".to_owned()), Value::Real(-0.5)]).unwrap();
        csv.end().unwrap();
        drop(csv);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "a,'=b\n'=1+1,-1\n'+57,-1\n'-1,-1\n'@SUM(A1),-1\n'\tx,-1\n\"'\rx\",-1\n\"a=1, \"\"b\"\"\",\n-1.50,00ff\n\
             \"{\"\"a\"\": \"\";'=b\"\"}\",-0.5\n"
        );
    }
}
