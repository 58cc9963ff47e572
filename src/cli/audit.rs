//! `buzon audit`.

use std::io::Write;

use clap::Args;
use comfy_table::Table;
use comfy_table::presets::NOTHING;

use super::contact::chat;
use super::{CommonArgs, block_on, open_beside};
use platform::terminal::{self, escaped};

/// The number of characters of a pseudonym that are shown, which tell it from others.
const PSEUDONYM_SHOWN: usize = 16;
/// The number of entries that are read at a time.
const READ_AT_ONCE: u32 = 500;

/// The arguments of `buzon audit`.
#[derive(Args)]
pub(super) struct AuditArgs {
    /// Only what is about this person or chat: a phone number or an id
    #[arg(long, value_name = "CONTACT|CHAT", value_parser = chat)]
    about: Option<String>,
    /// The maximum number of entries
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    limit: usize,
    #[command(flatten)]
    settings: CommonArgs,
}

/// Shows the latest entries, beside a running service.
pub(super) fn run(AuditArgs { about, limit, settings }: AuditArgs) -> anyhow::Result<()> {
    block_on(async {
        let store = open_beside(&settings.start()?).await?;
        let about = match about {
            Some(id) => Some(store.audit_pseudonym(&id).await?),
            None => None,
        };
        let mut table = Table::new();
        table.load_style(NOTHING);
        table.set_header(["when", "who", "what", "about", "detail"]);
        let (mut before, mut shown) = (None, 0);
        'all: loop {
            let entries = store.audit_entries(before, READ_AT_ONCE).await?;
            before = entries.last().map(|entry| entry.seq);
            for entry in entries {
                if shown == limit {
                    break 'all;
                }
                if about.is_some() && about != entry.subject_hmac {
                    continue;
                }
                shown += 1;
                let subject = entry.subject_hmac.unwrap_or_default().chars().take(PSEUDONYM_SHOWN).collect();
                let texts = [entry.actor, entry.action, subject, entry.detail.unwrap_or_default()];
                let texts = texts.map(|text| escaped(&text).into_owned());
                table.add_row(std::iter::once(entry.at.to_rfc3339()).chain(texts));
            }
            if before.is_none() {
                break;
            }
        }
        writeln!(terminal::stdout(), "{}", table.trim_fmt())?;
        Ok(())
    })
}
