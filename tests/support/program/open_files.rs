//! The limit on open files.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit for this process and its children, so that they can have this many files open beside their ordinary
/// ones.
///
/// # Panics
/// If the system does not allow it.
pub fn allow_open_files(files: u64) {
    const ORDINARY: u64 = 500;
    let limits = getrlimit(Resource::Nofile);
    let wanted = files + ORDINARY;
    if limits.current.is_some_and(|current| current < wanted) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limits }).expect("so many files may be open");
    }
}
