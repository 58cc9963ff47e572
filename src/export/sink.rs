//! Rows as JSON lines and as CSV.

use std::io::{self, Write};

use super::rows::{ExportRow, ExportValue};
use super::target::ExportOutput;
use domain::spreadsheet::guarded;

/// A writer of rows in one format.
pub trait RowSink {
    fn row(&mut self, row: ExportRow) -> io::Result<()>;

    /// Writes the rest, and returns how many values did not fit and were cut.
    fn finish(self: Box<Self>) -> io::Result<u64>;
}

/// A writer of one JSON object in each line.
pub struct NdjsonSink<W: ExportOutput> {
    out: W,
    /// Each name with what surrounds it, such as `,"id":`.
    names: Vec<String>,
    line: Vec<u8>,
}

impl<W: ExportOutput> NdjsonSink<W> {
    pub fn new(out: W, columns: &[&str]) -> Self {
        let opening = |place| if place == 0 { '{' } else { ',' };
        let names = columns.iter().enumerate().map(|(place, name)| format!("{}\"{name}\":", opening(place)));
        Self { out, names: names.collect(), line: Vec::new() }
    }
}

impl<W: ExportOutput> RowSink for NdjsonSink<W> {
    fn row(&mut self, row: ExportRow) -> io::Result<()> {
        self.line.clear();
        for (name, value) in self.names.iter().zip(row) {
            self.line.extend_from_slice(name.as_bytes());
            match value {
                ExportValue::Empty => self.line.extend_from_slice(b"null"),
                ExportValue::Text(text) => serde_json::to_writer(&mut self.line, &text)?,
                ExportValue::Number(number) => write!(self.line, "{number}")?,
                ExportValue::Real(number) => serde_json::to_writer(&mut self.line, &number)?,
                ExportValue::Flag(flag) => write!(self.line, "{flag}")?,
                ExportValue::Time(at) => write!(self.line, "\"{}\"", at.to_rfc3339())?,
            }
        }
        self.line.extend_from_slice(b"}\n");
        self.out.write_all(&self.line)
    }

    fn finish(self: Box<Self>) -> io::Result<u64> {
        self.out.finish().map(|()| 0)
    }
}

/// A writer of CSV (RFC 4180) in UTF-8, in which nothing is an empty value.
pub struct CsvSink<W: ExportOutput> {
    writer: csv::Writer<W>,
    /// True if text that a spreadsheet would take for a formula is guarded.
    guard: bool,
}

impl<W: ExportOutput> CsvSink<W> {
    pub fn new(out: W, columns: &[&str], guard: bool) -> io::Result<Self> {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(columns)?;
        Ok(Self { writer, guard })
    }
}

impl<W: ExportOutput> RowSink for CsvSink<W> {
    fn row(&mut self, row: ExportRow) -> io::Result<()> {
        for value in row {
            match value {
                ExportValue::Empty => self.writer.write_field("")?,
                ExportValue::Text(text) if self.guard => self.writer.write_field(guarded(text))?,
                ExportValue::Text(text) => self.writer.write_field(text)?,
                ExportValue::Number(number) => self.writer.write_field(number.to_string())?,
                ExportValue::Real(number) => self.writer.write_field(number.to_string())?,
                ExportValue::Flag(flag) => self.writer.write_field(if flag { "true" } else { "false" })?,
                ExportValue::Time(at) => self.writer.write_field(at.to_rfc3339())?,
            }
        }
        Ok(self.writer.write_record(None::<&[u8]>)?)
    }

    fn finish(self: Box<Self>) -> io::Result<u64> {
        self.writer.into_inner().map_err(csv::IntoInnerError::into_error)?.finish().map(|()| 0)
    }
}

#[cfg(test)]
mod tests {
    use domain::time::timestamp::Timestamp;

    use super::*;

    fn row() -> ExportRow {
        let text = |text: &str| ExportValue::from(text);
        let rest = [ExportValue::Number(-1), ExportValue::Real(0.5), ExportValue::Flag(true)];
        let time = ExportValue::Time(Timestamp::from_millis(1_724_716_800_004));
        [text("=1;\"ñ\"\n\u{0}"), ExportValue::Empty].into_iter().chain(rest).chain([time]).collect()
    }

    const COLUMNS: &[&str] = &["a", "b", "c", "d", "e", "f"];

    #[test]
    fn each_line_is_json() {
        let mut out = Vec::new();
        let mut sink: Box<dyn RowSink + '_> = Box::new(NdjsonSink::new(&mut out, COLUMNS));
        sink.row(row()).unwrap();
        sink.finish().unwrap();
        let line: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let expected = serde_json::json!({
            "a": "=1;\"ñ\"\n\u{0}", "b": null, "c": -1, "d": 0.5, "e": true, "f": "2024-08-27T00:00:00.004Z",
        });
        assert_eq!(line, expected);
        assert!(out.ends_with(b"}\n") && out.iter().filter(|byte| **byte == b'\n').count() == 1);
    }

    #[test]
    fn csv_is_raw_unless_it_is_guarded() {
        for (guard, cell) in [(false, "\"=1;\"\"ñ\"\"\n\u{0}\""), (true, "\"'=1;\"\"ñ\"\"\n\u{0}\"")] {
            let mut out = Vec::new();
            let mut sink: Box<dyn RowSink + '_> = Box::new(CsvSink::new(&mut out, COLUMNS, guard).unwrap());
            sink.row(row()).unwrap();
            sink.finish().unwrap();
            let text = String::from_utf8(out).unwrap();
            assert_eq!(text, format!("a,b,c,d,e,f\n{cell},,-1,0.5,true,2024-08-27T00:00:00.004Z\n"));
        }
    }
}
