//! The lock on a file beside the database, so that one server uses a database at a time.
//!
//! The lock is never on the database itself: to open and close it in this process drops the locks that SQLite holds on
//! it.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::OpenError;

/// The lock, which is held until dropped. The system releases it when the process ends, however that happens.
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    pub(super) fn take(database: &Path) -> Result<Self, OpenError> {
        let unusable = |error| unusable(database, &error);
        let path = beside(database, ".lock").map_err(unusable)?;
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {
                note_holder(&mut file).map_err(unusable)?;
                Ok(Self { _file: file })
            }
            Err(TryLockError::WouldBlock) => {
                Err(OpenError::Locked { path: database.display().to_string(), holder: holder(&mut file) })
            }
            Err(TryLockError::Error(error)) => Err(unusable(error)),
        }
    }
}

/// Returns the file with this ending beside the database's file. Symbolic links are followed.
///
/// # Errors
/// An error is also returned if the database has a second name, because the lock and SQLite's log are beside one name,
/// and a process that uses the other name sees neither.
pub(super) fn beside(database: &Path, ending: &str) -> io::Result<PathBuf> {
    let real = match database.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if database.is_symlink() {
                return Err(io::Error::new(io::ErrorKind::NotFound, "it is a link that leads nowhere"));
            }
            let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let name = database.file_name().ok_or(error)?;
            folder.canonicalize()?.join(name)
        }
        real => real?,
    };
    if real.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    match real.metadata() {
        Ok(file) if file.nlink() > 1 => {
            let problem = format!(
                "it has {} names (hard links), and its lock and its log stand beside one of them alone; remove the others",
                file.nlink()
            );
            return Err(io::Error::other(problem));
        }
        _ => {}
    }
    let mut path = OsString::from(real);
    path.push(ending);
    Ok(path.into())
}

/// Returns the error of a file that the system does not let us use.
pub(super) fn unusable(path: &Path, error: &io::Error) -> OpenError {
    OpenError::File { path: path.display().to_string(), reason: error.to_string() }
}

/// Writes the holder of the lock to the file, for the message of a second server.
fn note_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    match file.read_to_string(&mut text) {
        Ok(_) if !text.trim().is_empty() => format!(" (process {})", text.trim()),
        _ => String::new(),
    }
}
