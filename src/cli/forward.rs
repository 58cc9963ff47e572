//! `buzon forward`.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum};
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use sha2::{Digest, Sha256};

use super::{CommonArgs, WrongUse, block_on, open_beside};
use buzon::config::{Config, ForwardConfig};
use buzon::forward::delivery::{Delivery, DeliveryClient, DeliveryReply};
use buzon::forward::rehearsal::{Rehearsal, rehearse};
use domain::event::TEST_WEBHOOK;
use domain::event::event_id::EventId;
use domain::forward::answer::DeliveryOutcome;
use domain::forward::{ForwardName, PAUSED_BY_OWNER};
use domain::instance::InstanceId;
use domain::time::timestamp::Timestamp;
use platform::clock::{Clock, SystemClock};
use platform::terminal::{self, escaped};
use store::{ForwardReport, ResumeFrom, Store};

#[derive(Subcommand)]
pub(super) enum ForwardCommand {
    /// Show all forwards, how far they are behind, and whether their receivers take events
    #[command(after_help = "Example:\n  buzon forward list")]
    List {
        #[command(flatten)]
        settings: CommonArgs,
    },
    /// Send nothing more, until it is resumed
    #[command(after_help = "Example:\n  buzon forward pause bot")]
    Pause {
        #[command(flatten)]
        forward: NamedForward,
    },
    /// Go on after a pause or a restore
    #[command(after_help = "Example:\n  buzon forward resume bot --from now")]
    Resume {
        #[command(flatten)]
        forward: NamedForward,
        /// Go on with what comes next, or where it was
        #[arg(long, value_name = "PLACE")]
        from: ResumePlace,
    },
    /// Show the events that could not be sent, and the answers, which may quote them
    #[command(after_help = "Example:\n  buzon forward failures bot")]
    Failures {
        #[command(flatten)]
        forward: NamedForward,
        /// The maximum number of events
        #[arg(long, value_name = "NUMBER", default_value_t = 50)]
        limit: u32,
    },
    /// Try again now what could not be sent
    #[command(after_help = "Example:\n  buzon forward retry bot --dead")]
    Retry {
        #[command(flatten)]
        forward: NamedForward,
        /// Also what was given up
        #[arg(long)]
        dead: bool,
    },
    /// Say what would be sent again from a time on, and with --yes send it
    #[command(after_help = "Example:\n  buzon forward replay archive --from 2027-01-31T08:00:00Z --yes")]
    Replay {
        #[command(flatten)]
        forward: NamedForward,
        /// A time of RFC 3339; events that arrived since then are sent again
        #[arg(long, value_name = "TIME", value_parser = time)]
        from: Timestamp,
        /// Send it
        #[arg(long)]
        yes: bool,
        /// Also what is older than max_age, which a bot answers like everything else
        #[arg(long)]
        even_old: bool,
    },
    /// Send a test event to a receiver, and show the answer
    #[command(after_help = "Example:\n  buzon forward test bot")]
    Test {
        #[command(flatten)]
        forward: NamedForward,
    },
}

#[derive(Args)]
pub(super) struct NamedForward {
    /// Its name in the settings
    #[arg(value_name = "NAME", value_parser = ForwardName::new)]
    name: ForwardName,
    #[command(flatten)]
    settings: CommonArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ResumePlace {
    Now,
    Position,
}

fn time(text: &str) -> Result<Timestamp, &'static str> {
    Timestamp::from_rfc3339(text).ok_or("expected a time such as 2027-01-31T08:00:00-05:00")
}

