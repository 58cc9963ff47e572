use std::fmt;
use std::io::Write;
use std::sync::Arc;

use anyhow::bail;
use clap::{ArgGroup, Args, Subcommand};

use super::CommonArgs;
use crate::blob::Blobs;
use crate::config::Config;
use crate::config::data_dir;
use crate::media::sweeper::{Swept, sweep};
use crate::telemetry;
use domain::access::scope::Scope;
use domain::instance::InstanceId;
use domain::media::{MediaJobCount, MediaState};
use domain::page::{Paging, SortOrder};
use platform::clock::{Clock, SystemClock};
use platform::terminal;
use platform::terminal::escaped;
use store;
use store::{JobFilter, JobReport, MediaFilter, OpenMode, Options, Pending, Store};

#[derive(Subcommand)]
pub(super) enum MediaCommand {
    /// Show how many files are in each state, and the latest of them
    #[command(after_help = "Example:\n  buzon media list --state expired --limit 10")]
    List {
        #[command(flatten)]
        settings: CommonArgs,
        #[command(flatten)]
        which: Which,
        /// How many to show
        #[arg(long, value_name = "NUMBER", default_value_t = 50)]
        limit: u32,
    },
    /// Fetch files again that are not stored: all of them, or those of a state, an instance or a message
    #[command(after_help = "Example:\n  buzon media retry --state expired")]
    #[command(group(ArgGroup::new("meant").required(true).multiple(true).args(["all", "state", "instance", "message"])))]
    Retry {
        #[command(flatten)]
        settings: CommonArgs,
        #[command(flatten)]
        which: Which,
        /// All that are not stored
        #[arg(long, conflicts_with_all = ["state", "instance", "message"])]
        all: bool,
    },
    /// Remove what no message needs now, instead of waiting for the running service to do it
    #[command(after_help = "Example:\n  buzon media sweep")]
    Sweep {
        #[command(flatten)]
        settings: CommonArgs,
    },
}

/// Which files are meant; without any, all.
#[derive(Args)]
pub(super) struct Which {
    /// pending, stored, expired, refused, too_large or failed
    #[arg(long, value_name = "STATE", value_parser = state)]
    state: Option<MediaState>,
    /// Of this instance
    #[arg(long, value_name = "ID")]
    instance: Option<String>,
    /// Of this message
    #[arg(long, value_name = "ID")]
    message: Option<String>,
}

fn state(text: &str) -> Result<MediaState, String> {
    let known = || MediaState::ALL.map(MediaState::as_str).join(", ");
    MediaState::parse(text).ok_or_else(|| format!("it is one of {}", known()))
}

impl Which {
    fn filter(self) -> JobFilter {
        JobFilter { state: self.state, instance_id: self.instance, message_id: self.message }
    }
}

/// Works beside a running service, in short transactions.
pub(super) fn run(command: MediaCommand) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match command {
            MediaCommand::List { settings, which, limit } => {
                list(&*open(&settings.config()?).await?, &which.filter(), limit).await
            }
            MediaCommand::Retry { settings, which, .. } => {
                retry(&*open(&settings.config()?).await?, &which.filter()).await
            }
            MediaCommand::Sweep { settings } => sweep_now(&settings.config()?).await,
        }
    })
}

async fn open(config: &Config) -> anyhow::Result<Arc<dyn Store>> {
    telemetry::init(&config.log);
    let options = Options {
        database: config.database.clone(),
        pending: Pending::Refuse,
        access: OpenMode::Beside,
        allow_managed_pg: config.allow_managed_pg,
    };
    Ok(store::open(&options).await?)
}

async fn list(store: &dyn Store, filter: &JobFilter, limit: u32) -> anyhow::Result<()> {
    let counts = store.count_media().await?;
    let paging = Paging { order: SortOrder::NewestFirst, limit, cursor: None, since: None, until: None };
    let jobs = store.list_media(&Scope::All, &listed(filter), &paging).await?.rows;
    let mut out = terminal::stdout();
    for MediaJobCount { state, count, .. } in &counts {
        writeln!(out, "{state:10} {count:>10}")?;
    }
    if counts.is_empty() {
        writeln!(out, "no message came with a file")?;
    }
    for job in &jobs {
        writeln!(out, "\n{}", Described(job))?;
    }
    Ok(())
}

fn listed(filter: &JobFilter) -> MediaFilter {
    MediaFilter {
        state: filter.state,
        instance_id: filter.instance_id.as_deref().map(InstanceId::from_store),
        message_id: filter.message_id.clone(),
        ..MediaFilter::default()
    }
}

async fn retry(store: &dyn Store, filter: &JobFilter) -> anyhow::Result<()> {
    let count = store.retry_media(filter, SystemClock.now()).await?;
    writeln!(terminal::stdout(), "files to be fetched again, by the service if it runs: {count}")?;
    Ok(())
}

async fn sweep_now(config: &Config) -> anyhow::Result<()> {
    let store = open(config).await?;
    data_dir::prepare(&config.data_dir)?;
    let blobs = Blobs::open(&config.media.location, &config.media.s3)?;
    let Swept { unfinished, orphans, foreign } = sweep(&*store, &blobs, &SystemClock).await?;
    let mut out = terminal::stdout();
    writeln!(out, "removed: temporary files {unfinished}, stored files without a message {orphans}")?;
    if foreign {
        bail!("{} is marked as another database's; nothing that is stored there was touched", config.media.location);
    }
    Ok(())
}

/// A job in two lines.
struct Described<'j>(&'j JobReport);

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let JobReport { state, attempts, .. } = self.0;
        // Text that somebody sent is escaped, so that it stays on its line.
        let (instance_id, message_id) = (escaped(&self.0.instance_id), escaped(&self.0.message_id));
        writeln!(f, "{state:10} {} instance {instance_id} message {message_id}", self.0.occurred_at.to_rfc3339())?;
        match &self.0.file {
            Some(file) => {
                let (name, kind) = (escaped(file.file_name.as_deref().unwrap_or("-")), escaped(&file.content_type));
                write!(f, "           {} bytes, {kind}, {name}, {}", file.size, file.object_key)
            }
            None => {
                let reason = escaped(self.0.reason.as_deref().unwrap_or("not tried yet"));
                let plural = if *attempts == 1 { "" } else { "s" };
                write!(f, "           {attempts} attempt{plural}: {reason}")?;
                match state {
                    MediaState::Pending => write!(f, "; next {}", self.0.next_attempt_at.to_rfc3339()),
                    _ => Ok(()),
                }
            }
        }
    }
}
