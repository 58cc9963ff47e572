//! `buzon erase`.

use std::io::Write;
use std::sync::Arc;

use anyhow::bail;
use clap::Subcommand;
use serde_json::json;

use super::contact::person;
use super::{CommonArgs, WrongUse, block_on, open_beside};
use buzon::backup::BackupPlace;
use buzon::blob::Blobs;
use buzon::config::{Config, data_dir};
use buzon::erasure::person::{ErasedPerson, ErasureRehearsal};
use buzon::erasure::{EraseError, Eraser};
use domain::audit::{AuditActor, AuditedDeed};
use domain::erasure::marks::MarkKey;
use domain::instance::InstanceId;
use platform::clock::{Clock, SystemClock};
use platform::random;
use platform::terminal::{self, escaped};
use store::{ErasureOrder, ErasureReport, ErasureStage, Store};

const NAME_BYTES: usize = 16;
const KEY_BYTES: usize = 32;

#[derive(Subcommand)]
pub(super) enum EraseCommand {
    /// Say what an erasure of a person would remove and what would stay; with --yes CODE, erase for good
    #[command(after_help = "Example:\n  buzon erase person 573001112233")]
    Person {
        /// A phone number, or an id such as 573001112233@c.us or 176369157804064@lid
        #[arg(value_name = "CONTACT|CHAT", value_parser = person)]
        person: String,
        /// Erase the person in this instance only
        #[arg(long, value_parser = InstanceId::new)]
        instance: Option<InstanceId>,
        /// Also erase the ids that only a quote connects with the person
        #[arg(long)]
        include_guesses: bool,
        /// The code that the rehearsal has shown
        #[arg(long, value_name = "CODE")]
        yes: Option<String>,
        #[command(flatten)]
        settings: CommonArgs,
    },
    /// List all erasures, and what is pending of them
    #[command(after_help = "Example:\n  buzon erase list")]
    List {
        #[command(flatten)]
        settings: CommonArgs,
    },
    /// Show the record of an erasure, for your files
    #[command(after_help = "Example:\n  buzon erase record 1")]
    Record {
        number: i64,
        #[command(flatten)]
        settings: CommonArgs,
    },
    /// Write the tables anew, so that nothing of what was removed is left in their files; no event is taken meanwhile
    #[command(after_help = "Example:\n  buzon erase scrub")]
    Scrub {
        #[command(flatten)]
        settings: CommonArgs,
    },
}

/// Runs a command in short transactions, beside a running service.
pub(super) fn run(command: EraseCommand) -> anyhow::Result<()> {
    block_on(async {
        match command {
            EraseCommand::Person { person, instance, include_guesses, yes, settings } => {
                let config = settings.start()?;
                let store = open_beside(&config).await?;
                let person = ErasedPerson::find(&*store, &person, instance, include_guesses).await?;
                match yes {
                    None => rehearse(&*store, &person).await,
                    Some(code) => erase(&config, store, &person, &code).await,
                }
            }
            EraseCommand::List { settings } => list(&*open_beside(&settings.start()?).await?).await,
            EraseCommand::Record { number, settings } => record(&*open_beside(&settings.start()?).await?, number).await,
            EraseCommand::Scrub { settings } => scrub(&*open_beside(&settings.start()?).await?).await,
        }
    })
}

/// Returns the parts that erasures and retention need.
pub(crate) fn eraser(config: &Config, store: Arc<dyn Store>) -> anyhow::Result<Eraser> {
    data_dir::prepare(&config.data_dir)?;
    let blobs = Blobs::open(&config.media.location, &config.media.s3)?;
    let (backups, data_dir) = (Arc::new(backups(config)?), config.data_dir.clone());
    Ok(Eraser { store, blobs, backups, data_dir, clock: Arc::new(SystemClock) })
}

fn backups(config: &Config) -> anyhow::Result<Vec<BackupPlace>> {
    let places = config.backup_to.iter().map(|location| BackupPlace::create(location, &config.media.s3));
    Ok(places.collect::<Result<_, _>>()?)
}

async fn rehearse(store: &dyn Store, person: &ErasedPerson) -> anyhow::Result<()> {
    let rehearsal = person.rehearse(store).await?;
    let mut out = terminal::stdout();
    writeln!(out, "The person has these ids:")?;
    for (id, reason) in &person.ids {
        writeln!(out, "  {} ({reason})", escaped(id))?;
    }
    for id in &person.guesses {
        writeln!(out, "  left out: {}, which only a quote connects; --include-guesses takes it in", escaped(id))?;
    }
    let ErasureRehearsal { events, messages, reactions, acks, unusable, oldest, newest, named_by_others } = rehearsal;
    writeln!(
        out,
        "These go: {events} events of {messages} messages, among them {reactions} reactions, {acks} acks and {unusable} that \
         buzon cannot use; with everything that followed from them, and the files that nobody else has."
    )?;
    if let (Some(oldest), Some(newest)) = (oldest, newest) {
        writeln!(out, "They are from {} to {}.", oldest.to_rfc3339(), newest.to_rfc3339())?;
    }
    for (instance, id) in &named_by_others {
        writeln!(out, "This stays, because others wrote it: message {} of {}", escaped(id), escaped(instance))?;
    }
    writeln!(
        out,
        "Not reached: other people's phones, the gateway, receivers of forwards, exports that were copied elsewhere, older \
         versions in a bucket that keeps them, and backups until they are removed. The law may oblige you to keep commercial \
         books: look before you erase."
    )?;
    writeln!(out, "To erase for good, repeat the command with --yes {}", person.code())?;
    Ok(())
}

