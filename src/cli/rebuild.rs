//! `buzon rebuild`.

use std::io::Write;

use anyhow::bail;

use super::{CommonArgs, block_on, progress_bar, store_options};
use platform::terminal;
use store::{Aim, Difference, OpenMode, Pending, RebuildStage};

/// Compares the tables with the ledger, and corrects them unless `check` is set.
pub(super) fn run(settings: CommonArgs, check: bool) -> anyhow::Result<()> {
    let config = settings.start()?;
    let aim = if check { Aim::Check } else { Aim::Rebuild };
    let bar = progress_bar("{msg} {wide_bar} {human_pos} of {human_len} events, {eta} left")?;
    let show = |stage| match stage {
        RebuildStage::Applying { seq, last } => {
            bar.set_length(last.unsigned_abs());
            bar.set_position(seq.unsigned_abs());
            bar.set_message("reading the ledger");
        }
        RebuildStage::Comparing(table) => bar.set_message(format!("comparing {table}")),
        RebuildStage::Writing(table) => bar.set_message(format!("writing {table}")),
    };
    let access = if check { OpenMode::Beside } else { OpenMode::Serve };
    let options = store_options(&config, Pending::Refuse, access);
    let differences = block_on(async { Ok(store::rebuild(&options, aim, &show).await?) })?;
    bar.finish_and_clear();
    let differing: Vec<&Difference> = differences.iter().filter(|difference| !difference.is_none()).collect();
    let mut out = terminal::stdout();
    for Difference { table, missing, surplus, different, examples, .. } in &differing {
        let examples = examples.join(", ");
        let examples = terminal::escaped(&examples);
        writeln!(out, "{table}: {missing} rows missing, {surplus} surplus, {different} different: {examples}")?;
    }
    let moving: Vec<&str> = differences.iter().flat_map(|it| &it.left_out).map(String::as_str).collect();
    if !moving.is_empty() {
        let chats = moving.join(", ");
        writeln!(
            out,
            "left out, because messages are still being moved to another chat: {}",
            terminal::escaped(&chats)
        )?;
    }
    match (aim, differing.is_empty()) {
        (_, true) => writeln!(out, "{}: every table is what the ledger says", config.database)?,
        (Aim::Rebuild, false) => writeln!(out, "{}: the tables are what the ledger says again", config.database)?,
        (Aim::Check, false) => {
            bail!("the tables are not what the ledger says; stop the service and run: buzon rebuild")
        }
    }
    Ok(())
}
