//! The documents for people who change buzon name files and tests that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A word that begins like this is a path.
const ROOTS: [&str; 9] =
    ["src/", "tests/", "docs/", "scripts/", "migrations/", "deploy/", "bench/", ".ci/", ".github/"];
/// A path with one of these is an example.
const PLACEHOLDERS: [&str; 4] = ["NAME", "NNN", "…", "{"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.expect("the entry can be read").path()).collect()
}

/// Each document by its path, with its text.
fn documents() -> Vec<(PathBuf, String)> {
    let mut paths: Vec<PathBuf> =
        ["CONTRIBUTING.md", "docs/architecture.md", "docs/glossary.md", "docs/reliability.md"].map(Into::into).into();
    let decisions = entries(&root().join("docs/adr")).into_iter();
    paths.extend(decisions.map(|path| path.strip_prefix(root()).expect("it is below").to_owned()));
    assert!(paths.len() > 20, "{paths:?}");
    paths.into_iter().map(|path| (path.clone(), text(&root().join(path)))).collect()
}

/// The text between backticks, outside blocks of code.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(|part| part.split('`').skip(1).step_by(2))
}

/// The files that `path` means; a star stands for any text within a name.
fn files(path: &str) -> Vec<PathBuf> {
    let matches = |name: &str, pattern: &str| match pattern.split_once('*') {
        Some((start, end)) => name.starts_with(start) && name.ends_with(end),
        None => name == pattern,
    };
    let mut found = vec![root().to_owned()];
    for pattern in path.split('/').filter(|part| !part.is_empty()) {
        let below = found.iter().flat_map(|folder| entries(folder));
        let name =
            |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).is_some_and(|it| matches(it, pattern));
        found = below.filter(name).collect();
    }
    found
}

/// The file of a module of this program, such as `store::events`.
fn module(path: &[&str]) -> Option<PathBuf> {
    let path = root().join("tests").join(path.join("/"));
    [path.with_extension("rs"), path.join("mod.rs")].into_iter().find(|path| path.exists())
}

/// The name of every function of the source and of the tests.
fn functions() -> BTreeSet<String> {
    fn collect(folder: &Path, names: &mut BTreeSet<String>) {
        for path in entries(folder) {
            if path.is_dir() {
                collect(&path, names);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = text(&path);
                let parts = text.split("fn ").skip(1);
                names.extend(parts.filter_map(|part| part.split(['(', '<']).next()).map(str::to_owned));
            }
        }
    }
    let mut names = BTreeSet::new();
    collect(&root().join("src"), &mut names);
    collect(&root().join("tests"), &mut names);
    names
}

#[test]
fn each_path_that_they_name_exists() {
    let mut count = 0;
    for (document, text) in documents() {
        let words = text.split(|c: char| c.is_whitespace() || "`(),;|\"".contains(c));
        let words = words
            .map(|word| word.split('#').next().unwrap_or_default().trim_end_matches(['.', ':']))
            .filter(|word| ROOTS.iter().any(|it| word.starts_with(it)));
        for path in words.filter(|word| !PLACEHOLDERS.iter().any(|it| word.contains(it))) {
            assert!(!files(path).is_empty(), "{}: {path}", document.display());
            count += 1;
        }
    }
    assert!(count > 200, "{count}");
}

#[test]
fn each_link_leads_to_a_file() {
    for (document, text) in documents() {
        let folder = root().join(&document).parent().expect("it is in a folder").to_owned();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        for link in links.filter(|link| !link.is_empty() && !link.contains("://")) {
            assert!(folder.join(link).exists(), "{}: {link}", document.display());
        }
    }
}

/// A name behind a path and a colon stands in that file: `src/http/peer.rs`: `is_local`.
#[test]
fn each_name_behind_a_path_stands_in_that_file() {
    let mut count = 0;
    for (document, document_text) in documents() {
        let parts: Vec<&str> = document_text.split('`').collect();
        let mut path = None;
        // Each text between backticks comes with the text behind it.
        for (word, behind) in parts.iter().skip(1).step_by(2).zip(parts.iter().skip(2).step_by(2)) {
            if ROOTS.iter().any(|it| word.starts_with(it)) {
                path = (*behind == ": ").then_some(*word);
            } else if let Some(named) = path {
                for file in files(named) {
                    assert!(text(&file).contains(word), "{}: {word} in {named}", document.display());
                    count += 1;
                }
                path = (*behind == ", ").then_some(named);
            }
        }
    }
    assert!(count > 30, "{count}");
}

#[test]
fn each_test_that_they_name_exists() {
    let functions = functions();
    let mut count = 0;
    for (document, text) in documents() {
        for word in quoted(&text).flat_map(str::split_whitespace) {
            let parts: Vec<&str> = word.split("::").collect();
            // Settings of a database have long names too.
            let is_sentence = word.matches('_').count() > 4;
            if parts.len() > 1 && module(&parts[..1]).is_some() {
                let (name, above) = parts.split_last().expect("there are two");
                let test = module(above).is_some_and(|file| self::text(&file).contains(&format!("fn {name}")));
                assert!(name.is_empty() || module(&parts).is_some() || test, "{}: {word}", document.display());
                count += 1;
            } else if is_sentence && parts.len() == 1 {
                assert!(functions.contains(word), "{}: {word}", document.display());
                count += 1;
            }
        }
    }
    assert!(count > 60, "{count}");
}
