//! Secrets that other users of this machine can see.
//!
//! A group that may read a file was chosen by somebody, as with `root:buzon 0640`; everybody else was not.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::config::data_dir;

/// The bits by which everybody reads and changes a file.
const EVERYBODY: u32 = 0o006;
/// Docker, Podman and Kubernetes put secrets here, within a container that has no other users.
const CONTAINER_SECRETS: &str = "/run/secrets";

/// A secret that others can see, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    /// The file in which it stands, if it is one.
    pub file: Option<PathBuf>,
    pub detail: String,
    pub remedy: String,
}

/// Looks at each place where these settings have a secret. A file that is not there, or cannot be looked at, exposes none.
pub fn exposures(config: &Config) -> Vec<Exposure> {
    let written = [
        config.api_token.is_none().then(|| data_dir::token_path(&config.data_dir)),
        config.ticket_key.is_none().then(|| data_dir::ticket_key_path(&config.data_dir)),
    ];
    let files = config.secret_places.files.iter().cloned().chain(written.into_iter().flatten());
    let typed = config.secret_places.command_line.then(on_the_command_line);
    typed.into_iter().chain(files.filter_map(open_to_everybody)).collect()
}

/// Every user of a machine can list the arguments of its processes.
pub fn on_the_command_line() -> Exposure {
    Exposure {
        file: None,
        detail: "the password in --database-url is in the list of processes, which every user of this machine can read"
            .to_owned(),
        remedy: "set BUZON_DATABASE_URL or database_url_file instead".to_owned(),
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
