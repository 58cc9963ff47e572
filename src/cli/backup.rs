//! `buzon backup` and `buzon restore`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, Subcommand};
use indicatif::{HumanBytes, ProgressBar};

use super::erase::eraser;
use super::{CommonArgs, WrongUse, block_on, open_beside, progress_bar};
use buzon::backup::{
    self, BackupOrder, BackupPlace, BackupState, BackupStep, CreatedBackup, FileStore, FlawedFile, FoundBackup,
    RestoreOrder, RestoredBackup, VerifiedBackup,
};
use buzon::blob::BlobLocation;
use buzon::config::{Config, data_dir};
use platform::clock::{Clock, SystemClock};
use platform::terminal;
use store::Programs;

/// The number of files of a long list that are shown.
const SHOWN: usize = 10;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct BackupArgs {
    #[command(subcommand)]
    command: Option<BackupCommand>,
    /// A folder, or s3://BUCKET/PREFIX with the server and the keys of the media store
    #[arg(value_name = "DEST", value_parser = location, required = true)]
    to: Option<BlobLocation>,
    /// Keep the latest NUMBER backups, and remove older ones once this one is complete
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    keep: Option<u32>,
    #[command(flatten)]
    programs: ProgramArgs,
    #[command(flatten)]
    settings: CommonArgs,
}

#[derive(Subcommand)]
enum BackupCommand {
    /// Read all of a backup and report what is no longer as it was written, with exit code 1
    #[command(after_help = "Example:\n  buzon backup verify /mnt/backup/buzon")]
    Verify {
        /// The place with the backups
        #[arg(value_name = "SRC", value_parser = location)]
        from: BlobLocation,
        /// The name of the backup [default: the latest]
        #[arg(long, value_name = "NAME")]
        backup: Option<String>,
        #[command(flatten)]
        settings: CommonArgs,
    },
    /// Show all backups, the oldest first
    #[command(after_help = "Example:\n  buzon backup list /mnt/backup/buzon")]
    List {
        /// The place with the backups
        #[arg(value_name = "SRC", value_parser = location)]
        from: BlobLocation,
        #[command(flatten)]
        settings: CommonArgs,
    },
}

#[derive(Args)]
pub(super) struct RestoreArgs {
    /// The place with the backups: a folder, or s3://BUCKET/PREFIX with the server and the keys of the media store
    #[arg(value_name = "SRC", value_parser = location)]
    from: BlobLocation,
    /// The name of the backup [default: the latest]
    #[arg(long, value_name = "NAME")]
    backup: Option<String>,
    /// Take the place of the original, which must be gone for good, with its media store and its backups, instead of
    /// being a copy
    #[arg(long)]
    take_over: bool,
    /// Go on without media files that are damaged or missing in the backup
    #[arg(long)]
    skip_damaged: bool,
    /// Go on without the list of erasures, which brings back everybody who was erased since the backup
    #[arg(long)]
    without_erasures: bool,
    #[command(flatten)]
    programs: ProgramArgs,
    #[command(flatten)]
    settings: CommonArgs,
}

#[derive(Args)]
struct ProgramArgs {
    /// The folder with pg_dump and pg_restore, for PostgreSQL [default: PATH, then /usr/lib/postgresql]
    #[arg(long, value_name = "FOLDER")]
    pg_bin: Option<PathBuf>,
}

impl ProgramArgs {
    fn programs(self) -> Programs {
        Programs { folder: self.pg_bin }
    }
}

fn location(text: &str) -> Result<BlobLocation, String> {
    if text.contains("://") {
        return BlobLocation::parse(text).map_err(|error| error.to_string());
    }
    std::path::absolute(text).map(BlobLocation::Folder).map_err(|error| error.to_string())
}

