//! Checks whether all erasures have ended.

use super::Finding;
use crate::config::Config;
use store::{ErasureReport, ErasureStage, OpenMode, Options, Pending};

const ERASURES: &str = "erasures";

/// Returns nothing if nobody was ever erased, or if the database cannot be asked, which its own line says.
pub(super) async fn check(config: &Config) -> Option<Finding> {
    let options = Options {
        database: config.database.clone(),
        pending: Pending::Refuse,
        access: OpenMode::Beside,
        allow_managed_pg: config.allow_managed_pg,
    };
    let store = store::open(&options).await.ok()?;
    let reports = store.erasures().await;
    store.close().await;
    reports.ok().filter(|reports| !reports.is_empty()).map(|reports| finding(&reports))
}

fn finding(reports: &[ErasureReport]) -> Finding {
    let pending = reports.iter().filter(|it| it.stage != ErasureStage::Ended).count();
    if pending == 0 {
        return Finding::ok(ERASURES, format!("all {} have ended", reports.len()));
    }
    let remedy =
        "see buzon erase list; an erasure ends when the service runs and each place in backup_to can be written to";
    Finding::warning(ERASURES, format!("{pending} have not ended"), remedy)
}
