//! `buzon sql`: one query, and its answer in one of several formats.

use std::io::{self, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use futures_util::FutureExt;
use tokio::sync::mpsc::{self, Receiver};
use tokio::time::timeout;

use super::{CommonArgs, interrupted};
use delimited::CsvWriter;
use json::Json;
use platform::terminal::{self, EscapeForm};
use store::{QueryPart, Value};
pub(super) use table::TextTable;

mod delimited;
mod json;
mod table;
mod views;

#[derive(Args)]
pub(super) struct SqlArgs {
    #[command(flatten)]
    settings: CommonArgs,
    /// One query that only reads, such as "SELECT * FROM v_unanswered"; - reads it from standard input
    #[arg(value_name = "QUERY", conflicts_with = "file")]
    query: Option<String>,
    /// Read the query from this file
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The format of the answer
    #[arg(long, value_enum, default_value_t = AnswerFormat::Table)]
    format: AnswerFormat,
    /// The time limit of the query
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AnswerFormat {
    /// For people; on a terminal, cut to its width
    Table,
    /// For spreadsheets; text that looks like a formula gets a ' before it
    Csv,
    /// One array of objects
    Json,
    /// An object on each line
    Ndjson,
}

/// A printer of the parts of an answer.
pub(super) trait AnswerWriter {
    fn columns(&mut self, names: Vec<String>) -> io::Result<()>;
    fn row(&mut self, values: Vec<Value>) -> io::Result<()>;
    fn end(&mut self) -> io::Result<()>;
}

/// The number of parts of an answer that may wait to be printed. A slow reader slows down the query instead of filling
/// the memory.
const WAITING: usize = 256;
/// The time that a failed query waits until what came before the error is printed.
const PRINT_WAIT: Duration = Duration::from_secs(2);

/// Runs a query on a connection of its own, beside a running service.
pub(super) fn run(arguments: SqlArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let outcome = runtime.block_on(ask(arguments).boxed_local());
    // The reader of standard output may never read the rest.
    runtime.shutdown_background();
    outcome
}

async fn ask(arguments: SqlArgs) -> anyhow::Result<()> {
    let config = arguments.settings.config()?;
    let Some(query) = query(arguments.query, arguments.file)? else {
        return Ok(terminal::stdout().write_all(views::list().as_bytes())?);
    };
    let session = store::session(&config.database).await?;
    let (sender, receiver) = mpsc::channel(WAITING);
    let format = arguments.format;
    let printer = tokio::task::spawn_blocking(move || print(format, receiver));
    let limit = Duration::from_secs(arguments.timeout);
    if let Err(error) = store::ask(session, &query, limit, interrupted(), sender).await {
        let _ = timeout(PRINT_WAIT, printer).await;
        return Err(error.into());
    }
    match printer.await? {
        // The reader has read enough, like head.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed.context("cannot print the answer"),
    }
}

/// Returns the text of the query, if there is one.
fn query(argument: Option<String>, file: Option<PathBuf>) -> anyhow::Result<Option<String>> {
    let stdin = || {
        let text = io::read_to_string(io::stdin().take(MAX_QUERY + 1)).context("standard input")?;
        ensure!(text.len() as u64 <= MAX_QUERY, "standard input: a query has at most {MAX_QUERY} bytes");
        Ok(text)
    };
    match (argument.as_deref(), file) {
        (Some("-"), _) => stdin().map(Some),
        (None, Some(path)) => {
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display())).map(Some)
        }
        (None, None) if io::stdin().is_terminal() => Ok(None),
        (None, None) => stdin().map(|text| Some(text).filter(|text| !text.trim().is_empty())),
        (Some(_), _) => Ok(argument),
    }
}

/// The maximum size in bytes of a query from standard input.
const MAX_QUERY: u64 = 1024 * 1024;

/// Prints an answer until it ends.
fn print(format: AnswerFormat, mut answers: Receiver<QueryPart>) -> io::Result<()> {
    let mut output: Box<dyn AnswerWriter> = match format {
        AnswerFormat::Table => Box::new(TextTable::new()),
        AnswerFormat::Csv => Box::new(CsvWriter::new(terminal::data(EscapeForm::Text))),
        AnswerFormat::Json => Box::new(Json::array(terminal::data(EscapeForm::Json))),
        AnswerFormat::Ndjson => Box::new(Json::lines(terminal::data(EscapeForm::Json))),
    };
    while let Some(answer) = answers.blocking_recv() {
        match answer {
            QueryPart::Columns(names) => output.columns(names)?,
            QueryPart::Row(values) => output.row(values)?,
            QueryPart::End => output.end()?,
        }
    }
    Ok(())
}

/// Returns a value as text: empty for NULL, hexadecimal digits for bytes.
fn text(value: Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Flag(flag) => flag.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Decimal(text) | Value::Text(text) | Value::Json(text) => text,
        Value::Bytes(bytes) => hex::encode(bytes),
    }
}
