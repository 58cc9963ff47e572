//! Several files as one ZIP or in one folder.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use tempfile::{Builder, TempDir};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::target::{ExportOutput, NewFile, UNFINISHED, folder};
use platform::private_folder;

const OWNER_ONLY: u32 = 0o600;

/// A ZIP or a folder that gets its name when it is complete. Names are ASCII, and all dates in a ZIP are the same.
pub struct Archive(ArchiveKind);

enum ArchiveKind {
    Zip(Box<ZipWriter<NewFile>>),
    Folder { unfinished: TempDir, path: PathBuf, file: Option<BufWriter<File>> },
}

impl Archive {
    /// Begins a ZIP if the name ends so, else a folder, which must not be there.
    pub fn create(path: &Path) -> io::Result<Self> {
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("zip")) {
            return Ok(Self(ArchiveKind::Zip(Box::new(ZipWriter::new(NewFile::create(path)?)))));
        }
        if path.exists() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{} is there already", path.display())));
        }
        let unfinished = Builder::new().prefix(UNFINISHED).tempdir_in(folder(path))?;
        Ok(Self(ArchiveKind::Folder { unfinished, path: path.to_owned(), file: None }))
    }

    /// Begins the next file. `packed` says that its bytes are compressed already.
    pub fn start(&mut self, name: &str, packed: bool) -> io::Result<()> {
        match &mut self.0 {
            ArchiveKind::Zip(zip) => {
                let method = if packed { CompressionMethod::Stored } else { CompressionMethod::Deflated };
                let options = SimpleFileOptions::default()
                    .compression_method(method)
                    .last_modified_time(DateTime::default())
                    .unix_permissions(OWNER_ONLY)
                    .large_file(true);
                Ok(zip.start_file(name, options)?)
            }
            ArchiveKind::Folder { unfinished, file, .. } => {
                end(file)?;
                let path = unfinished.path().join(name);
                private_folder::make(folder(&path))?;
                let opened = OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(path)?;
                *file = Some(BufWriter::new(opened));
                Ok(())
            }
        }
    }

    /// Makes sure that everything is on disk, and gives it its name.
    pub fn finish(self) -> io::Result<()> {
        match self.0 {
            ArchiveKind::Zip(zip) => zip.finish()?.finish(),
            ArchiveKind::Folder { unfinished, path, mut file } => {
                end(&mut file)?;
                for entry in fs::read_dir(unfinished.path())? {
                    File::open(entry?.path())?.sync_all()?;
                }
                File::open(unfinished.path())?.sync_all()?;
                fs::rename(unfinished.path(), &path)?;
                // It has another name now, under which it is not to be removed.
                let _ = unfinished.keep();
                File::open(folder(&path))?.sync_all()
            }
        }
    }
}

fn end(file: &mut Option<BufWriter<File>>) -> io::Result<()> {
    let Some(file) = file.take() else { return Ok(()) };
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

impl Write for Archive {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            ArchiveKind::Zip(zip) => zip.write(bytes),
            ArchiveKind::Folder { file: Some(file), .. } => file.write(bytes),
            ArchiveKind::Folder { file: None, .. } => Err(io::Error::other("no file was begun")),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            ArchiveKind::Zip(zip) => zip.flush(),
            ArchiveKind::Folder { file, .. } => file.as_mut().map_or(Ok(()), BufWriter::flush),
        }
    }
}

/// A file in an archive ends when the next one begins.
impl ExportOutput for &mut Archive {
    fn finish(self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(path: &Path) -> Archive {
        let mut archive = Archive::create(path).unwrap();
        archive.start("a.txt", false).unwrap();
        archive.write_all(b"hola").unwrap();
        archive.start("media/b.jpg", true).unwrap();
        archive.write_all(b"\xFF\xD8").unwrap();
        archive
    }

    #[test]
    fn an_archive_has_its_name_once_it_is_complete_and_the_same_files_are_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let (zip, plain) = (folder.path().join("a.ZIP"), folder.path().join("a"));
        drop((filled(&zip), filled(&plain)));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        filled(&zip).finish().unwrap();
        filled(&plain).finish().unwrap();
        assert_eq!(fs::read(plain.join("media/b.jpg")).unwrap(), b"\xFF\xD8");
        let first = fs::read(&zip).unwrap();
        filled(&zip).finish().unwrap();
        assert_eq!(fs::read(&zip).unwrap(), first);
        assert!(Archive::create(&plain).is_err(), "a folder is not overwritten");
        let mut read = zip::ZipArchive::new(File::open(&zip).unwrap()).unwrap();
        assert_eq!(io::read_to_string(read.by_name("a.txt").unwrap()).unwrap(), "hola");
    }
}
