//! `buzon doctor`.

use std::io::{self, Write};

use anyhow::{Context, bail};
use clap::Args;

use super::{CommonArgs, WrongUse, block_on, one_line};
use buzon::config::ConfigError;
use buzon::doctor::{self, Finding, Report, Verdict};
use buzon::telemetry;
use platform::terminal::{self, EscapeForm};

#[derive(Args)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    settings: CommonArgs,
    /// Print one JSON object, for programs
    #[arg(long)]
    json: bool,
}

/// Prints a line for each check. The exit code is 1 for warnings and 2 for failures.
pub(super) fn run(arguments: DoctorArgs) -> anyhow::Result<()> {
    let report = match arguments.settings.read() {
        Ok(config) => {
            telemetry::init(&config.log);
            block_on(async { doctor::examine(&config).await.context("the HTTP client cannot be made") })?
        }
        Err(error) => unreadable(&error),
    };
    if arguments.json {
        let mut out = terminal::data(EscapeForm::Json);
        serde_json::to_writer_pretty(&mut out, &report)?;
        writeln!(out)?;
    } else {
        show(&mut terminal::stdout(), &report)?;
    }
    let (failures, warnings) = (report.count(Verdict::Failure), report.count(Verdict::Warning));
    match report.status {
        Verdict::Ok => Ok(()),
        Verdict::Warning => bail!("{}", counted(warnings, "warning")),
        Verdict::Failure => {
            Err(WrongUse(format!("{}, {}", counted(failures, "failure"), counted(warnings, "warning"))).into())
        }
    }
}

/// Returns the report for settings that cannot be read, without which nothing else can be checked.
fn unreadable(error: &ConfigError) -> Report {
    let mut report = Report::default();
    let remedy = "correct it there, and run doctor again: nothing else could be checked";
    report.add([Finding::failure("settings", error.to_string(), remedy)]);
    report
}

fn show(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let width = report.checks.iter().map(|finding| finding.check.len()).max().unwrap_or_default();
    for finding in &report.checks {
        writeln!(out, "{:7}  {:width$}  {}", finding.status.as_str(), finding.check, one_line(&finding.detail))?;
        if let Some(remedy) = &finding.remedy {
            writeln!(out, "{:7}  {:width$}  → {}", "", "", one_line(remedy))?;
        }
    }
    Ok(())
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
