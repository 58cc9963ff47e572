//! Answers as CSV.

use std::io::{self, Write};

use super::{AnswerWriter, text};
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

/// Guards text that a spreadsheet would execute because it begins like a formula, since strangers send text. A
/// spreadsheet that expects other separators begins a cell inside our cell, after a semicolon (as Excel does in
/// Spanish), a tab or a line break.
fn guarded(text: String) -> String {
    if !text.contains(SIGNS) && !text.starts_with(BREAKS) {
        return text;
    }
    let mut guarded = String::with_capacity(text.len() + 1);
    let mut begins_with_break = text.starts_with(BREAKS);
    for part in text.split_inclusive(SEPARATORS) {
        if std::mem::take(&mut begins_with_break) || is_formula(part) {
            guarded.push('\'');
        }
        guarded += part;
    }
    guarded
}

/// The characters that begin a formula. Spreadsheets treat the full-width signs like the others.
const SIGNS: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
/// Text that begins with one of these is shown on another line or in another cell.
const BREAKS: [char; 3] = ['\t', '\r', '\n'];
const SEPARATORS: [char; 4] = [';', '\t', '\r', '\n'];

/// Returns whether a spreadsheet takes a cell with this text for a formula. It skips blanks before a formula. If it
/// began the cell inside ours, it also skips quotation marks.
fn is_formula(text: &str) -> bool {
    let is_left_out = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\u{200b}' | '\u{feff}');
    text.trim_start_matches(is_left_out).starts_with(SIGNS)
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

    #[test]
    fn each_cell_that_a_spreadsheet_would_begin_with_a_formula_is_guarded() {
        for (text, shown) in [
            (" =1", "' =1"),
            ("\u{a0}\u{3000}=1", "'\u{a0}\u{3000}=1"),
            ("\u{feff}=1", "'\u{feff}=1"),
            ("\n=1", "'\n'=1"),
            ("\nhola", "'\nhola"),
            ("＝1", "'＝1"),
            ("＋1", "'＋1"),
            ("－1", "'－1"),
            ("＠a", "'＠a"),
            ("x;=cmd|' /C calc'!A0", "x;'=cmd|' /C calc'!A0"),
            (";=1", ";'=1"),
            ("x; =1;+2;y", "x;' =1;'+2;y"),
            ("x;\"=1\"", "x;'\"=1\""),
            ("x\t=1", "x\t'=1"),
            ("x\n@a", "x\n'@a"),
            ("x\r\n-1", "x\r\n'-1"),
        ] {
            assert_eq!(guarded(text.to_owned()), shown, "{text:?}");
        }
        for text in ["", " hola", "a=1", "a - b", "¿Sí?; no", "3;4", "a\nb", "'=1", "don't"] {
            assert_eq!(guarded(text.to_owned()), text);
        }
    }
}
