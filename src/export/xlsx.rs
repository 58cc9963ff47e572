//! Rows as a workbook for Excel and LibreOffice.

use std::io;
use std::path::Path;

use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, Workbook, XlsxError};

use super::rows::{ExportRow, ExportValue};
use super::sink::RowSink;
use super::target::{ExportOutput, NewFile, folder};
use domain::time::zone::Zone;

/// The rows of a sheet, the one with the names of the columns included.
const SHEET_ROWS: u32 = 1_048_576;
/// The length of a cell, in UTF-16 code units.
const CELL_UNITS: usize = 32_767;
/// The end of a text that was cut.
const CUT: &str = "… [cut; NDJSON has all of it]";

/// A writer of a workbook. Each sheet is kept in a temporary file until the end.
pub struct XlsxSink {
    workbook: Workbook,
    file: NewFile,
    columns: &'static [&'static str],
    sheet_name: &'static str,
    zone: Zone,
    time: Format,
    /// The sheets so far, and the next row of the last one.
    sheets: usize,
    row: u32,
    sheet_rows: u32,
    cut: u64,
}

impl XlsxSink {
    pub fn create(
        path: &Path,
        sheet_name: &'static str,
        columns: &'static [&'static str],
        zone: &Zone,
    ) -> io::Result<Self> {
        let mut workbook = Workbook::new();
        workbook.set_tempdir(folder(path)).map_err(failed)?;
        // A fixed time, so that the same rows are the same bytes.
        let created = ExcelDateTime::from_ymd(2000, 1, 1).map_err(failed)?;
        let comment = format!("Times are those of {zone}.");
        workbook.set_properties(&DocProperties::new().set_creation_datetime(&created).set_comment(comment));
        let time = Format::new().set_num_format("yyyy-mm-dd hh:mm:ss");
        let (file, zone) = (NewFile::create(path)?, zone.clone());
        let mut sink =
            Self { workbook, file, columns, sheet_name, zone, time, sheets: 0, row: 0, sheet_rows: SHEET_ROWS, cut: 0 };
        sink.add_sheet()?;
        Ok(sink)
    }

    fn add_sheet(&mut self) -> io::Result<()> {
        self.sheets += 1;
        let name = match self.sheets {
            1 => self.sheet_name.to_owned(),
            nth => format!("{} {nth}", self.sheet_name),
        };
        let sheet = self.workbook.add_worksheet_with_constant_memory().map_err(failed)?;
        sheet.set_name(name).map_err(failed)?;
        sheet.set_freeze_panes(1, 0).map_err(failed)?;
        for (column, name) in (0..).zip(self.columns) {
            sheet.write_string(0, column, *name).map_err(failed)?;
        }
        self.row = 1;
        Ok(())
    }

    fn write(&mut self, column: u16, value: ExportValue) -> Result<(), XlsxError> {
        let row = self.row;
        let days = match value {
            ExportValue::Time(at) => self.zone.spreadsheet_days(at),
            _ => 0.0,
        };
        let sheet = self.workbook.worksheet_from_index(self.sheets - 1)?;
        match value {
            ExportValue::Empty => sheet,
            // Text is never taken for a number, a formula or a link.
            ExportValue::Text(text) => match cut(&text) {
                None => sheet.write_string(row, column, text)?,
                Some(beginning) => {
                    self.cut += 1;
                    sheet.write_string(row, column, beginning)?
                }
            },
            ExportValue::Number(number) => sheet.write_number(row, column, number as f64)?,
            ExportValue::Real(number) => sheet.write_number(row, column, number)?,
            ExportValue::Flag(flag) => sheet.write_boolean(row, column, flag)?,
            ExportValue::Time(_) => sheet.write_number_with_format(row, column, days, &self.time)?,
        };
        Ok(())
    }
}

impl RowSink for XlsxSink {
    fn row(&mut self, row: ExportRow) -> io::Result<()> {
        if self.row == self.sheet_rows {
            self.add_sheet()?;
        }
        for (column, value) in (0..).zip(row) {
            self.write(column, value).map_err(failed)?;
        }
        self.row += 1;
        Ok(())
    }

    fn finish(self: Box<Self>) -> io::Result<u64> {
        let Self { mut workbook, mut file, cut, .. } = *self;
        workbook.save_to_writer(&mut file).map_err(failed)?;
        file.finish()?;
        Ok(cut)
    }
}

/// Returns the beginning of a text that a cell cannot hold, with the mark at its end.
fn cut(text: &str) -> Option<String> {
    if text.len() <= CELL_UNITS || text.encode_utf16().count() <= CELL_UNITS {
        return None;
    }
    let mut left = CELL_UNITS - CUT.encode_utf16().count();
    let fits = |c: &char| {
        let fits = c.len_utf16() <= left;
        left = left.saturating_sub(c.len_utf16());
        fits
    };
    Some(text.chars().take_while(fits).chain(CUT.chars()).collect())
}

fn failed(error: XlsxError) -> io::Error {
    match error {
        XlsxError::IoError(error) => error,
        error => io::Error::other(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_where_excel_ends_it_and_says_so() {
        assert_eq!(cut(&"a".repeat(CELL_UNITS)), None);
        assert_eq!(cut(&"ñ".repeat(CELL_UNITS)), None);
        for letter in ["a", "ñ", "👍"] {
            let cut = cut(&letter.repeat(CELL_UNITS + 1)).unwrap();
            let units = cut.encode_utf16().count();
            assert!((CELL_UNITS - 1..=CELL_UNITS).contains(&units) && cut.ends_with(CUT), "{units}");
        }
    }

    #[test]
    fn a_sheet_that_is_full_is_followed_by_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.xlsx");
        let mut sink = XlsxSink::create(&path, "acks", &["a"], &Zone::utc()).unwrap();
        sink.sheet_rows = 3;
        for number in 0..5 {
            sink.row(vec![ExportValue::Number(number)]).unwrap();
        }
        assert_eq!(Box::new(sink).finish().unwrap(), 0);
        let archive = zip::ZipArchive::new(std::fs::File::open(&path).unwrap()).unwrap();
        let sheets = archive.file_names().flatten().filter(|name| name.starts_with("xl/worksheets/sheet")).count();
        assert_eq!(sheets, 3);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing unfinished is left");
    }
}
