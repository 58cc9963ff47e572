//! The program: the command line, and nothing else. All that it does is in the library.

use std::process::ExitCode;

mod cli;

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    cli::run()
}

/// Its `#[test]`, which has a time limit, is that of the whole crate.
#[cfg(test)]
#[macro_use]
extern crate limit;
