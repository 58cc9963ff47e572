//! The rules of the source that a compiler does not know.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules in the order in which imports may go: a file imports from its own module and from those to the right.
const ORDER: [&[&str]; 10] = [
    &["main", "cli"],
    &["telemetry", "app", "doctor"],
    &["exposure"],
    &["http", "data_dir"],
    &["config", "ingest", "media", "gateway", "backup", "simulate"],
    &["store", "blob"],
    &["supervisor"],
    &["clock", "disk", "meters", "outage", "outbound", "private_folder", "terminal", "threads", "tls"],
    &["domain"],
    &["broken"],
];

/// Every source file with its text, its tests left out.
fn sources() -> Vec<(PathBuf, String)> {
    fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("the folder can be read") {
            let path = entry.expect("the entry can be read").path();
            if path.is_dir() { collect(&path, files) } else { files.push(path) }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 30, "the source is here");
    let text = |path: &PathBuf| fs::read_to_string(path).expect("it is text");
    let without_tests = |text: String| text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
    let relative = |path: &Path| path.strip_prefix(&root).expect("it is below").to_path_buf();
    files.iter().map(|path| (relative(path), without_tests(text(path)))).collect()
}

fn module(path: &Path) -> &str {
    let first = path.components().next().expect("a path has a part");
    first.as_os_str().to_str().expect("names are text").trim_end_matches(".rs")
}

fn rank(module: &str) -> Option<usize> {
    ORDER.iter().position(|modules| modules.contains(&module))
}

#[test]
fn imports_go_one_way() {
    for (path, text) in sources() {
        let own = module(&path);
        if own == "lib" {
            continue;
        }
        let own_rank = rank(own).unwrap_or_else(|| panic!("{own} has no place in the order"));
        assert!(!text.contains("crate::{"), "{}: name each module by itself", path.display());
        for import in text.split("crate::").skip(1) {
            let name: String = import.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let Some(other) = rank(&name) else { continue };
            let sideways = name != own && other == own_rank;
            assert!(other >= own_rank && !sideways, "{} imports crate::{name}", path.display());
        }
    }
}

#[test]
fn each_library_has_its_place() {
    for (library, places) in [
        ("actix_web", &["http"][..]),
        ("actix_http", &["http"]),
        ("actix_service", &["http"]),
        ("sqlx", &["store"]),
        ("object_store", &["blob"]),
        ("reqwest", &["media", "gateway", "simulate", "outbound", "doctor"]),
        (
            "tokio",
            &[
                "http",
                "app",
                "cli",
                "ingest",
                "media",
                "gateway",
                "backup",
                "simulate",
                "store",
                "blob",
                "outage",
                "threads",
                "doctor",
                "supervisor",
            ],
        ),
        ("clap", &["cli"]),
        ("toml", &["config"]),
        ("hmac", &["domain"]),
        ("metrics", &["meters"]),
        ("metrics_exporter_prometheus", &["meters"]),
        ("anyhow", &["cli", "app", "data_dir", "main"]),
    ] {
        for (path, text) in sources() {
            let uses = text.contains(&format!("{library}::"));
            assert!(!uses || places.contains(&module(&path)), "{} uses {library}", path.display());
        }
    }
}

/// The output of a command quotes what strangers sent. These two print only the program's own words.
#[test]
fn commands_print_through_the_terminal() {
    const OWN_WORDS: [&str; 2] = ["cli/completions.rs", "cli/openapi.rs"];
    for (path, text) in sources() {
        if module(&path) != "cli" || OWN_WORDS.map(Path::new).contains(&path.as_path()) {
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
        let asks = ["store/mod.rs", "broken.rs"].map(Path::new).contains(&path.as_path());
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
