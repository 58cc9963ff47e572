//! What is in `deploy/`, with the programs that it is for.

mod beginning;
mod containers;
mod front;
mod proxies;
mod unit;

use std::path::PathBuf;

/// A file of the project.
fn project(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn text(path: &str) -> String {
    std::fs::read_to_string(project(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
