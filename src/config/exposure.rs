//! Finds secrets that other users of this machine can read.
//!
//! Files that a group can read are not reported, because somebody chose the group, as with `root:buzon 0640`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{Config, data_dir};

/// The mode bits with which everybody can read or write a file.
const EVERYBODY: u32 = 0o006;
/// The folder in which Docker, Podman and Kubernetes put secrets, in a container without other users.
const CONTAINER_SECRETS: &str = "/run/secrets";

/// The remedy for a database's password on the command line.
pub const OTHER_PLACES: &str = "set BUZON_DATABASE_URL or database_url_file instead";

/// A secret that others can read, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    /// The file with the secret, if it is in one.
    pub file: Option<PathBuf>,
    pub detail: String,
    pub remedy: String,
}

/// Checks each place where these settings have a secret. A file that does not exist or cannot be checked is not
/// reported.
pub fn exposures(config: &Config) -> Vec<Exposure> {
    let written = [
        config.api_token.is_none().then(|| data_dir::token_path(&config.data_dir)),
        config.ticket_key.is_none().then(|| data_dir::ticket_key_path(&config.data_dir)),
    ];
    let files = config.secret_places.files.iter().cloned().chain(written.into_iter().flatten());
    let typed = config.secret_places.command_line.then(|| on_the_command_line("--database-url", OTHER_PLACES));
    typed.into_iter().chain(files.filter_map(open_to_everybody)).collect()
}

/// Reports a password on the command line, which every user of the machine can read in the list of processes.
pub fn on_the_command_line(flag: &str, remedy: &str) -> Exposure {
    Exposure {
        file: None,
        detail: format!(
            "the password in {flag} is in the list of processes, which every user of this machine can read"
        ),
        remedy: remedy.to_owned(),
    }
}

fn open_to_everybody(file: PathBuf) -> Option<Exposure> {
    let is_open = fs::metadata(&file).is_ok_and(|found| found.permissions().mode() & EVERYBODY != 0);
    (is_open && !file.starts_with(Path::new(CONTAINER_SECRETS))).then(|| Exposure {
        detail: format!("the mode of {}, which holds secrets, lets every user of this machine in", file.display()),
        remedy: format!("run: chmod o-rwx {}", file.display()),
        file: Some(file),
    })
}
