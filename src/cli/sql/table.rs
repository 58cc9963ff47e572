//! Answers as a table for people.

use std::io::{self, Stdout, Write};

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Row};

use super::{AnswerWriter, text};
use platform::terminal::{self, Escaping, escaped};
use store::Value;

/// A writer of a table. The table is printed at its end, because the widths depend on all rows.
pub(in crate::cli) struct TextTable<W: Write> {
    out: W,
    table: comfy_table::Table,
    /// The width of the terminal, if there is one.
    width: Option<u16>,
    count: usize,
}

impl TextTable<Escaping<Stdout>> {
    pub(in crate::cli) fn new() -> Self {
        Self::of_width(terminal::stdout(), terminal::width())
    }
}

impl<W: Write> TextTable<W> {
    fn of_width(out: W, width: Option<u16>) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(ASCII_MARKDOWN).set_truncation_indicator("…");
        if let Some(width) = width {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        }
        Self { out, table, width, count: 0 }
    }

    /// Makes a row, which at a terminal is cut to one line.
    fn make_row(&mut self, cells: impl Iterator<Item = Cell>) -> Row {
        let mut row = Row::from(cells.collect::<Vec<_>>());
        if self.width.is_some() {
            row.max_height(1);
        }
        row
    }
}

impl<W: Write> AnswerWriter for TextTable<W> {
    fn columns(&mut self, names: Vec<String>) -> io::Result<()> {
        let header = self.make_row(names.into_iter().map(|name| Cell::new(plain(&name))));
        self.table.set_header(header);
        Ok(())
    }

    fn row(&mut self, values: Vec<Value>) -> io::Result<()> {
        let cell = |value| {
            let number = matches!(value, Value::Integer(_) | Value::Real(_) | Value::Decimal(_));
            let alignment = if number { CellAlignment::Right } else { CellAlignment::Left };
            Cell::new(plain(&text(value))).set_alignment(alignment)
        };
        let row = self.make_row(values.into_iter().map(cell));
        self.table.add_row(row);
        self.count += 1;
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        let rows = if self.count == 1 { "row" } else { "rows" };
        writeln!(self.out, "{}\n({} {rows})", self.table, self.count)
    }
}

/// Returns the text on one line, with line breaks shown and deceptive characters escaped. The widths of columns count
/// the result.
fn plain(text: &str) -> String {
    escaped(&text.replace('\n', "↵").replace(['\t', '\r'], " ")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(width: Option<u16>, rows: Vec<Vec<Value>>) -> String {
        let mut out = Vec::new();
        let mut table = TextTable::of_width(&mut out, width);
        table.columns(vec!["name".to_owned(), "n".to_owned()]).unwrap();
        for row in rows {
            table.row(row).unwrap();
        }
        table.end().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn rows_stand_below_their_columns_and_nothing_in_them_moves_the_cursor() {
        let evil = Value::Text("\u{1b}[2J\nb".to_owned());
        let table = printed(None, vec![vec![evil, Value::Integer(7)], vec![Value::Null, Value::Null]]);
        assert_eq!(
            table,
            "| name        | n |\n|-------------|---|\n| \\u{1b}[2J↵b | 7 |\n|             |   |\n(2 rows)\n"
        );
    }

    #[test]
    fn on_a_terminal_a_long_cell_is_cut_to_its_width() {
        let long = || vec![vec![Value::Text("palabra ".repeat(100)), Value::Integer(1)]];
        let cut = printed(Some(40), long());
        assert!(cut.lines().all(|line| line.chars().count() <= 40), "{cut}");
        assert!(cut.contains('…') && cut.lines().count() == 4, "{cut}");
        assert!(printed(None, long()).lines().any(|line| line.len() > 800));
    }
}
