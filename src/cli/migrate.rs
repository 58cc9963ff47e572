use std::io::Write;

use super::CommonArgs;
use crate::config::Config;
use crate::config::data_dir;
use crate::telemetry;
use platform::terminal;
use store;
use store::{OpenError, OpenMode, Options, Pending};

/// Brings the schema to this version, and the views to the configured time zone.
pub(super) fn run(settings: CommonArgs) -> anyhow::Result<()> {
    let config = settings.config()?;
    telemetry::init(&config.log);
    data_dir::prepare(&config.data_dir)?;
    let mut out = terminal::stdout();
    if let Err(OpenError::Absent { path, folder }) = store::present(&config.database) {
        writeln!(out, "there is no database at {path}: a new one is made in {folder}")?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match runtime.block_on(migrate(&config))? {
        0 => writeln!(out, "{}: the schema is of this version already", config.database)?,
        count => writeln!(out, "{}: {count} migrations have run; the schema is of this version", config.database)?,
    }
    Ok(())
}

async fn migrate(config: &Config) -> anyhow::Result<usize> {
    let count = store::migrate(&config.database).await?;
    let options = Options {
        database: config.database.clone(),
        pending: Pending::Refuse,
        access: OpenMode::Beside,
        allow_managed_pg: config.allow_managed_pg,
    };
    let store = store::open(&options).await?;
    store.set_time_zone(&config.time_zone).await?;
    store.close().await;
    Ok(count)
}
