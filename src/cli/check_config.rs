//! `buzon check-config`.

use std::io::Write;

use super::CommonArgs;
use buzon::config::{Config, SettingsFile};
use platform::terminal::{self, escaped};

/// Prints every setting and where it comes from, after the same checks as at a start.
pub(super) fn run(settings: CommonArgs) -> anyhow::Result<()> {
    let sources = settings.sources()?;
    let config = Config::new(&sources)?;
    let mut out = terminal::stdout();
    let lines = sources.report();
    let key_width = lines.iter().map(|line| line.key.len()).max().unwrap_or_default();
    let value_width = lines.iter().map(|line| line.value.chars().count()).max().unwrap_or_default();
    for line in lines {
        let (value, place) = (escaped(&line.value), escaped(&line.place));
        writeln!(out, "{:key_width$}  {value:value_width$}  {place}", line.key)?;
    }
    writeln!(out, "\n{}", origin(sources.file()))?;
    writeln!(out, "The URL to register at the gateway: {}", config.webhook_url(None))?;
    Ok(())
}

/// Says which file was read.
fn origin(file: &SettingsFile) -> String {
    let path = file.path.display();
    match file.is_there {
        true => format!("The file that was read: {path}"),
        false => format!("No file was read: there is no {path}. Run it where buzon.toml is, or give --config"),
    }
}
