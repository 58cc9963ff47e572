//! `buzon media`.

use std::fmt;
use std::io::Write;

use anyhow::bail;
use clap::{ArgGroup, Args, Subcommand};

use super::{CommonArgs, block_on, open_beside};
use buzon::blob::Blobs;
use buzon::config::{Config, data_dir};
use buzon::media::sweeper::{Swept, sweep};
use domain::access::scope::Scope;
use domain::instance::InstanceId;
use domain::media::{MediaJobCount, MediaState};
use domain::page::{Paging, SortOrder};
use platform::clock::{Clock, SystemClock};
use platform::terminal::{self, escaped};
use store::{JobFilter, JobReport, MediaFilter, Store};

#[derive(Subcommand)]
pub(super) enum MediaCommand {
    /// Show how many files are in each state, and the latest of them
    #[command(after_help = "Example:\n  buzon media list --state expired --limit 10")]
    List {
        #[command(flatten)]
        settings: CommonArgs,
        #[command(flatten)]
        files: FileFilter,
        /// The maximum number of files to show
        #[arg(long, value_name = "NUMBER", default_value_t = 50)]
        limit: u32,
    },
    /// Fetch files again that are not stored, or with --stored anew: all, or those of an instance or of a message
    #[command(after_help = "Example:\n  buzon media retry --state expired")]
    #[command(group(ArgGroup::new("meant").required(true).multiple(true).args(["all", "state", "instance", "message"])))]
    Retry {
        #[command(flatten)]
        settings: CommonArgs,
        #[command(flatten)]
        files: FileFilter,
        /// All files that are not stored, or with --stored all that are
        #[arg(long, conflicts_with_all = ["state", "instance", "message"])]
        all: bool,
        /// Fetch files anew that are stored; each is kept until another one is stored in its place
        #[arg(long, conflicts_with = "state")]
        stored: bool,
    },
    /// Remove files that no message needs now, instead of waiting for the running service to do it
    #[command(after_help = "Example:\n  buzon media sweep")]
    Sweep {
        #[command(flatten)]
        settings: CommonArgs,
    },
}

/// A choice of files. Without any of these, all files are meant.
#[derive(Args)]
pub(super) struct FileFilter {
    /// Only files in this state: pending, stored, expired, refused, too_large or failed
    #[arg(long, value_name = "STATE", value_parser = state)]
    state: Option<MediaState>,
    /// Only files of this instance
    #[arg(long, value_name = "ID")]
    instance: Option<String>,
    /// Only files of this message
    #[arg(long, value_name = "ID")]
    message: Option<String>,
}

fn state(text: &str) -> Result<MediaState, String> {
    let known = || MediaState::ALL.map(MediaState::as_str).join(", ");
    MediaState::parse(text).ok_or_else(|| format!("it is one of {}", known()))
}

/// Runs a command in short transactions, beside a running service.
pub(super) fn run(command: MediaCommand) -> anyhow::Result<()> {
    block_on(async {
        match command {
            MediaCommand::List { settings, files, limit } => {
                list(&*open_beside(&settings.start()?).await?, files, limit).await
            }
            MediaCommand::Retry { settings, files, stored, .. } => {
                retry(&*open_beside(&settings.start()?).await?, files, stored).await
            }
            MediaCommand::Sweep { settings } => sweep_now(&settings.start()?).await,
        }
    })
}

async fn list(store: &dyn Store, files: FileFilter, limit: u32) -> anyhow::Result<()> {
    let filter = MediaFilter {
        state: files.state,
        instance_id: files.instance.as_deref().map(InstanceId::from_store),
        message_id: files.message,
        ..MediaFilter::default()
    };
    let counts = store.count_media().await?;
    let paging = Paging { order: SortOrder::NewestFirst, limit, cursor: None, since: None, until: None };
    let jobs = store.list_media(&Scope::All, &filter, &paging).await?.rows;
    let mut out = terminal::stdout();
    for MediaJobCount { state, count, .. } in &counts {
        writeln!(out, "{state:10} {count:>10}")?;
    }
    if counts.is_empty() {
        writeln!(out, "no message came with a file")?;
    }
    for job in &jobs {
        writeln!(out, "\n{}", JobLines(job))?;
    }
    Ok(())
}

async fn retry(store: &dyn Store, files: FileFilter, stored: bool) -> anyhow::Result<()> {
    let filter = JobFilter { stored, state: files.state, instance_id: files.instance, message_id: files.message };
    let count = store.retry_media(&filter, SystemClock.now()).await?;
    writeln!(terminal::stdout(), "files to be fetched again, by the service if it runs: {count}")?;
    Ok(())
}

async fn sweep_now(config: &Config) -> anyhow::Result<()> {
    let store = open_beside(config).await?;
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

/// The two lines that describe a job.
struct JobLines<'j>(&'j JobReport);

impl fmt::Display for JobLines<'_> {
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
