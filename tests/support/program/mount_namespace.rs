//! File systems that only one process sees.

use std::process::Command;

/// Returns the arguments that give `unshare` its own mount table: as an ordinary user where that is allowed, else as
/// root.
pub fn namespace() -> &'static [&'static str] {
    let ways: [&[&str]; 2] = [&["--user", "--map-root-user", "--mount"], &["--mount"]];
    let works = |way: &&[&str]| Command::new("unshare").args(*way).arg("true").status().is_ok_and(|it| it.success());
    ways.into_iter().find(works).expect("this machine allows no mount namespace; run the tests as root")
}
