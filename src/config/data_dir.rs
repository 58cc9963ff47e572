//! The data folder, which only its owner can open. It holds the API token, the key of tickets, and by default the
//! database.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use secrecy::SecretString;
use tempfile::NamedTempFile;
use tracing::warn;

use super::MIN_TOKEN_CHARACTERS;
use platform::private_folder;
use platform::random;

const TOKEN_FILE: &str = "api-token";
const TICKET_KEY_FILE: &str = "ticket-key";
const SECRET_BYTES: usize = 32;
const OTHERS: u32 = 0o077;

/// Creates the folder with mode 0700 if it does not exist. Everything that this process creates after this call,
/// including the files of the database, is accessible only to its owner.
pub fn prepare(folder: &Path) -> anyhow::Result<()> {
    make_private();
    private_folder::make(folder).with_context(|| format!("cannot make the data folder {}", folder.display()))?;
    let mode = fs::metadata(folder)?.permissions().mode();
    if mode & OTHERS != 0 {
        warn!(folder = %folder.display(), "others can look into the data folder; run: chmod 700 {}", folder.display());
    }
    Ok(())
}

/// Sets the umask, so that what this process creates after this call is accessible only to its owner.
pub fn make_private() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(OTHERS));
}

/// Returns the file with the API token, which is used if none is configured.
pub fn token_path(folder: &Path) -> PathBuf {
    folder.join(TOKEN_FILE)
}

/// Returns the file with the key of tickets, which is used if none is configured.
pub fn ticket_key_path(folder: &Path) -> PathBuf {
    folder.join(TICKET_KEY_FILE)
}

/// Returns the token in the folder. If there is none, a random one is written there.
pub fn token(folder: &Path) -> anyhow::Result<SecretString> {
    secret(&token_path(folder), "the API token")
}

/// Returns the key of tickets in the folder. If there is none, a random one is written there.
pub fn ticket_key(folder: &Path) -> anyhow::Result<SecretString> {
    secret(&ticket_key_path(folder), "the key of tickets")
}

fn secret(path: &Path, what: &str) -> anyhow::Result<SecretString> {
    let secret = match write_new(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read(path),
        written => written,
    };
    secret.map(SecretString::from).with_context(|| format!("cannot use {what} in {}", path.display()))
}

/// Returns the token in the folder, if there is one.
pub fn written_token(folder: &Path) -> io::Result<Option<SecretString>> {
    match read(&token_path(folder)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        token => token.map(|token| Some(token.into())),
    }
}

/// Writes a random secret. The file gets its name when it is complete, so that neither another process nor the next
/// start reads half a secret.
fn write_new(path: &Path) -> io::Result<String> {
    let folder = path.parent().unwrap_or(path);
    let mut file = NamedTempFile::new_in(folder)?;
    let secret = hex::encode(random::bytes::<SECRET_BYTES>()?);
    writeln!(file, "{secret}")?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path)?;
    File::open(folder)?.sync_all()?;
    Ok(secret)
}

fn read(path: &Path) -> io::Result<String> {
    let secret = fs::read_to_string(path)?;
    let secret = secret.trim_end();
    if secret.len() < MIN_TOKEN_CHARACTERS {
        return Err(io::Error::other("it is too short; delete it, and the next start writes another"));
    }
    Ok(secret.to_owned())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn processes_that_start_together_have_one_token() {
        for _ in 0..20 {
            let folder = tempfile::tempdir().unwrap();
            let tokens: Vec<String> = std::thread::scope(|scope| {
                let starts: Vec<_> = (0..8).map(|_| scope.spawn(|| token(folder.path()).unwrap())).collect();
                starts.into_iter().map(|start| start.join().unwrap().expose_secret().to_owned()).collect()
            });
            assert!(tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing half is left");
        }
    }
}
