//! The rules of the source that a compiler does not know.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The table "The map" has a row for each folder, with the folders that its files may import from.
const MAP: &str = include_str!("../docs/architecture.md");

/// The crates of the workspace that have a folder in `src`.
const CRATES: [&str; 3] = ["domain", "platform", "store"];

/// Every source file by its path in `src`, with its text without tests.
fn sources() -> Vec<(PathBuf, String)> {
    let without_tests = |text: String| text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
    files("src").into_iter().map(|(path, text)| (path, without_tests(text))).collect()
}

/// Every file with Rust in it by its path in `folder`, with its text.
fn files(folder: &str) -> Vec<(PathBuf, String)> {
    fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("the folder can be read") {
            let path = entry.expect("the entry can be read").path();
            if path.is_dir() {
                collect(&path, files);
            } else if path.extension().is_some_and(|it| it == "rs") && !path.ends_with("build.rs") {
                files.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 30, "the source is here");
    let text = |path: &PathBuf| fs::read_to_string(path).expect("it is text");
    let relative = |path: &Path| path.strip_prefix(&root).expect("it is below").to_path_buf();
    files.iter().map(|path| (relative(path), text(path))).collect()
}

/// The code of a text, without its comments.
fn code(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

fn first_part(path: &Path) -> &str {
    let first = path.components().next().expect("a path has a part");
    first.as_os_str().to_str().expect("names are text").trim_end_matches(".rs")
}

/// The rows of the map: a folder, and the folders that it may import from. The rows of a database stand for its twin too.
fn map() -> BTreeMap<String, Vec<String>> {
    let quoted = |cell: &str| -> Vec<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let (_, section) = MAP.split_once("\n## The map\n").expect("the document has a map");
    let rows = section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let rows = rows.filter_map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let folder = quoted(cells.first()?).first()?.trim_start_matches("src/").trim_end_matches('/').to_owned();
        Some((folder, quoted(cells.last()?)))
    });
    let rows: BTreeMap<String, Vec<String>> = rows.collect();
    let twin = |row: &str| row.replace("store/sqlite", "store/postgres");
    let twins = rows.iter().filter(|(folder, _)| folder.starts_with("store/sqlite"));
    let twins: Vec<_> = twins.map(|(folder, imports)| (twin(folder), imports.clone())).collect();
    rows.into_iter().chain(twins).collect()
}

/// The row of the map that a path belongs to: that of the nearest folder above it.
fn row<'a>(map: &'a BTreeMap<String, Vec<String>>, path: &str) -> Option<&'a str> {
    let rows = map.keys().filter(|row| {
        let row = row.trim_end_matches(".rs");
        path.trim_end_matches(".rs").strip_prefix(row).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    rows.max_by_key(|row| row.len()).map(String::as_str)
}

/// The paths of modules that a file names, as paths in `src`.
fn imports(path: &Path, text: &str) -> Vec<String> {
    let own_crate = if CRATES.contains(&first_part(path)) { first_part(path) } else { "" };
    let file = path.with_extension("");
    let is_folder = ["mod", "lib"].iter().any(|name| file.ends_with(name));
    let module = if is_folder { file.parent().expect("it is in a folder") } else { &file };
    let code = code(text);
    let names = code.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').filter(|name| name.contains("::"));
    let found = names.filter_map(|name| {
        let mut parts = name.trim_matches(':').split("::").peekable();
        let mut base = match parts.next()? {
            "crate" => PathBuf::from(own_crate),
            "buzon" => PathBuf::new(),
            "super" => module.parent()?.to_path_buf(),
            other if CRATES.contains(&other) && other != own_crate => PathBuf::from(other),
            _ => return None,
        };
        while parts.next_if_eq(&"super").is_some() {
            base.pop();
        }
        base.extend(parts);
        Some(base.display().to_string())
    });
    found.collect()
}

#[test]
fn imports_go_only_where_the_map_says() {
    let map = map();
    for (path, text) in sources() {
        let name = path.display().to_string();
        if ["lib.rs", "main.rs"].contains(&name.as_str()) {
            continue;
        }
        let own = row(&map, &name).unwrap_or_else(|| panic!("{name} has no place in the map"));
        for root in ["crate::{", "buzon::{"] {
            assert!(!code(&text).contains(root), "{name}: name each module by itself");
        }
        for import in imports(&path, &text) {
            let Some(other) = row(&map, &import) else { continue };
            let nested = own.starts_with(other) || other.starts_with(own);
            let allowed = |row: &String| other == row || other.starts_with(&format!("{row}/"));
            assert!(nested || map[own].iter().any(allowed), "{name} imports {import}");
        }
    }
}

#[test]
fn every_folder_of_the_map_is_there() {
    for (folder, imports) in map() {
        for path in imports.iter().chain([&folder]) {
            assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(path).exists(), "{path}");
        }
    }
}

#[test]
fn a_folder_has_at_most_about_a_dozen_files() {
    /// The commands of the program, a file for each.
    const COMMANDS: &str = "cli";
    let mut files: BTreeMap<String, u32> = BTreeMap::new();
    for (path, _) in sources() {
        *files.entry(path.parent().expect("it is in a folder").display().to_string()).or_default() += 1;
    }
    for (folder, count) in files {
        assert!(count <= 14 || folder == COMMANDS, "{folder} has {count} files");
    }
}

