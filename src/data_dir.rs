//! The data folder: the database by default, and the API token. Its owner's alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use secrecy::SecretString;
use tracing::warn;

use crate::config::MIN_TOKEN_CHARACTERS;
use crate::private_folder;

const TOKEN_FILE: &str = "api-token";
const TOKEN_BYTES: usize = 32;
const OTHERS: u32 = 0o077;

/// Makes the folder for its owner alone, if it is not there. Everything that this process creates from now on, the
/// database's files among them, is for its owner alone too.
pub fn prepare(folder: &Path) -> anyhow::Result<()> {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(OTHERS));
    private_folder::make(folder).with_context(|| format!("cannot make the data folder {}", folder.display()))?;
    let mode = fs::metadata(folder)?.permissions().mode();
    if mode & OTHERS != 0 {
        warn!(folder = %folder.display(), "others can look into the data folder; run: chmod 700 {}", folder.display());
    }
    Ok(())
}

/// The file with the API token, where none is configured.
pub fn token_path(folder: &Path) -> PathBuf {
    folder.join(TOKEN_FILE)
}

/// The token in the folder; the first time, a random one is written there.
pub fn token(folder: &Path) -> anyhow::Result<SecretString> {
    let path = token_path(folder);
    let token = match write_new(&path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read(&path),
        written => written,
    };
    token.map(SecretString::from).with_context(|| format!("cannot use the API token in {}", path.display()))
}

fn write_new(path: &Path) -> io::Result<String> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let mut random = [0; TOKEN_BYTES];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let token = hex::encode(random);
    writeln!(file, "{token}")?;
    file.sync_all()?;
    File::open(path.parent().unwrap_or(path))?.sync_all()?;
    Ok(token)
}

fn read(path: &Path) -> io::Result<String> {
    let token = fs::read_to_string(path)?;
    let token = token.trim_end();
    if token.len() < MIN_TOKEN_CHARACTERS {
        return Err(io::Error::other("it is too short; delete it, and the next start writes another"));
    }
    Ok(token.to_owned())
}