/// Makes a backup beside the running service, or lists or verifies backups.
pub(super) fn run(arguments: BackupArgs) -> anyhow::Result<()> {
    let BackupArgs { command, to, keep, programs, settings } = arguments;
    match (command, to) {
        (Some(BackupCommand::Verify { from, backup, settings }), _) => {
            block_on(verify(&start(settings)?, &from, backup.as_deref()))
        }
        (Some(BackupCommand::List { from, settings }), _) => block_on(list(&start(settings)?, &from)),
        (None, Some(to)) => {
            let keep = keep.map(|keep| keep as usize);
            block_on(create(&start(settings)?, &to, keep, &programs.programs()))
        }
        (None, None) => Err(WrongUse("name a folder or a bucket for the backup".to_owned()).into()),
    }
}

/// Restores a database and its files from a backup.
pub(super) fn restore(arguments: RestoreArgs) -> anyhow::Result<()> {
    let RestoreArgs { from, backup, take_over, skip_damaged, without_erasures, programs, settings } = arguments;
    let (config, programs) = (start(settings)?, programs.programs());
    data_dir::prepare(&config.data_dir)?;
    let place = BackupPlace::open(&from, &config.media.s3)?;
    let order = RestoreOrder {
        database: &config.database,
        programs: &programs,
        media: &FileStore::open(&config.media.location, &config.media.s3)?,
        place: &place,
        name: backup.as_deref(),
        spool: &config.data_dir,
        take_over,
        without_erasures,
        skip_damaged,
    };
    let bar = bar()?;
    let restored = block_on(async {
        let restored = backup::restore(&order, &|step| show(&bar, step)).await?;
        erase_again(&config, &restored).await?;
        Ok(restored)
    })?;
    bar.finish_and_clear();
    report_restored(&config, &restored, take_over)
}

/// Erases who was erased since the backup was made.
async fn erase_again(config: &Config, restored: &RestoredBackup) -> anyhow::Result<()> {
    if restored.erasures.erasures.is_empty() {
        return Ok(());
    }
    let eraser = eraser(config, open_beside(config).await?)?;
    let erased = eraser.store.import_erasures(&restored.erasures, SystemClock.now()).await?;
    eraser.finish().await?;
    eraser.store.close().await;
    if erased > 0 {
        writeln!(terminal::stdout(), "erased again, because the backup is older: {erased} erasures")?;
    }
    Ok(())
}

/// Reads the settings and starts logging. Files created after this have no permissions for others.
fn start(settings: CommonArgs) -> anyhow::Result<Config> {
    let config = settings.start()?;
    data_dir::make_private();
    Ok(config)
}

async fn create(config: &Config, to: &BlobLocation, keep: Option<usize>, programs: &Programs) -> anyhow::Result<()> {
    // Started in a wrong folder, the command must not create anything.
    store::present(&config.database)?;
    data_dir::prepare(&config.data_dir)?;
    let order = BackupOrder {
        database: &config.database,
        allow_managed_pg: config.allow_managed_pg,
        programs,
        media: &FileStore::open(&config.media.location, &config.media.s3)?,
        place: &BackupPlace::create(to, &config.media.s3)?,
        spool: &config.data_dir,
        keep,
        clock: &SystemClock,
    };
    let bar = bar()?;
    let made = backup::create(&order, &|step| show(&bar, step)).await?;
    bar.finish_and_clear();
    let CreatedBackup { name, manifest, new_files, new_bytes, cleaned, pruned } = made;
    let mut out = terminal::stdout();
    for broken_off in cleaned {
        writeln!(out, "removed {broken_off}, which was broken off")?;
    }
    let (copy, files) = (manifest.copy.size, manifest.objects.len());
    writeln!(
        out,
        "{name} is complete in {to}: events up to {}, a database of {copy} bytes, {files} media files, of which \
         {new_files} are new ({new_bytes} bytes)",
        manifest.database.last_seq
    )?;
    warn_about(
        "the media store does not have what the database says is stored, and the backup lacks it",
        &manifest.lacking,
    );
    let pruned = pruned?;
    for old in &pruned.backups {
        writeln!(out, "removed {old}")?;
    }
    if pruned.files > 0 {
        writeln!(out, "removed {} media files that no backup needs any more", pruned.files)?;
    }
    Ok(())
}

