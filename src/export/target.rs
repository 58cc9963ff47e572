//! The place of an export. A file gets its name when it is complete and on disk, so that nobody takes half of one for
//! the whole.

use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use platform::terminal::{self, EscapeForm};

/// The size of the pieces in which a file is written.
const PIECE: usize = 256 * 1024;
/// The beginning of the names of unfinished files.
pub const UNFINISHED: &str = ".buzon-export-";

/// The place of an export.
#[derive(Clone, Debug)]
pub enum ExportTarget {
    /// Standard output.
    Stdout,
    File(PathBuf),
}

/// The output of an export in one format.
pub trait ExportOutput: Write {
    /// Completes the output.
    fn finish(self) -> io::Result<()>;
}

/// Standard output, which is flushed.
pub struct StandardOutput(BufWriter<Box<dyn Write>>);

impl StandardOutput {
    /// At a terminal, where a person reads the data, it is escaped.
    pub fn new(form: EscapeForm) -> Self {
        Self(BufWriter::with_capacity(PIECE, terminal::data(form)))
    }
}

impl Write for StandardOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl ExportOutput for StandardOutput {
    fn finish(mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
impl ExportOutput for &mut Vec<u8> {
    fn finish(self) -> io::Result<()> {
        Ok(())
    }
}

/// A file that has no name yet. Only its owner can read it. It is removed if it is dropped.
pub struct NewFile {
    file: BufWriter<NamedTempFile>,
    path: PathBuf,
}

impl NewFile {
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = Builder::new().prefix(UNFINISHED).tempfile_in(folder(path))?;
        Ok(Self { file: BufWriter::with_capacity(PIECE, file), path: path.to_owned() })
    }
}

impl ExportOutput for NewFile {
    /// Makes sure that the file is on disk, and gives it its name.
    fn finish(self) -> io::Result<()> {
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        File::open(folder(&self.path))?.sync_all()
    }
}

/// Returns the folder of a file.
pub fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for NewFile {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_has_its_name_once_it_is_complete_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        std::fs::write(&path, "older").unwrap();
        let mut dropped = NewFile::create(&path).unwrap();
        dropped.write_all(b"half").unwrap();
        drop(dropped);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "older");
        let mut file = NewFile::create(&path).unwrap();
        file.write_all(b"whole").unwrap();
        file.finish().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "whole");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing unfinished is left");
    }
}
