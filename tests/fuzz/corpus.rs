//! The seeds. `corpus/TARGET/` has one in each file, or in each line of `corpus/TARGET/lines`.

use std::path::Path;

use crate::support::events::{GUIDE, GUIDE_CURL};
use crate::support::hostile::hostile;

fn path(target: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target)
}

pub fn lines(target: &str) -> Vec<Vec<u8>> {
    let text = std::fs::read(path(target).join("lines")).expect("the corpus exists");
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec);
    lines.collect()
}

/// Returns the samples of the guide, bodies that have broken other parsers, and those that were added to them.
pub fn bodies() -> Vec<Vec<u8>> {
    let guide = GUIDE.iter().map(|(_, body)| *body).chain(GUIDE_CURL).map(<[u8]>::to_vec);
    let hostile = hostile().into_iter().map(|(body, _)| body);
    let files = std::fs::read_dir(path("decoder")).expect("the corpus exists");
    let mut files: Vec<_> = files.map(|entry| entry.expect("the file can be read").path()).collect();
    files.sort();
    let ours = files.iter().map(|path| std::fs::read(path).expect("the file can be read"));
    guide.chain(hostile).chain(ours).collect()
}
