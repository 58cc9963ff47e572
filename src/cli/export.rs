//! `buzon export`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::contact::chat;
use super::{CommonArgs, WrongUse, block_on, interrupted, open_beside};
use buzon::blob::Blobs;
use buzon::config::{Config, data_dir};
use buzon::export::conversation;
use buzon::export::lists::{ExportRange, ExportTarget, ListExport, ListFormat};
use buzon::export::person::PersonExport;
use buzon::http::api::exports::{ExportedList, order, subject};
use domain::access::scope::Scope;
use domain::audit::{AuditActor, AuditedDeed};
use domain::chat::ChatKey;
use domain::instance::InstanceId;
use platform::clock::{Clock, SystemClock};
use platform::disk::Disk;
use platform::terminal::{self, escaped};
use store::Store;

#[derive(Subcommand)]
pub(super) enum ExportCommand {
    /// Messages, the oldest first
    #[command(after_help = "Example:\n  buzon export messages messages.xlsx --since 2026-01-01")]
    Messages(ListArgs<MessageFilterArgs>),
    /// Chats, in the order of their latest messages
    #[command(after_help = "Example:\n  buzon export chats chats.csv --guard")]
    Chats(ListArgs<ChatFilterArgs>),
    /// Reactions and their removals
    #[command(after_help = "Example:\n  buzon export reactions reactions.csv")]
    Reactions(ListArgs<ReactionFilterArgs>),
    /// Acks, in the order in which they arrived
    #[command(after_help = "Example:\n  buzon export acks acks.csv --ack read")]
    Acks(ListArgs<AckFilterArgs>),
    /// The states of the files of messages, without the files
    #[command(after_help = "Example:\n  buzon export media media.csv --state stored")]
    Media(ListArgs<MediaFilterArgs>),
    /// Every event as it came, with its body
    #[command(after_help = "Example:\n  buzon export events events.ndjson")]
    Events(ListArgs<EventFilterArgs>),
    /// A conversation for people, with its files: pages for a browser, and text
    #[command(after_help = "Example:\n  buzon export conversation 573001112233 ana.zip")]
    Conversation(PlaceArgs),
    /// Everything about a person, for that person, with a page that explains it
    #[command(after_help = "Example:\n  buzon export person 573001112233 ana.zip --since 2026-01-01")]
    Person(PlaceArgs),
}

