//! Man pages and completions.

use std::path::Path;

use tokio::process::Command;

use crate::support::program::process::run;

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("it is text")
}

/// Returns the names of the subcommands of these, as the help lists them.
async fn commands(of: &[&str]) -> Vec<String> {
    let help = text(&run(Path::new("/"), &[of, &["--help"]].concat(), &[]).await.stdout);
    let Some((_, commands)) = help.split_once("\nCommands:\n") else { return vec![] };
    let (commands, _) = commands.split_once("\n\n").expect("options follow");
    let names = commands.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
async fn bash_completes_the_commands_and_their_options() {
    let output = run(Path::new("/"), &["completions", "bash"], &[]).await;
    // It is longer than an argument can be.
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    let script = folder.path().join("completions");
    std::fs::write(&script, &output.stdout).expect("it can be written");
    for (line, wanted) in [("buzon ser", "serve"), ("buzon serve --no", "--no-migrate"), ("buzon token cre", "create")]
    {
        let words: Vec<&str> = line.split(' ').collect();
        let last = words.len() - 1;
        let ask = format!(
            "source {}\nCOMP_WORDS=({line}); COMP_CWORD={last}; _buzon buzon {} {}; echo \"${{COMPREPLY[@]}}\"",
            script.display(),
            words[last],
            words[last - 1]
        );
        // The script is longer than an argument may be.
        let file = tempfile::NamedTempFile::new().expect("there is a temporary folder");
        std::fs::write(&file, ask).expect("there is room");
        let answer = Command::new("bash").arg("--norc").arg(file.path()).output().await.expect("bash is there");
        assert_eq!(text(&answer.stdout).trim(), wanted, "{answer:?}");
    }
}

#[test]
async fn zsh_and_fish_are_told_of_every_command() {
    let names = commands(&[]).await;
    assert!(names.len() > 10, "{names:?}");
    for (shell, begin) in [("zsh", "#compdef buzon"), ("fish", "")] {
        let output = run(Path::new("/"), &["completions", shell], &[]).await;
        let script = text(&output.stdout);
        assert!(script.starts_with(begin), "{shell}");
        for name in &names {
            assert!(script.contains(name.as_str()), "{shell}: {name}");
        }
    }
    let output = run(Path::new("/"), &["completions", "tcsh"], &[]).await;
    assert_eq!(output.status.code(), Some(2));
}

#[test]
async fn every_command_has_its_man_page() {
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    let output = run(folder.path(), &["man", "."], &[]).await;
    assert!(output.status.success(), "{output:?}");
    let page = |name: &str| {
        let page = std::fs::read_to_string(folder.path().join(format!("{name}.1")));
        page.unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    assert!(page("buzon").contains("safe on disk before it is answered"));
    for name in commands(&[]).await {
        assert!(page(&format!("buzon-{name}")).contains(".SH SYNOPSIS"), "{name}");
        for below in commands(&[&name]).await {
            page(&format!("buzon-{name}-{below}"));
        }
    }
    let nowhere = run(folder.path(), &["man", "nowhere"], &[]).await;
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(text(&nowhere.stderr).contains("into nowhere"), "{nowhere:?}");
}
