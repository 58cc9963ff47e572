//! The type of a document by the names in its zip, whatever their order and wherever in the file they are: programs begin
//! with other entries, and put pictures before the text.
//!
//! Only the directory at the end of the file is read, up to a limit, and nothing is decompressed. Crates for zips read
//! the whole directory into memory, and strangers choose how long it is.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// The fixed parts of the records (APPNOTE.TXT, 4.3.7, 4.3.12 and 4.3.16).
const LOCAL_HEADER: usize = 30;
const ENTRY: usize = 46;
const END: usize = 22;
const ENTRY_SIGNATURE: &[u8] = b"PK\x01\x02";
const END_SIGNATURE: &[u8] = b"PK\x05\x06";
/// The longest comment, which stands behind the record at the end.
const LONGEST_COMMENT: usize = 0xFFFF;
/// The bytes of the directory that are read, which are thousands of names.
const LONGEST_DIRECTORY: usize = 1024 * 1024;
/// The longest content of the entry that names the type of an OpenDocument file.
const LONGEST_TYPE: usize = 128;

/// The part that every document of Office Open XML has, and the folders that say what it is.
const CONTENT_TYPES: &str = "[content_types].xml";
const OFFICE_FOLDERS: [(&str, &str); 3] = [
    ("word/", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("xl/", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("ppt/", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
];
/// The types that stand in the entry `mimetype`.
const STATED_TYPES: [&str; 5] = [
    "application/vnd.oasis.opendocument.text",
    "application/vnd.oasis.opendocument.spreadsheet",
    "application/vnd.oasis.opendocument.presentation",
    "application/vnd.oasis.opendocument.graphics",
    "application/epub+zip",
];

/// Returns the type of the document that a zip of `size` bytes is, if it is one.
pub(super) fn document_type(file: &File, size: u64) -> Option<&'static str> {
    let directory = Directory::read(file, size)?;
    let mut has_content_types = false;
    let mut in_folder = None;
    for entry in directory.entries() {
        // Names are compared as Windows does, and some programs write backslashes.
        let name = String::from_utf8_lossy(entry.name).to_ascii_lowercase().replace('\\', "/");
        if name == "mimetype" {
            let stated = directory.content(file, &entry)?;
            return STATED_TYPES.into_iter().find(|known| known.as_bytes() == stated.trim_ascii());
        }
        has_content_types |= name == CONTENT_TYPES;
        let folder = OFFICE_FOLDERS.iter().find(|(folder, _)| name.starts_with(folder));
        in_folder = in_folder.or(folder.map(|(_, kind)| *kind));
    }
    in_folder.filter(|_| has_content_types)
}

/// The directory of a zip, or its beginning.
struct Directory {
    bytes: Vec<u8>,
    /// The number of bytes before the zip, which offsets in it do not count.
    before: u64,
}

/// An entry of the directory.
struct Entry<'d> {
    name: &'d [u8],
    /// True if the content stands in the file as it is.
    is_plain: bool,
    size: usize,
    offset: u64,
}

impl Directory {
    fn read(file: &File, size: u64) -> Option<Self> {
        let tail = bytes_at(file, size.saturating_sub((END + LONGEST_COMMENT) as u64), size)?;
        let end = tail.windows(END_SIGNATURE.len()).rposition(|window| window == END_SIGNATURE)?;
        let record = tail.get(end..end + END)?;
        let (length, offset) = (u64::from(long(record, 12)?), u64::from(long(record, 16)?));
        let ends_at = size - (tail.len() - end) as u64;
        let begins_at = ends_at.checked_sub(length)?;
        let bytes = bytes_at(file, begins_at, ends_at.min(begins_at + LONGEST_DIRECTORY as u64))?;
        Some(Self { bytes, before: begins_at.checked_sub(offset)? })
    }

    fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let head = rest.get(..ENTRY).filter(|head| head.starts_with(ENTRY_SIGNATURE))?;
            let [name, extra, comment] = [short(head, 28)?, short(head, 30)?, short(head, 32)?].map(usize::from);
            let entry = Entry {
                name: rest.get(ENTRY..ENTRY + name)?,
                is_plain: short(head, 10)? == 0,
                size: long(head, 24)? as usize,
                offset: long(head, 42)?.into(),
            };
            rest = rest.get(ENTRY + name + extra + comment..)?;
            Some(entry)
        })
    }

    /// Returns the content of a small entry that is not compressed.
    fn content(&self, file: &File, entry: &Entry<'_>) -> Option<Vec<u8>> {
        let fits = entry.is_plain && entry.size <= LONGEST_TYPE;
        let at = self.before.checked_add(entry.offset).filter(|_| fits)?;
        let head = bytes_at(file, at, at + LOCAL_HEADER as u64)?;
        let skipped = LOCAL_HEADER as u64 + u64::from(short(&head, 26)?) + u64::from(short(&head, 28)?);
        bytes_at(file, at + skipped, at + skipped + entry.size as u64)
    }
}

fn bytes_at(file: &File, from: u64, to: u64) -> Option<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(to.checked_sub(from)?).ok()?];
    file.read_exact_at(&mut bytes, from).ok()?;
    Some(bytes)
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
