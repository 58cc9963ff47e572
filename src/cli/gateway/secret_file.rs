//! The file with the secrets of one instance.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use domain::access::signature::Secret;

/// The owner can read and write. The group can read if it could before. Nobody else can.
const MODE: u32 = 0o600;
const GROUP_READS: u32 = 0o040;

/// The secrets of one instance, one in a line: first the one for the gateway, then the previous one.
pub(super) struct SecretFile {
    /// The path with links resolved, so that the file is replaced and not the link to it.
    path: PathBuf,
}

impl SecretFile {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: fs::canonicalize(path)? })
    }

    pub(super) fn secrets(&self) -> io::Result<Vec<Secret>> {
        let text = fs::read_to_string(&self.path)?;
        text.lines().map(|line| Secret::new(line.to_owned()).map_err(io::Error::other)).collect()
    }

    /// Replaces the secrets. Even after a power cut, the file has either all the old ones or all the new ones. The
    /// owner of the file does not change, so that the service can still read it.
    pub(super) fn write(&self, secrets: &[&Secret]) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(&self.path);
        let before = fs::metadata(&self.path)?;
        let mut file = NamedTempFile::new_in(folder)?;
        for secret in secrets {
            writeln!(file, "{}", secret.expose())?;
        }
        let made = file.as_file().metadata()?;
        if (made.uid(), made.gid()) != (before.uid(), before.gid()) {
            fchown(file.as_file(), Some(before.uid()), Some(before.gid()))?;
        }
        file.as_file().set_permissions(Permissions::from_mode(MODE | before.mode() & GROUP_READS))?;
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        File::open(folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secrets_are_replaced_in_one_step_and_stay_private() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("secrets"), folder.path().join("link"));
        fs::write(&path, "the old one, long enough\n").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let file = SecretFile::open(&link).unwrap();
        for (before, after) in [(0o644, 0o640), (0o600, 0o600), (0o400, 0o600)] {
            fs::set_permissions(&path, Permissions::from_mode(before)).unwrap();
            let [old, new] = ["the old one, long enough", "the new one, long enough"]
                .map(|text| Secret::new(text.to_owned()).unwrap());
            file.write(&[&new, &old]).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, after);
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "the new one, long enough\nthe old one, long enough\n");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else is left");
        assert_eq!(file.secrets().unwrap().len(), 2);
    }
}
