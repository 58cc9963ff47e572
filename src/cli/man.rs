//! `buzon man`.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, CommandFactory};

use super::Cli;

#[derive(Args)]
pub(super) struct ManArgs {
    /// The folder for the pages, such as /usr/local/share/man/man1; it must exist
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// Writes `buzon.1`, `buzon-serve.1` and so on.
pub(super) fn run(arguments: &ManArgs) -> anyhow::Result<()> {
    let folder = &arguments.folder;
    clap_mangen::generate_to(Cli::command(), folder)
        .with_context(|| format!("the man pages cannot be written into {}", folder.display()))
}
