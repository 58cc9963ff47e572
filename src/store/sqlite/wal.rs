//! Checks that a write-ahead log is complete, as far as its commits were on disk. SQLite takes a frame that it cannot
//! read for the end of the log, and drops everything after it. That is right after a power cut, but a loss after
//! damage.
//!
//! The format is described in SQLite's "WAL-mode File Format", sections 2.1 and 2.2.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// The magic number without its last bit, which gives the byte order of the checksums.
const MAGIC: u32 = 0x377f_0682;

/// Returns why the log at this path cannot be trusted; `None` if it can, or if there is no log.
pub(super) fn broken(path: &Path) -> io::Result<Option<&'static str>> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => BufReader::new(file?),
    };
    let mut header = [0; HEADER];
    let mut frame = [0; FRAME_HEADER];
    // SQLite writes frames only after the header is on disk.
    if !fill(&mut file, &mut header)? || !fill(&mut file, &mut frame)? {
        return Ok(None);
    }
    let Some(mut log) = Log::of(&header) else { return Ok(Some("the head of its write-ahead log is overwritten")) };
    let mut page = vec![0; log.page_size];
    loop {
        if !fill(&mut file, &mut page)? {
            return Ok(None);
        }
        log.take(&frame, &page);
        // The first log was on disk before the second began.
        if log.commits_in_a_row > 1 {
            return Ok(Some("its write-ahead log is overwritten in the middle"));
        }
        if !fill(&mut file, &mut frame)? {
            return Ok(None);
        }
    }
}

/// Fills the buffer; returns false if the file ends before.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}

/// A reader of a log, from its beginning.
struct Log {
    page_size: usize,
    /// The salt of every frame of this log. Frames of an earlier log have another.
    salt: [u8; 8],
    /// The running checksum up to the latest frame.
    checksum: Checksum,
    /// True after a frame that does not continue the checksum, where SQLite sees the end.
    ended: bool,
    /// The number of commits after the end, in frames that continue each other. A failed commit leaves at most one
    /// behind.
    commits_in_a_row: usize,
}

impl Log {
    fn of(header: &[u8; HEADER]) -> Option<Self> {
        let magic = word(header, 0);
        let mut checksum = Checksum { big_endian: magic & 1 == 1, sums: [0, 0] };
        checksum.add(&header[..24]);
        let page_size = word(header, 8);
        let known = magic & !1 == MAGIC && page_size.is_power_of_two() && (512..=65_536).contains(&page_size);
        let salt = header[16..24].try_into().expect("it is 8 bytes");
        let log = Self { page_size: page_size as usize, salt, checksum, ended: false, commits_in_a_row: 0 };
        (known && log.checksum.is(&header[24..])).then_some(log)
    }

    fn take(&mut self, frame: &[u8; FRAME_HEADER], page: &[u8]) {
        let ours = frame[8..16] == self.salt;
        self.checksum.add(&frame[..8]);
        self.checksum.add(page);
        let continues = ours && self.checksum.is(&frame[16..]);
        self.checksum.sums = [word(frame, 16), word(frame, 20)];
        self.ended |= !continues;
        if !continues {
            self.commits_in_a_row = 0;
        }
        let commits = word(frame, 4) > 0;
        self.commits_in_a_row += usize::from(self.ended && ours && commits);
    }
}

struct Checksum {
    big_endian: bool,
    sums: [u32; 2],
}

impl Checksum {
    fn add(&mut self, bytes: &[u8]) {
        let [mut first, mut second] = self.sums;
        for pair in bytes.chunks_exact(8) {
            let number = |at| if self.big_endian { word(pair, at) } else { word(pair, at).swap_bytes() };
            first = first.wrapping_add(number(0)).wrapping_add(second);
            second = second.wrapping_add(number(4)).wrapping_add(first);
        }
        self.sums = [first, second];
    }

    fn is(&self, stored: &[u8]) -> bool {
        self.sums == [word(stored, 0), word(stored, 4)]
    }
}

/// Reads a number of the log, which is big-endian.
fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("it is 4 bytes"))
}
