//! `buzon cell`.

use std::io::Write;

use clap::Subcommand;
use secrecy::ExposeSecret;

use super::{CommonArgs, block_on};
use platform::terminal;
use store::{CellName, NewCell};

#[derive(Subcommand)]
pub(super) enum CellCommand {
    /// Make a schema with buzon's tables in the PostgreSQL database of database_url, and print its URL
    ///
    /// The command can be repeated: what is there already stays as it is.
    #[command(after_help = "Example:\n  buzon cell init sales")]
    Init {
        #[command(flatten)]
        settings: CommonArgs,
        /// The name of the cell, which is that of its schema
        #[arg(value_name = "NAME")]
        name: String,
        /// Distribute the schema with Citus, whose coordinator database_url names, and print the worker to connect to
        #[arg(long)]
        citus: bool,
    },
}

pub(super) fn run(command: CellCommand) -> anyhow::Result<()> {
    let CellCommand::Init { settings, name, citus } = command;
    let config = settings.config()?;
    let name = CellName::parse(&name)?;
    let NewCell { url, worker } = block_on(async { Ok(store::init_cell(&config.database, &name, citus).await?) })?;
    let mut out = terminal::stdout();
    writeln!(out, "the cell {name} is ready; its buzon has these settings, of which the first may hold a password:")?;
    writeln!(out, "BUZON_DATABASE_URL={}", url.expose_secret())?;
    writeln!(out, "BUZON_CELL={name}")?;
    if let Some(worker) = worker {
        writeln!(out, "its tables are on {worker}: put that in the place of the coordinator's host and port")?;
    }
    Ok(())
}
