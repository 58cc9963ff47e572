//! `buzon retention`.

use std::io::Write;

use clap::Args;

use super::erase::eraser;
use super::{CommonArgs, WrongUse, block_on, open_beside};
use buzon::erasure::retention;
use platform::clock::{Clock, SystemClock};
use platform::terminal::{self, escaped};

#[derive(Args)]
pub(super) struct RetentionArgs {
    /// Remove it now; the first run, and one that removes over a tenth, waits for this
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    settings: CommonArgs,
}

/// Says what is older than what is kept, and removes it if the owner says yes.
pub(super) fn run(arguments: RetentionArgs) -> anyhow::Result<()> {
    let RetentionArgs { yes, settings } = arguments;
    let config = settings.start()?;
    if config.retention.keeps_all() {
        return Err(WrongUse("everything is kept; set retention_messages or retention_media".to_owned()).into());
    }
    block_on(async {
        let store = open_beside(&config).await?;
        let plan = retention::plan(&*store, &config.retention, SystemClock.now()).await?;
        let mut out = terminal::stdout();
        for (instance, it) in &plan.instances {
            let oldest = it.oldest.map_or("-".to_owned(), |at| at.to_rfc3339());
            writeln!(
                out,
                "{}: {} of {} messages and {} of {} files ({} bytes) are older than what is kept; the oldest message is of {oldest}",
                escaped(instance.as_str()),
                it.messages,
                it.all_messages,
                it.files,
                it.all_files,
                it.file_bytes,
            )?;
        }
        if yes {
            let (events, files) = retention::run(&eraser(&config, store)?, &config.retention).await?;
            writeln!(out, "removed: {events} events and {files} files")?;
        } else if plan.needs_yes() {
            writeln!(out, "To remove them, repeat the command with --yes. Until then, nothing is removed.")?;
        } else {
            writeln!(out, "The service removes them tonight; --yes does it now.")?;
        }
        Ok(())
    })
}
