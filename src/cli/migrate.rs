use std::io::Write;

use super::Settings;
use crate::data_dir;
use crate::store;
use crate::telemetry;

/// Brings the schema to this version.
pub(super) fn run(settings: Settings) -> anyhow::Result<()> {
    let config = settings.config()?;
    telemetry::init(&config.log);
    data_dir::prepare(&config.data_dir)?;
    let mut out = std::io::stdout();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match runtime.block_on(store::migrate(&config.database))? {
        0 => writeln!(out, "{}: the schema is of this version already", config.database)?,
        count => writeln!(out, "{}: {count} migrations have run; the schema is of this version", config.database)?,
    }
    Ok(())
}
