//! Folders that only their owner can open.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

const OWNER_ONLY: u32 = 0o700;

/// Creates the folder and its missing parents with mode 0700, and syncs them so that they survive a power cut.
pub fn make(folder: &Path) -> io::Result<()> {
    let absolute = std::path::absolute(folder)?;
    let missing = absolute.ancestors().take_while(|folder| !folder.is_dir()).count();
    DirBuilder::new().recursive(true).mode(OWNER_ONLY).create(&absolute)?;
    // A new folder is an entry of its parent, so that is what has to be synced.
    for above in absolute.ancestors().skip(1).take(missing) {
        File::open(above)?.sync_all()?;
    }
    Ok(())
}
