//! `buzon copy`.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use indicatif::ProgressBar;

use super::sql::{AnswerWriter, TextTable};
use super::{CommonArgs, WrongUse, block_on, progress_bar};
use buzon::config::exposure::{self, Exposure};
use buzon::config::{Config, data_dir};
use buzon::copy::summary::TableSummary;
use buzon::copy::{ComparedTable, RelocationOrder, RelocationOutcome, RelocationStep, copy};
use platform::clock::SystemClock;
use platform::terminal;
use store::{ColumnValue, Database, RebuildStage, Retirement, Value};

#[derive(Args)]
pub(super) struct CopyArgs {
    /// The empty database to move to; give a URL with a password by --to-file
    #[arg(long, value_name = "URL", required_unless_present = "to_file", conflicts_with = "to_file")]
    to: Option<String>,
    /// The file with that URL
    #[arg(long, value_name = "FILE")]
    to_file: Option<PathBuf>,
    #[command(flatten)]
    settings: CommonArgs,
}

/// The number of digits of a digest that are shown.
const DIGITS: usize = 16;

/// Moves the database to PostgreSQL.
pub(super) fn run(arguments: CopyArgs) -> anyhow::Result<()> {
    let target = target(&arguments)?;
    let config = arguments.settings.start()?;
    data_dir::make_private();
    let order = RelocationOrder {
        source: &config.database,
        target: &target,
        allow_managed_pg: config.allow_managed_pg,
        clock: &SystemClock,
    };
    let bar = progress_bar("{msg} {wide_bar} {human_pos} of {human_len} events, {eta} left")?;
    let outcome = block_on(async { Ok(copy(&order, &|step| show(&bar, step)).await?) })?;
    bar.finish_and_clear();
    report(&config, &target, outcome)
}

/// Reads the place to move to. No error quotes it.
fn target(arguments: &CopyArgs) -> anyhow::Result<Database> {
    let (name, text) = match (&arguments.to, &arguments.to_file) {
        (Some(url), _) => ("--to".to_owned(), url.clone()),
        (None, Some(path)) => {
            let name = format!("--to-file: {}", path.display());
            let text = fs::read_to_string(path).map_err(|error| WrongUse(format!("{name}: {error}")))?;
            (name, text.trim_end_matches(['\r', '\n']).to_owned())
        }
        (None, None) => return Err(WrongUse("give --to URL or --to-file FILE".to_owned()).into()),
    };
    let target = Database::parse(&text).map_err(|error| WrongUse(format!("{name}: {error}")))?;
    if arguments.to.is_some() && target.has_password() {
        let Exposure { detail, remedy, .. } = exposure::on_the_command_line("--to", "give --to-file instead");
        terminal::tell(&format!("buzon: warning: {detail}; {remedy}"));
    }
    Ok(target)
}

fn show(bar: &ProgressBar, step: RelocationStep) {
    match step {
        RelocationStep::Anew => bar.println("the source has changed since the copy was broken off: it begins anew"),
        RelocationStep::Continued(seq) => bar.println(format!("the copy goes on after event {seq}")),
        RelocationStep::Reading(table, rows) => bar.set_message(format!("reading {table}, {rows} rows")),
        RelocationStep::Ledger { done, of } => {
            bar.set_length(of.unsigned_abs());
            bar.set_position(done.unsigned_abs());
            bar.set_message("copying the ledger");
        }
        RelocationStep::Copying(table, rows) => bar.set_message(format!("copying {table}, {rows} rows")),
        RelocationStep::WorkingOut(RebuildStage::Applying { seq, last }) => {
            bar.set_length(last.unsigned_abs());
            bar.set_position(seq.unsigned_abs());
            bar.set_message("working out the tables");
        }
        RelocationStep::WorkingOut(RebuildStage::Comparing(table) | RebuildStage::Writing(table)) => {
            bar.set_message(format!("writing {table}"));
        }
        RelocationStep::Comparing(table, rows) => bar.set_message(format!("comparing {table}, {rows} rows")),
    }
}

fn report(config: &Config, target: &Database, outcome: RelocationOutcome) -> anyhow::Result<()> {
    let source = &config.database;
    let mut out = terminal::stdout();
    match outcome {
        RelocationOutcome::Different(tables) => {
            print(&tables)?;
            let differing = tables.iter().filter(|table| !table.is_same()).map(|table| table.name);
            bail!(
                "{target} differs from {source} in {}, and {source} is as it was. If buzon rebuild --check names differences \
                 there, run buzon rebuild, and then buzon copy again; else empty {target} first",
                Vec::from_iter(differing).join(", ")
            )
        }
        RelocationOutcome::Done(tables) => {
            print(&tables)?;
            writeln!(out, "every table of {source} is in {target}, which has taken its place. {source} is retired.")?;
        }
        RelocationOutcome::Completed(Retirement { at, .. }) => {
            writeln!(out, "{source} was copied to {target} at {at}; only the last step was left, and is done")?;
        }
        RelocationOutcome::DoneBefore(Retirement { at, .. }) => {
            writeln!(out, "it is done already: {source} was copied to {target} at {at}")?;
            return Ok(());
        }
    }
    writeln!(
        out,
        "Next: set database_url to it, and keep the other settings, the media store and the files in the data folder."
    )?;
    writeln!(out, "Then buzon doctor, buzon serve, and for each forward: buzon forward resume NAME --from position")?;
    Ok(())
}

/// Prints a line for each table that is the same on both sides, and two for each other one.
fn print(tables: &[ComparedTable]) -> anyhow::Result<()> {
    let mut table = TextTable::new();
    table.columns(["table", "in", "rows", "least", "greatest", "digest"].map(str::to_owned).to_vec())?;
    let mut line = |name: &str, side: &str, summary: &TableSummary| {
        let extreme = |value: &Option<ColumnValue>| match value {
            Some(ColumnValue::Integer(number)) => Value::Text(number.to_string()),
            Some(ColumnValue::Text(text)) => Value::Text(text.clone()),
            _ => Value::Null,
        };
        let rows = summary.rows.try_into().unwrap_or(i64::MAX);
        let digest = summary.digest()[..DIGITS].to_owned();
        let cells = [Value::Text(name.to_owned()), Value::Text(side.to_owned()), Value::Integer(rows)];
        let further = [extreme(&summary.least), extreme(&summary.greatest), Value::Text(digest)];
        table.row(cells.into_iter().chain(further).collect())
    };
    for it in tables {
        if it.is_same() {
            line(it.name, "both", &it.source)?;
        } else {
            line(it.name, "source", &it.source)?;
            line(it.name, "copy", &it.target)?;
        }
    }
    Ok(table.end()?)
}