/// Defines the filter of a list: its parameters in the API, as arguments.
macro_rules! filters {
    ($name:ident { $($field:ident $flag:literal: $about:literal,)* }) => {
        #[derive(Args)]
        pub(super) struct $name {
            $(#[doc = $about] #[arg(long = $flag, value_name = "VALUE")] $field: Option<String>,)*
        }

        impl FilterArgs for $name {
            fn values(self) -> BTreeMap<String, String> {
                let values = [$((stringify!($field).trim_start_matches("r#"), self.$field)),*];
                values.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
            }
        }
    };
}

/// The filter of a list, as its parameters in the API.
pub(super) trait FilterArgs: Args {
    fn values(self) -> BTreeMap<String, String>;
}

filters!(MessageFilterArgs {
    contact "contact": "Only those with the person with this phone number",
    chat_id "chat-id": "Only those in this chat",
    from "from": "Only those from this person",
    to "to": "Only those to this person",
    author "author": "Only those that this person wrote, also in groups",
    from_me "from-me": "Only outgoing ones (true), or incoming ones (false)",
    r#type "type": "Only those of this type, such as text or image",
    ack "ack": "Only those with this ack",
    status "status": "Only those with this status",
    kind "kind": "Only those in chats of these kinds, with commas between them: person, group, status, broadcast, channel, other",
    is_group "is-group": "Only those in groups (true), or others (false)",
    has_media "has-media": "Only those with a file (true), or others (false)",
    quoted_message_id "quoted-message-id": "Only replies to this message",
    q "q": "Only those with these words",
    time "time": "The time that --since and --until are about: occurred or received",
});
filters!(ChatFilterArgs {
    unanswered "unanswered": "Only those in which somebody waits for an answer (true)",
    kind "kind": "Only those of these kinds, with commas between them: person, group, status, broadcast, channel, other",
    is_group "is-group": "Only groups (true), or others (false)",
    contact "contact": "Only those with the person with this phone number",
    q "q": "Only those whose name or number contains this text",
});
filters!(ReactionFilterArgs {
    message_id "message-id": "Only those to this message",
    from_number "from-number": "Only those of this person",
});
filters!(AckFilterArgs {
    message_id "message-id": "Only those of this message",
    ack "ack": "Only those with this word",
});
filters!(MediaFilterArgs {
    message_id "message-id": "Only those of this message",
    contact "contact": "Only those of the person with this phone number",
    chat_id "chat-id": "Only those in this chat",
    state "state": "Only those in this state: pending, stored, expired, refused, too_large or failed",
    kind "kind": "Only those in chats of these kinds, with commas between them: person, group, status, broadcast, channel, other",
    r#type "type": "Only those of this type, such as image or application/pdf",
    min_size "min-size": "Only those with at least so many bytes",
    max_size "max-size": "Only those with at most so many bytes",
});
filters!(EventFilterArgs {
    state "state": "Only those in this state: applied, ignored, quarantined, erased or expired",
    event_type "event-type": "Only those of this type",
    message_id "message-id": "Only those about this message",
});

/// The arguments of the export of a list.
#[derive(Args)]
pub(super) struct ListArgs<F: Args> {
    /// The file, whose ending says the format [default: standard output]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// The format: ndjson, csv or xlsx [default: by the file's name, else ndjson]
    #[arg(long, value_name = "FORMAT", value_parser = format)]
    format: Option<ListFormat>,
    /// Put a ' before text in CSV that a spreadsheet would take for a formula
    #[arg(long)]
    guard: bool,
    /// Only this instance
    #[arg(long, value_name = "ID")]
    instance: Option<String>,
    /// Only from this time or date on
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only before this time or date
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    #[command(flatten)]
    filter: F,
    #[command(flatten)]
    settings: CommonArgs,
}

/// The arguments of the export of a conversation or a person.
#[derive(Args)]
pub(super) struct PlaceArgs {
    /// A phone number or an id
    #[arg(value_name = "CONTACT|CHAT", value_parser = chat)]
    id: String,
    /// A ZIP by its ending, else a new folder
    #[arg(value_name = "FILE|FOLDER")]
    file: PathBuf,
    /// Only this instance
    #[arg(long, value_name = "ID")]
    instance: Option<String>,
    /// Only from this time or date on
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only before this time or date
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    #[command(flatten)]
    settings: CommonArgs,
}

fn format(text: &str) -> Result<ListFormat, String> {
    let known = || ListFormat::ALL.map(ListFormat::as_str).join(", ");
    ListFormat::parse(text).ok_or_else(|| format!("it is one of {}", known()))
}

/// Runs a command in short transactions, beside a running service.
pub(super) fn run(command: ExportCommand) -> anyhow::Result<()> {
    block_on(async {
        let work = async {
            match command {
                ExportCommand::Messages(arguments) => list(ExportedList::Messages, arguments).await,
                ExportCommand::Chats(arguments) => list(ExportedList::Chats, arguments).await,
                ExportCommand::Reactions(arguments) => list(ExportedList::Reactions, arguments).await,
                ExportCommand::Acks(arguments) => list(ExportedList::Acks, arguments).await,
                ExportCommand::Media(arguments) => list(ExportedList::Media, arguments).await,
                ExportCommand::Events(arguments) => list(ExportedList::Events, arguments).await,
                ExportCommand::Conversation(arguments) => conversation(arguments).await,
                ExportCommand::Person(arguments) => person(arguments).await,
            }
        };
        tokio::select! {
            outcome = work => outcome,
            () = interrupted() => bail!("stopped; no file was made"),
        }
    })
}

async fn list<F: FilterArgs>(list: ExportedList, arguments: ListArgs<F>) -> anyhow::Result<()> {
    let config = arguments.settings.start()?;
    let mut values = arguments.filter.values();
    let common = [("instance_id", arguments.instance), ("since", arguments.since), ("until", arguments.until)];
    values.extend(common.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    let filters: Vec<String> = values.keys().cloned().collect();
    let query = order::query(list, values, &config.time_zone);
    let (query, range) = query.map_err(|problem| WrongUse(problem.to_string()))?;
    let ending = arguments.file.as_ref().and_then(|file| file.extension()?.to_str());
    let format = arguments.format.or_else(|| ending.and_then(ListFormat::parse)).unwrap_or(ListFormat::Ndjson);
    let target = arguments.file.map_or(ExportTarget::Stdout, ExportTarget::File);
    if matches!((&target, format), (ExportTarget::Stdout, ListFormat::Xlsx)) {
        return Err(WrongUse("a workbook is written into a file: name one".to_owned()).into());
    }
    let store = open_beside(&config).await?;
    let detail = json!({"format": format.as_str(), "filters": filters});
    audit(&*store, &format!("export {}", query.list()), subject(&query).as_deref(), detail).await?;
    let (guard, zone) = (arguments.guard, config.time_zone.clone());
    let order = ListExport { query, range, scope: Scope::All, format, guard, zone };
    let summary = order.run(store, target, Arc::new(Disk::default())).await?;
    let cut = match summary.cut {
        0 => String::new(),
        cut => format!("; {cut} texts were longer than a cell and are whole in NDJSON only"),
    };
    terminal::tell(&format!("{} rows{cut}", summary.rows));
    Ok(())
}

/// The store, the files and the times that an export for people needs.
struct Parts {
    config: Config,
    store: Arc<dyn Store>,
    blobs: Blobs,
    range: ExportRange,
    instance: Option<InstanceId>,
}

impl Parts {
    async fn open(
        settings: CommonArgs,
        instance: Option<String>,
        times: [(&str, Option<String>); 2],
    ) -> anyhow::Result<Self> {
        let config = settings.start()?;
        let values = times.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        let query = order::query(ExportedList::Messages, values, &config.time_zone);
        let (_, range) = query.map_err(|problem| WrongUse(problem.to_string()))?;
        let instance = instance.map(|id| InstanceId::from_store(&id));
        let store = open_beside(&config).await?;
        data_dir::make_private();
        let blobs = Blobs::open(&config.media.location, &config.media.s3)?;
        Ok(Self { config, store, blobs, range, instance })
    }
}

async fn conversation(arguments: PlaceArgs) -> anyhow::Result<()> {
    let PlaceArgs { id, file, instance, since, until, settings } = arguments;
    let parts = Parts::open(settings, instance, [("since", since), ("until", until)]).await?;
    let now = SystemClock.now();
    let instances = match &parts.instance {
        Some(instance) => vec![instance.clone()],
        None => {
            let known = parts.store.list_instances(&Scope::All, now, now).await?;
            known.into_iter().map(|it| it.instance_id).collect()
        }
    };
    let mut found = vec![];
    for instance in instances {
        found.extend(parts.store.chat(&instance, &id).await?);
    }
    let chat = match found.as_slice() {
        [chat] => ChatKey { instance_id: chat.instance_id.clone(), chat_id: chat.chat_id.clone() },
        [] => bail!("there is no conversation with {}", escaped(&id)),
        several => {
            let names = several.iter().map(|chat| chat.instance_id.to_string()).collect::<Vec<_>>().join(", ");
            return Err(WrongUse(format!("it is in several instances; name one of {names} by --instance")).into());
        }
    };
    audit(&*parts.store, "export conversation", Some(&chat.chat_id), json!({})).await?;
    let zone = &parts.config.time_zone;
    let summary = conversation::export(&*parts.store, &parts.blobs, &chat, parts.range, zone, &file).await;
    let summary = summary.with_context(|| format!("{} was not made", file.display()))?;
    terminal::tell(&format!("{} messages", summary.messages));
    tell_missing(summary.missing_files);
    Ok(())
}

async fn person(arguments: PlaceArgs) -> anyhow::Result<()> {
    let PlaceArgs { id, file, instance, since, until, settings } = arguments;
    let parts = Parts::open(settings, instance, [("since", since), ("until", until)]).await?;
    let forwards = parts.config.forwards.iter();
    let receivers = forwards.map(|forward| format!("{}: {}", forward.name, forward.destination)).collect();
    audit(&*parts.store, "export person", Some(&id), json!({})).await?;
    let export = PersonExport {
        id,
        instance: parts.instance,
        range: parts.range,
        zone: parts.config.time_zone.clone(),
        now: SystemClock.now(),
        receivers,
    };
    let summary = export.run(&*parts.store, &parts.blobs, &file).await;
    let summary = summary.with_context(|| format!("{} was not made", file.display()))?;
    terminal::tell(&format!(
        "{} messages of the conversation, {} in groups, {} reactions; LEEME.txt explains the file",
        summary.messages, summary.group_messages, summary.reactions
    ));
    summary.doubts.iter().for_each(|doubt| terminal::tell(&format!("buzon: warning: {doubt}")));
    tell_missing(summary.missing_files);
    Ok(())
}

fn tell_missing(files: u64) {
    if files > 0 {
        terminal::tell(&format!("buzon: warning: {files} files are no longer in the media store"));
    }
}

/// Notes an export before its first byte is written.
async fn audit(store: &dyn Store, action: &str, about: Option<&str>, detail: Value) -> anyhow::Result<()> {
    let subject_hmac = match about {
        Some(id) => Some(store.audit_pseudonym(id).await?),
        None => None,
    };
    let (at, actor, action) = (SystemClock.now(), AuditActor::Command, action.to_owned());
    Ok(store.audit(&AuditedDeed { at, actor, action, subject_hmac, detail }).await?)
}
