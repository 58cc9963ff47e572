//! `buzon migrate`.

use std::io::Write;

use super::{CommonArgs, block_on, store_options};
use buzon::config::{Config, data_dir};
use platform::terminal;
use store::{OpenError, OpenMode, Pending};

/// Migrates the schema to this version, and the views to the configured time zone.
pub(super) fn run(settings: CommonArgs) -> anyhow::Result<()> {
    let config = settings.start()?;
    data_dir::prepare(&config.data_dir)?;
    let mut out = terminal::stdout();
    if let Err(OpenError::Absent { path, folder }) = store::present(&config.database) {
        writeln!(out, "there is no database at {path}: a new one is made in {folder}")?;
    }
    match block_on(migrate(&config))? {
        0 => writeln!(out, "{}: the schema has this version already", config.database)?,
        count => writeln!(out, "{}: {count} migrations have run; the schema has this version now", config.database)?,
    }
    Ok(())
}

async fn migrate(config: &Config) -> anyhow::Result<usize> {
    let count = store::migrate(&config.database).await?;
    let store = store::open(&store_options(config, Pending::Refuse, OpenMode::Beside)).await?;
    store.set_time_zone(&config.time_zone).await?;
    store.close().await;
    Ok(count)
}
