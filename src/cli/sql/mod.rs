//! `buzon sql`: a query from a person, and its answer in the form that they want.

use std::io::{self, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use tokio::sync::mpsc::{self, Receiver};
use tokio::time::timeout;

use super::CommonArgs;
use delimited::Delimited;
use json::Json;
use platform::terminal;
use platform::terminal::EscapeForm;
use store;
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
    /// One query that reads, such as "SELECT * FROM v_unanswered"; - takes it from standard input
    #[arg(value_name = "QUERY", conflicts_with = "file")]
    query: Option<String>,
    /// Take the query from this file
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// How to print what it answers
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// How long it may take
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people; on a terminal, cut to its width
    Table,
    /// For spreadsheets; text that one would take for a formula gets a ' before it
    Csv,
    /// One array of objects
    Json,
    /// An object on each line
    Ndjson,
}

/// What prints the parts of an answer.
pub(super) trait AnswerWriter {
    fn columns(&mut self, names: Vec<String>) -> io::Result<()>;
    fn row(&mut self, values: Vec<Value>) -> io::Result<()>;
    fn end(&mut self) -> io::Result<()>;
}

/// Parts of an answer that wait to be printed: a reader who is slow holds up the query, not the memory.
const WAITING: usize = 256;
/// How long a query that failed waits for what was printed before.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Asks on a connection of its own, beside a running service.
pub(super) fn run(arguments: SqlArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let outcome = runtime.block_on(ask(arguments));
    // Whoever reads may never take what is still to be printed.
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
    let stop = async {
        // Without the signal nothing stops it but its end and the time limit.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    };
    if let Err(error) = store::ask(session, &query, Duration::from_secs(arguments.timeout), stop, sender).await {
        let _ = timeout(LAST_WORDS, printer).await;
        return Err(error.into());
    }
    match printer.await? {
        // Enough was read, as by head.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed.context("cannot print the answer"),
    }
}

/// The text of the query; `None` if there is none.
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

/// Bytes of a query from standard input.
const MAX_QUERY: u64 = 1024 * 1024;

/// Prints an answer until it ends.
fn print(format: Format, mut answers: Receiver<QueryPart>) -> io::Result<()> {
    let mut output: Box<dyn AnswerWriter> = match format {
        Format::Table => Box::new(TextTable::new()),
        Format::Csv => Box::new(Delimited::new(terminal::data(EscapeForm::Text))),
        Format::Json => Box::new(Json::array(terminal::data(EscapeForm::Json))),
        Format::Ndjson => Box::new(Json::lines(terminal::data(EscapeForm::Json))),
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

/// A value as people write it; nothing for NULL, hexadecimal digits for bytes.
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
