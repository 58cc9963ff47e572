//! `buzon openapi`.

use std::io::Write;

use buzon::http::openapi::contract;

/// Prints the contract of the read API.
pub(super) fn run() -> anyhow::Result<()> {
    std::io::stdout().lock().write_all(contract().as_bytes())?;
    Ok(())
}
