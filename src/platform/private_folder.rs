//! Folders for their owner alone.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

const OWNER_ONLY: u32 = 0o700;

/// Makes the folder and those above it, for their owner alone, where they are not there, and sees to it that a power cut
/// does not take them back.
pub fn make(folder: &Path) -> io::Result<()> {
    let absolute = std::path::absolute(folder)?;
    let missing = absolute.ancestors().take_while(|folder| !folder.is_dir()).count();
    DirBuilder::new().recursive(true).mode(OWNER_ONLY).create(&absolute)?;
    // Each folder that was made is an entry of the one above it.
    for above in absolute.ancestors().skip(1).take(missing) {
        File::open(above)?.sync_all()?;
    }
    Ok(())
}