/// Runs a command in short transactions, beside a running service.
pub(super) fn run(command: ForwardCommand) -> anyhow::Result<()> {
    block_on(async {
        match command {
            ForwardCommand::List { settings } => list(&settings.start()?).await,
            ForwardCommand::Pause { forward } => {
                let Named { name, store, .. } = Named::open(forward).await?;
                store.pause_forward(&name).await?;
                say(&format!("{name} is paused: nothing new is sent; resume it with buzon forward resume {name}"))
            }
            ForwardCommand::Resume { forward, from } => resume(Named::open(forward).await?, from).await,
            ForwardCommand::Failures { forward, limit } => failures(Named::open(forward).await?, limit).await,
            ForwardCommand::Retry { forward, dead } => {
                let Named { name, store, .. } = Named::open(forward).await?;
                let count = store.retry_forward(&name, dead, SystemClock.now()).await?;
                say(&format!("events to be sent again, by the service if it runs: {count}"))
            }
            ForwardCommand::Replay { forward, from, yes, even_old } => {
                replay(Named::open(forward).await?, from, yes, even_old).await
            }
            ForwardCommand::Test { forward } => test(forward).await,
        }
    })
}

/// A forward with its settings and its state.
struct Named {
    name: ForwardName,
    config: Config,
    store: Arc<dyn Store>,
    report: ForwardReport,
}

impl Named {
    async fn open(NamedForward { name, settings }: NamedForward) -> anyhow::Result<Self> {
        let config = settings.start()?;
        let store = open_beside(&config).await?;
        let reports = store.forwards().await?;
        let names = reports.iter().map(|report| report.name.clone()).collect::<Vec<_>>().join(", ");
        let report = reports.into_iter().find(|report| report.name == name.as_str()).ok_or_else(|| {
            WrongUse(match names.is_empty() {
                true => format!("there is no forward {name}: the service makes those of the settings when it starts"),
                false => format!("there is no forward {name}; there are: {names}"),
            })
        })?;
        Ok(Self { name, config, store, report })
    }
}

/// Returns the settings of a forward.
fn configured<'c>(config: &'c Config, name: &ForwardName) -> anyhow::Result<&'c ForwardConfig> {
    let found = config.forwards.iter().find(|forward| forward.name == *name);
    found.ok_or_else(|| WrongUse(format!("the settings have no forward {name}")).into())
}

fn say(text: &str) -> anyhow::Result<()> {
    Ok(writeln!(terminal::stdout(), "{text}")?)
}

async fn list(config: &Config) -> anyhow::Result<()> {
    let now = SystemClock.now();
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(["name", "to", "state", "behind", "delivered", "too old", "waiting", "given up"]);
    for report in open_beside(config).await?.forwards().await? {
        let forward = config.forwards.iter().find(|forward| forward.name.as_str() == report.name);
        let to = forward.map_or("not in the settings".to_owned(), |forward| forward.destination.to_string());
        let behind = format!("{} events, {:.0} s", report.lag_events, report.lag_seconds(now));
        let counts = [report.delivered, report.stale, report.waiting, report.dead].map(|count| count.to_string());
        let state = state(&report);
        table.add_row([report.name, escaped(&to).into_owned(), state, behind].into_iter().chain(counts));
    }
    say(&table.trim_fmt())
}

fn state(report: &ForwardReport) -> String {
    match report.stopped_since {
        _ if report.paused => format!("paused ({})", report.pause_reason.as_deref().unwrap_or(PAUSED_BY_OWNER)),
        Some(since) => {
            let reason = report.stopped_reason.as_deref().unwrap_or_default();
            format!("stopped since {} ({reason})", since.to_rfc3339())
        }
        _ if report.replaying => "replays".to_owned(),
        _ => "runs".to_owned(),
    }
}

async fn resume(Named { name, store, report, .. }: Named, from: ResumePlace) -> anyhow::Result<()> {
    if !report.paused {
        return Err(WrongUse(format!("{name} is not paused")).into());
    }
    let from = match from {
        ResumePlace::Now => ResumeFrom::Now,
        ResumePlace::Position => ResumeFrom::Position,
    };
    store.resume_forward(&name, from).await?;
    let left = match from {
        ResumeFrom::Now => format!("{} events were left out", report.lag_events),
        ResumeFrom::Position => format!("{} events are before it", report.lag_events),
    };
    say(&format!("{name} goes on; {left}"))
}

