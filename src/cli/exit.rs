//! The exit codes of commands.

use buzon::backup::BackupError;
use buzon::blob::BlobError;
use buzon::config::ConfigError;
use store::{CellError, CopyError, OpenError, QueryError, ReaderError, StoreError};

/// An error of how a command was used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct WrongUse(pub(super) String);

/// Returns the exit code of a failure.
pub(super) fn code(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<QueryError>() {
        Some(QueryError::Stopped) => 130,
        Some(QueryError::NotReading(_)) => 2,
        _ if is_wrong_use(error) => 2,
        _ => 1,
    }
}

/// Returns whether another setting or argument would help, rather than a retry.
fn is_wrong_use(error: &anyhow::Error) -> bool {
    let by_setting = |error: &OpenError| match error {
        OpenError::Store(error) => matches!(error, StoreError::Unsafe(_) | StoreError::Retired { .. }),
        OpenError::Migration(_) | OpenError::Held { .. } => false,
        _ => true,
    };
    let useless = |error: &BlobError| matches!(error, BlobError::Unusable(_));
    let copy = |error: &CopyError| match error {
        CopyError::Useless(_) => true,
        CopyError::Open(error) => by_setting(error),
        _ => false,
    };
    let backup = |error: &BackupError| match error {
        BackupError::Useless(_) => true,
        BackupError::Copy(error) => copy(error),
        BackupError::Blob { error, .. } => useless(error),
        _ => false,
    };
    error.is::<ConfigError>()
        || error.is::<WrongUse>()
        || error.downcast_ref::<ReaderError>().is_some_and(ReaderError::is_wrong_use)
        || error.downcast_ref::<BackupError>().is_some_and(backup)
        || error.downcast_ref::<CopyError>().is_some_and(copy)
        || error.downcast_ref::<BlobError>().is_some_and(useless)
        || error.downcast_ref::<OpenError>().is_some_and(by_setting)
        || error
            .downcast_ref::<CellError>()
            .is_some_and(|error| !matches!(error, CellError::Open(error) if !by_setting(error)))
}
