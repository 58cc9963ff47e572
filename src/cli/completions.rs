//! `buzon completions`.

use std::io::Write;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;

#[derive(Args)]
pub(super) struct CompletionsArgs {
    /// The shell that will read it
    shell: Shell,
}

/// Prints the completion script for a shell.
pub(super) fn run(arguments: &CompletionsArgs) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "buzon", &mut script);
    std::io::stdout().lock().write_all(&script)?;
    Ok(())
}
