//! The files of the page, which are part of the program.

/// A file of the page.
pub(super) struct PageFile {
    pub(super) name: &'static str,
    pub(super) bytes: &'static [u8],
}

macro_rules! files {
    ($($name:literal),* $(,)?) => { [$(PageFile { name: $name, bytes: include_bytes!(concat!("page/", $name)) }),*] };
}

/// All files but the page itself.
pub(super) const FILES: [PageFile; 23] = files![
    "api.js",
    "app.css",
    "app.js",
    "conversation.js",
    "conversation-view.js",
    "en.js",
    "es.js",
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
    "pt.js",
    "search.js",
    "ui.js",
    "vendor.js",
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

    /// Returns true for the scripts that the first one imports, so that the browser does not fetch one after another.
    pub(super) fn is_preloaded(&self) -> bool {
        self.name.ends_with(".js") && self.name != "app.js"
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::Write;
    use std::path::Path;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    #[test]
    fn every_file_of_the_folder_is_served_and_all_of_them_are_small() {
        const LARGEST: usize = 70 * 1024;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/dashboard/page");
        let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let names: BTreeSet<String> = names.filter(|name| name != "index.html").collect();
        assert_eq!(names, FILES.iter().map(|file| file.name.to_owned()).collect());
        let compressed = |file: &PageFile| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(file.bytes).unwrap();
            encoder.finish().unwrap().len()
        };
        let total: usize = FILES.iter().map(compressed).sum();
        assert!(total <= LARGEST, "{total} bytes");
    }
}