async fn erase(config: &Config, store: Arc<dyn Store>, person: &ErasedPerson, code: &str) -> anyhow::Result<()> {
    if code != person.code() {
        return Err(WrongUse("that is not the code of the rehearsal; run the command without --yes".to_owned()).into());
    }
    let eraser = eraser(config, store)?;
    let key_id = hex::encode(random::bytes::<NAME_BYTES>()?);
    let order = ErasureOrder {
        name: hex::encode(random::bytes::<NAME_BYTES>()?),
        instance_id: person.instance_id.clone(),
        ids: person.ids.keys().cloned().collect(),
        at: SystemClock.now(),
        new_key: MarkKey { id: key_id, key: random::bytes::<KEY_BYTES>()?.to_vec() },
    };
    let number = eraser.store.begin_erasure(&order).await?;
    let subject = person.ids.keys().next().map(String::as_str).unwrap_or_default();
    let deed = AuditedDeed {
        at: order.at,
        actor: AuditActor::Command,
        action: "erase person".to_owned(),
        subject_hmac: Some(eraser.store.audit_pseudonym(subject).await?),
        detail: json!({"erasure": number, "instance": person.instance_id.as_ref().map(InstanceId::as_str)}),
    };
    eraser.store.audit(&deed).await?;
    match eraser.finish().await {
        Ok(()) => {}
        Err(EraseError::Backup(error)) => {
            bail!(
                "erasure {number} is pending: a place with backups does not learn of it: {error}; the service goes on trying"
            )
        }
        Err(error) => {
            bail!(
                "erasure {number} has begun, and has not ended: {error}; the service goes on with it, or buzon erase list does"
            )
        }
    }
    let reports = eraser.store.erasures().await?;
    let mut out = terminal::stdout();
    if let Some(report) = reports.iter().find(|it| it.id == number) {
        writeln!(
            out,
            "erasure {number} has ended: {} events, {} messages, {} files",
            report.events, report.messages, report.files
        )?;
        if report.scrubbed_at.is_none() {
            writeln!(
                out,
                "The rows are gone. Their pages are used again in time; buzon erase scrub removes what is left now."
            )?;
        }
    }
    Ok(())
}

fn state(report: &ErasureReport) -> &'static str {
    match report.stage {
        ErasureStage::Rows | ErasureStage::Files => "under way",
        ErasureStage::Backups => "pending: a place with backups is to learn of it",
        ErasureStage::Ended => "ended",
    }
}

async fn list(store: &dyn Store) -> anyhow::Result<()> {
    let mut out = terminal::stdout();
    for report in store.erasures().await? {
        writeln!(out, "{}  {}  {}", report.id, report.begun_at.to_rfc3339(), state(&report))?;
    }
    Ok(())
}

async fn record(store: &dyn Store, number: i64) -> anyhow::Result<()> {
    let Some(report) = store.erasures().await?.into_iter().find(|it| it.id == number) else {
        return Err(WrongUse(format!("there is no erasure {number}")).into());
    };
    let at =
        |time: Option<domain::time::timestamp::Timestamp>| time.map_or("not yet".to_owned(), |time| time.to_rfc3339());
    let mut out = terminal::stdout();
    writeln!(out, "erasure    {} ({})", report.id, report.name)?;
    writeln!(out, "instance   {}", report.instance_id.as_ref().map_or("all", InstanceId::as_str))?;
    writeln!(out, "begun      {}", report.begun_at.to_rfc3339())?;
    writeln!(out, "state      {}", state(&report))?;
    writeln!(out, "removed    {}", at(report.removed_at))?;
    writeln!(out, "scrubbed   {}", at(report.scrubbed_at))?;
    writeln!(out, "events     {}", report.events)?;
    writeln!(out, "messages   {}", report.messages)?;
    writeln!(out, "files      {}", report.files)?;
    let forwards = if report.forwards.is_empty() { "none" } else { &report.forwards };
    writeln!(out, "forwards   {forwards} (they may have received the person's events; tell their owners)")?;
    writeln!(
        out,
        "ages out   backups when they are removed; archives of PostgreSQL's log and replicas by their own rules; older versions \
         in a bucket that keeps them"
    )?;
    Ok(())
}

async fn scrub(store: &dyn Store) -> anyhow::Result<()> {
    terminal::tell(
        "the tables are being written anew; events are answered 503 meanwhile, and the gateway repeats them",
    );
    store.scrub().await?;
    store.note_scrubbed(SystemClock.now()).await?;
    writeln!(terminal::stdout(), "nothing of what was removed is left in the tables")?;
    Ok(())
}