/// A type that the API shows has the name of the domain's or the store's type that it shows.
#[test]
fn the_name_of_a_type_is_unique() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, text) in sources() {
        for line in text.lines() {
            let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
            let declared = |keyword: &str| {
                let at = words.iter().position(|word| *word == keyword)?;
                Some((at, *words.get(at + 1)?))
            };
            let item = line.starts_with("pub")
                || ["struct ", "enum ", "trait ", "type "].iter().any(|it| line.starts_with(it));
            if let Some((_, name)) = ["struct", "enum", "trait", "type"].into_iter().find_map(declared).filter(|_| item)
            {
                places.entry(name.to_owned()).or_default().push(path.display().to_string());
            }
        }
    }
    for (name, places) in places {
        let shown = places.iter().filter(|place| place.starts_with("http/")).count();
        assert!(places.len() == 1 || shown == 1 && places.len() == 2, "{name} is declared in {places:?}");
    }
}

#[test]
fn each_library_has_its_place() {
    for (library, places) in [
        ("actix_web", &["http"][..]),
        ("actix_http", &["http"]),
        ("actix_service", &["http"]),
        ("sqlx", &["store", "domain/sql.rs"]),
        ("object_store", &["blob"]),
        ("reqwest", &["media", "forward", "gateway", "simulate", "platform/outbound.rs", "doctor"]),
        (
            "tokio",
            &[
                "app.rs", "backup", "blob", "cli", "doctor", "erasure", "export", "forward", "gateway", "http",
                "ingest", "media", "platform", "simulate", "store",
            ],
        ),
        ("clap", &["cli"]),
        ("toml", &["config"]),
        ("hmac", &["domain"]),
        ("metrics", &["platform/meters"]),
        ("metrics_exporter_prometheus", &["platform/meters"]),
        ("anyhow", &["cli", "app.rs", "config/data_dir.rs", "main.rs"]),
    ] {
        for (path, text) in sources() {
            let uses = text.contains(&format!("{library}::"));
            let allowed = places.iter().any(|place| path.starts_with(place));
            assert!(!uses || allowed, "{} uses {library}", path.display());
        }
    }
}

/// The output of a command quotes what strangers sent. These two print only the program's own words.
#[test]
fn commands_print_through_the_terminal() {
    const OWN_WORDS: [&str; 2] = ["cli/completions.rs", "cli/openapi.rs"];
    for (path, text) in sources() {
        if first_part(&path) != "cli" || OWN_WORDS.map(Path::new).contains(&path.as_path()) {
            continue;
        }
        let text = text.replace("terminal::stdout()", "");
        for way in ["println!", "print!(", "stdout()", "io::stderr"] {
            assert!(!text.contains(way), "{} prints with {way}", path.display());
        }
    }
}

/// The same text on both databases would be one file in `.sqlx`.
#[test]
fn parameters_and_features_stand_where_they_belong() {
    for (path, text) in sources() {
        let name = path.display().to_string();
        let (sqlite, postgres) = (path.starts_with("store/sqlite"), path.starts_with("store/postgres"));
        assert!(!text.contains("?1") || sqlite, "{name} has a parameter of SQLite");
        assert!(!text.contains("$1") || postgres, "{name} has a parameter of PostgreSQL");
        let asks = ["store/lib.rs", "domain/sql.rs"].map(Path::new).contains(&path.as_path());
        assert!(!text.contains("cfg(feature") || asks, "{name} asks for a feature");
    }
}

/// They panic when nobody reads any more.
#[test]
fn nothing_is_printed_by_a_macro() {
    for (path, text) in sources() {
        let code = text.lines().map(str::trim_start).filter(|line| !line.starts_with("//"));
        for line in code {
            let prints = ["println!(", "print!("].iter().any(|printed| line.contains(printed));
            assert!(!prints, "{}: {line}", path.display());
        }
    }
}

#[test]
fn a_file_has_one_job_and_at_most_400_lines() {
    for (path, text) in sources() {
        assert!(text.lines().count() <= 400, "{}", path.display());
    }
}

/// A comment that opens with one of these words is a fragment of a sentence.
#[test]
fn a_comment_begins_with_a_subject_or_a_verb() {
    const FRAGMENTS: [&str; 5] = ["How ", "Of ", "What ", "Whether ", "Whose "];
    for (path, text) in sources() {
        let mut within = false;
        for line in text.lines().map(str::trim_start) {
            let comment = line.strip_prefix("//").map(|rest| rest.trim_start_matches(['/', '!']).trim_start());
            let opens = comment.filter(|_| !within);
            within = comment.is_some_and(|comment| !comment.is_empty());
            let fragment = opens.is_some_and(|opening| FRAGMENTS.iter().any(|word| opening.starts_with(word)));
            assert!(!fragment, "{}: {line}", path.display());
        }
    }
}

/// The attribute `#[test]` of `tests/limit`, for functions with and without `async`.
#[test]
fn every_test_has_a_time_limit() {
    let files = [files("src"), files("tests")].concat();
    let roots = CRATES.map(|name| format!("{name}/lib.rs"));
    for root in roots.iter().map(String::as_str).chain(["lib.rs", "main.rs"]) {
        let takes = |(path, text): &(PathBuf, String)| {
            path == Path::new(root) && text.contains("#[macro_use]\nextern crate limit;")
        };
        assert!(files.iter().any(takes), "{root} does not take its tests from the crate limit");
    }
    for (path, text) in files {
        let other = concat!("#[tokio", "::test");
        assert!(!text.contains(other), "{}: declare a test with #[test], also if it is async", path.display());
    }
}