/// Warns on stderr, because timers send that to the owner.
fn warn_about(what: &str, files: &[FlawedFile]) {
    if files.is_empty() {
        return;
    }
    terminal::tell(&format!("buzon: warning: {what}: {} files", files.len()));
    for FlawedFile { key, flaw, .. } in files.iter().take(SHOWN) {
        terminal::tell(&format!("  {key} {flaw}"));
    }
}

async fn list(config: &Config, from: &BlobLocation) -> anyhow::Result<()> {
    let place = BackupPlace::open(from, &config.media.s3)?;
    let mut out = terminal::stdout();
    for FoundBackup { name, state } in place.list().await? {
        match state {
            BackupState::Complete(manifest) => writeln!(
                out,
                "{name}  {}, events up to {}, {} bytes; {} media files, {} bytes",
                manifest.database.kind.name(),
                manifest.database.last_seq,
                manifest.copy.size,
                manifest.objects.len(),
                manifest.bytes()
            )?,
            BackupState::Unfinished => writeln!(out, "{name}  not complete")?,
            BackupState::Unreadable(reason) => writeln!(out, "{name}  {}", terminal::escaped(&reason))?,
        }
    }
    Ok(())
}

async fn verify(config: &Config, from: &BlobLocation, name: Option<&str>) -> anyhow::Result<()> {
    let place = BackupPlace::open(from, &config.media.s3)?;
    let bar = bar()?;
    let verified = backup::verify(&place, name, &std::env::temp_dir(), &|step| show(&bar, step)).await?;
    bar.finish_and_clear();
    let VerifiedBackup { name, manifest, problems } = verified;
    if let Err(error) = place.note_check(&name, SystemClock.now(), problems.len()).await {
        terminal::tell(&format!("buzon: warning: the result is not kept for the page at /: {error}"));
    }
    let mut out = terminal::stdout();
    for problem in &problems {
        writeln!(out, "{problem}")?;
    }
    if !problems.is_empty() {
        bail!("{name} is not as it was written; what is wrong: {}", problems.len());
    }
    writeln!(out, "{name} is as it was written: the database and {} media files", manifest.objects.len())?;
    warn_about("it never had these", &manifest.lacking);
    Ok(())
}

fn report_restored(config: &Config, restored: &RestoredBackup, take_over: bool) -> anyhow::Result<()> {
    let RestoredBackup { name, manifest, skipped, .. } = restored;
    let mut out = terminal::stdout();
    writeln!(
        out,
        "{name} is restored into {}: events up to {}, {} media files in {}",
        config.database,
        manifest.database.last_seq,
        manifest.objects.len() - skipped.len(),
        config.media.location
    )?;
    warn_about("left out, because they are damaged or missing in the backup", skipped);
    warn_about("the backup never had these", &manifest.lacking);
    let who = if take_over {
        "It takes the original's place. Never start both."
    } else {
        "It is a copy with a name of its own: its backups need a place of their own."
    };
    writeln!(out, "{who}")?;
    writeln!(out, "Next: buzon rebuild --check, then buzon serve with the secrets and tokens of your settings.")?;
    if manifest.database.postgres.is_some() {
        writeln!(out, "Roles for reading are not part of a backup: make them again with buzon sql-role NAME.")?;
    }
    Ok(())
}

fn bar() -> anyhow::Result<ProgressBar> {
    progress_bar("{msg} {wide_bar} {human_pos} of {human_len} files, {eta} left")
}

fn show(bar: &ProgressBar, step: BackupStep) {
    match step {
        BackupStep::Database(bytes) => bar.set_message(format!("the database, {}", HumanBytes(bytes))),
        BackupStep::Files { done, of } => {
            bar.set_length(of);
            bar.set_position(done);
            bar.set_message("media");
        }
    }
}