async fn failures(Named { name, store, .. }: Named, limit: u32) -> anyhow::Result<()> {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(["event", "state", "attempts", "last", "next", "answer"]);
    for failure in store.forward_failures(&name, None, limit).await? {
        let head = store.ledger_heads_of(&[failure.seq]).await?.pop();
        let event =
            head.map_or(failure.seq.to_string(), |head| EventId::new(head.instance_id, &head.body_sha256).to_string());
        let status = failure.status.map_or(failure.class.clone(), |status| status.to_string());
        table.add_row([
            event,
            failure.state.as_str().to_owned(),
            failure.tally.attempts.to_string(),
            failure.last_failed_at.to_rfc3339(),
            failure.next_attempt_at.to_rfc3339(),
            escaped(&format!("{status} {}", failure.error)).into_owned(),
        ]);
    }
    say(&table.trim_fmt())
}

async fn replay(
    Named { name, config, store, report }: Named,
    from: Timestamp,
    yes: bool,
    even_old: bool,
) -> anyhow::Result<()> {
    let forward = configured(&config, &name)?;
    let after = store.first_seq_from(from).await? - 1;
    let now = SystemClock.now();
    let found = rehearse(&*store, forward, after, report.position, even_old, now).await?;
    say(&rehearsed(&found, even_old, now))?;
    if found.events == 0 {
        return Ok(());
    }
    if !yes {
        return Err(WrongUse("nothing was sent; to send them, say --yes".to_owned()).into());
    }
    if !store.replay_forward(&name, after, even_old).await? {
        bail!("{name} is replaying already; see: buzon forward list");
    }
    say("the service sends them, if it runs and the forward is not paused")
}

/// Says what a replay sends, for people.
fn rehearsed(found: &Rehearsal, even_old: bool, now: Timestamp) -> String {
    let age = found.oldest.map_or(0, |oldest| now.millis().saturating_sub(oldest.millis()).max(0) as u64);
    let stale = match (found.stale, even_old) {
        (0, _) => String::new(),
        (stale, true) => format!("; {stale} are older than max_age"),
        (stale, false) => format!("; {stale} more are older than max_age and are left out without --even-old"),
    };
    format!(
        "{} events, among them {} incoming messages of {} people, the oldest {} old; a bot will answer them{stale}",
        found.events,
        found.incoming,
        found.people,
        age_text(Duration::from_millis(age)),
    )
}

fn age_text(age: Duration) -> String {
    const HOUR: u64 = 60 * 60;
    match age.as_secs() {
        seconds if seconds >= 48 * HOUR => format!("{} days", seconds / (24 * HOUR)),
        seconds if seconds >= 2 * HOUR => format!("{} hours", seconds / HOUR),
        seconds => format!("{} minutes", seconds / 60),
    }
}

/// Sends an event in the form of the gateway's own test, which is stored nowhere.
async fn test(NamedForward { name, settings }: NamedForward) -> anyhow::Result<()> {
    let config = settings.start()?;
    let forward = configured(&config, &name)?;
    let instance_id = forward.filter.instances.first().or(config.instances.first().map(|instance| &instance.id));
    let instance_id = instance_id.cloned().unwrap_or_else(InstanceId::unstated);
    let body = serde_json::json!({
        "event_type": TEST_WEBHOOK,
        "instance_id": instance_id.as_str(),
        "timestamp": SystemClock.now().millis() / 1_000,
        "message": "This is a test of buzon forward test",
    });
    let body = body.to_string().into_bytes();
    let event = EventId::new(instance_id.clone(), &Sha256::digest(&body));
    let client = DeliveryClient::new(forward, config.keyring.clone(), Arc::new(SystemClock));
    let client = client.context("the HTTP client cannot be made")?;
    let delivery = Delivery { event, instance_id, signed: true, kind: None, body, attempt: 1, replay: false };
    let DeliveryReply { answer, said } = client.deliver(delivery).await;
    let answered = answer.status().map_or(answer.class().to_owned(), |status| status.to_string());
    let text = format!("{} answers {answered} {}", forward.destination, escaped(&said));
    match answer.outcome() {
        DeliveryOutcome::Delivered => say(text.trim_end()),
        _ => bail!("{}", text.trim_end()),
    }
}
