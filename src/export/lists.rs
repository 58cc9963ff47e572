//! The export of a list into one file.

use std::io;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::ExportError;
use super::pages::walk;
use super::rows::ExportRow;
use super::sink::{CsvSink, NdjsonSink, RowSink};
use super::target::{NewFile, StandardOutput};
use super::xlsx::XlsxSink;
use domain::access::scope::Scope;
use domain::time::zone::Zone;
use platform::disk::Disk;
use platform::terminal::EscapeForm;
use store::Store;

pub use super::pages::{ExportQuery, ExportRange};
pub use super::target::ExportTarget;

/// The pages that wait for being written.
const PAGES_AHEAD: usize = 2;

/// The format of the file of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListFormat {
    Ndjson,
    Csv,
    Xlsx,
}

impl ListFormat {
    pub const ALL: [Self; 3] = [Self::Ndjson, Self::Csv, Self::Xlsx];

    /// The word for the format, which is also the extension of its files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::Xlsx => "xlsx",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == text)
    }

    /// The media type of its files.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        }
    }
}

/// An order to export a list.
#[derive(Clone, Debug)]
pub struct ListExport {
    pub query: ExportQuery,
    pub range: ExportRange,
    pub scope: Scope,
    pub format: ListFormat,
    /// True if CSV is guarded against formulas.
    pub guard: bool,
    /// The zone of the times in a workbook.
    pub zone: Zone,
}

/// The result of an export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListSummary {
    pub rows: u64,
    /// The texts that a cell of Excel could not hold.
    pub cut: u64,
}

/// The message from the reader to the writer. Without the last one, the writer takes the export for broken off.
enum Piece {
    Rows(Vec<ExportRow>),
    End,
}

impl ListExport {
    /// Writes the rows. The file has its name only if this returns without an error.
    pub async fn run(
        &self,
        store: Arc<dyn Store>,
        target: ExportTarget,
        disk: Arc<Disk>,
    ) -> Result<ListSummary, ExportError> {
        let (send, receive) = mpsc::channel(PAGES_AHEAD);
        let order = self.clone();
        let writing = spawn_blocking(move || order.write(receive, &target, &disk));
        let sent = walk(&*store, &self.scope, &self.query, self.range, async |rows| {
            send.send(Piece::Rows(rows)).await.map_err(|_| ExportError::Broken)
        });
        let read = match sent.await {
            Ok(()) => send.send(Piece::End).await.map_err(|_| ExportError::Broken),
            failed => failed,
        };
        drop(send);
        let written = writing.await.map_err(|_| ExportError::Broken)?;
        // If writing failed, the reader only knows that nobody takes its rows.
        match (read, written) {
            (Err(ExportError::Broken), Err(error)) | (Ok(()), Err(error)) => Err(error),
            (Err(error), _) => Err(error),
            (Ok(()), Ok(summary)) => Ok(summary),
        }
    }

    fn write(
        &self,
        mut pieces: mpsc::Receiver<Piece>,
        target: &ExportTarget,
        disk: &Disk,
    ) -> Result<ListSummary, ExportError> {
        let (mut sink, mut rows) = (self.sink(target)?, 0);
        loop {
            match pieces.blocking_recv() {
                Some(Piece::Rows(page)) => {
                    if !disk.fits(0) {
                        return Err(ExportError::DiskLow);
                    }
                    rows += page.len() as u64;
                    for row in page {
                        sink.row(row)?;
                    }
                }
                Some(Piece::End) => return Ok(ListSummary { rows, cut: sink.finish()? }),
                None => return Err(ExportError::Broken),
            }
        }
    }

    fn sink(&self, target: &ExportTarget) -> io::Result<Box<dyn RowSink>> {
        let columns = self.query.columns();
        Ok(match (target, self.format) {
            (ExportTarget::File(path), ListFormat::Xlsx) => {
                Box::new(XlsxSink::create(path, self.query.list(), columns, &self.zone)?)
            }
            (ExportTarget::File(path), ListFormat::Ndjson) => {
                Box::new(NdjsonSink::new(NewFile::create(path)?, columns))
            }
            (ExportTarget::File(path), ListFormat::Csv) => {
                Box::new(CsvSink::new(NewFile::create(path)?, columns, self.guard)?)
            }
            (ExportTarget::Stdout, ListFormat::Ndjson) => {
                Box::new(NdjsonSink::new(StandardOutput::new(EscapeForm::Json), columns))
            }
            (ExportTarget::Stdout, ListFormat::Csv) => {
                Box::new(CsvSink::new(StandardOutput::new(EscapeForm::Text), columns, self.guard)?)
            }
            (ExportTarget::Stdout, ListFormat::Xlsx) => {
                return Err(io::Error::other("a workbook is written into a file only"));
            }
        })
    }
}
