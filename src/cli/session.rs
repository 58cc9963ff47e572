//! `buzon session`.

use std::io::Write;

use anyhow::bail;
use clap::Subcommand;
use comfy_table::Table;
use comfy_table::presets::NOTHING;

use super::{CommonArgs, block_on, open_beside};
use domain::access::session::{BrowserSession, SessionId};
use platform::clock::{Clock, SystemClock};
use platform::terminal::{self, escaped};
use store::Store;

#[derive(Subcommand)]
pub(super) enum SessionCommand {
    /// Show the browsers that are logged in, but never what they are logged in with
    #[command(after_help = "Example:\n  buzon session list")]
    List {
        #[command(flatten)]
        settings: CommonArgs,
    },
    /// Log browsers out at once
    #[command(after_help = "Example:\n  buzon session end 3")]
    End {
        #[command(flatten)]
        settings: CommonArgs,
        /// The number that `buzon session list` shows
        #[arg(value_name = "ID", required_unless_present = "all")]
        id: Option<i64>,
        /// End all of them
        #[arg(long, conflicts_with = "id")]
        all: bool,
    },
}

/// Runs a command in short transactions, beside a running service.
pub(super) fn run(command: SessionCommand) -> anyhow::Result<()> {
    block_on(async {
        match command {
            SessionCommand::List { settings } => list(&*open_beside(&settings.start()?).await?).await,
            SessionCommand::End { settings, id, .. } => end(&*open_beside(&settings.start()?).await?, id).await,
        }
    })
}

async fn list(store: &dyn Store) -> anyhow::Result<()> {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(["id", "token", "began", "last used", "expires", "browser"]);
    let tokens = store.list_tokens().await?;
    let name = |session: &BrowserSession| match session.token {
        None => "owner".to_owned(),
        Some(id) => tokens.iter().find(|token| token.id == id).map_or_else(|| id.to_string(), |it| it.name.clone()),
    };
    for session in active(store).await? {
        table.add_row([
            session.id.to_string(),
            escaped(&name(&session)).into_owned(),
            session.created_at.to_rfc3339(),
            session.used_at.to_rfc3339(),
            session.expires_at.to_rfc3339(),
            escaped(&session.device).into_owned(),
        ]);
    }
    writeln!(terminal::stdout(), "{}", table.trim_fmt())?;
    Ok(())
}

async fn active(store: &dyn Store) -> anyhow::Result<Vec<BrowserSession>> {
    let now = SystemClock.now();
    Ok(store.list_sessions().await?.into_iter().filter(|session| session.is_active(now)).collect())
}

async fn end(store: &dyn Store, id: Option<i64>) -> anyhow::Result<()> {
    let ids = match id {
        Some(id) => vec![SessionId(id)],
        None => active(store).await?.into_iter().map(|session| session.id).collect(),
    };
    let now = SystemClock.now();
    for id in ids {
        if !store.end_session(id, now).await? {
            bail!("there is no active session {id}; buzon session list shows them");
        }
        writeln!(terminal::stdout(), "session {id} has ended")?;
    }
    Ok(())
}
