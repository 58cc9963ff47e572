//! Files that may be open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lets this process, and those that it starts, have so many files open beside their ordinary ones.
///
/// # Panics
/// If the system does not let it.
pub fn allow_open_files(files: u64) {
    const ORDINARY: u64 = 500;
    let limits = getrlimit(Resource::Nofile);
    let wanted = files + ORDINARY;
    if limits.current.is_some_and(|current| current < wanted) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limits }).expect("so many files may be open");
    }
}
