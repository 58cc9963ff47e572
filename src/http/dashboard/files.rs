//! The files of the page, which are part of the program.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

/// A file of the page.
pub(super) struct PageFile {
    pub(super) name: &'static str,
    pub(super) bytes: &'static [u8],
}

macro_rules! files {
    ($($name:literal),* $(,)?) => { [$(PageFile { name: $name, bytes: include_bytes!(concat!("page/", $name)) }),*] };
}

/// All files but the page itself.
pub(super) const FILES: [PageFile; 21] = files![
    "api.js",
    "app.css",
    "app.js",
    "conversation.js",
    "conversation-view.js",
    "exports.js",
    "format.js",
    "gallery.js",
    "health.js",
    "i18n.js",
    "icon.svg",
    "inbox.js",
    "live.js",
    "login.js",
    "message.js",
    "numbers.js",
    "page.webmanifest",
    "search.js",
    "texts.js",
    "ui.js",
    "vendor.js",
];

/// The scripts that the page fetches when the first view is there.
const LATER: [&str; 8] = [
    "conversation.js",
    "conversation-view.js",
    "exports.js",
    "gallery.js",
    "health.js",
    "login.js",
    "numbers.js",
    "search.js",
];

impl PageFile {
    pub(super) fn content_type(&self) -> &'static str {
        match self.name.rsplit_once('.').map(|(_, ending)| ending) {
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("svg") => "image/svg+xml",
            _ => "application/manifest+json",
        }
    }

    /// Returns true for the scripts that the first view needs, so that the browser does not fetch one after another.
    pub(super) fn is_preloaded(&self) -> bool {
        self.name.ends_with(".js") && self.name != "app.js" && !LATER.contains(&self.name)
    }
}

/// Compresses what many browsers are sent.
pub(super) fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let written = encoder.write_all(bytes);
    written.and_then(|()| encoder.finish()).expect("writing into memory does not fail")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_of_the_folder_is_served_and_all_of_them_are_small() {
        const LARGEST: usize = 70 * 1024;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/dashboard/page");
        let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let names: BTreeSet<String> = names.filter(|name| name != "index.html").collect();
        assert_eq!(names, FILES.iter().map(|file| file.name.to_owned()).collect());
        let total: usize = FILES.iter().map(|file| compressed(file.bytes).len()).sum();
        assert!(LATER.iter().all(|name| names.contains(*name)));
        assert!(total <= LARGEST, "{total} bytes");
    }
}
