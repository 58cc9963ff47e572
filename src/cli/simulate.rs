//! `buzon simulate`.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use futures_util::FutureExt;
use tokio::time::{Instant, sleep};

use super::send::TargetArgs;
use super::{CommonArgs, WrongUse, interrupted, progress_bar};
use buzon::config::Config;
use buzon::simulate::{
    DeliveryKind, FileServer, SendTally, SendTarget, Sender, Shape, TrafficGenerator, WorkingHours, drive,
};
use domain::instance::InstanceId;
use domain::time::timestamp::Timestamp;
use platform::clock::{Clock, SystemClock};
use platform::terminal;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Args)]
pub(super) struct SimulateArgs {
    #[command(flatten)]
    settings: CommonArgs,
    #[command(flatten)]
    to: TargetArgs,
    #[command(flatten)]
    pace: PaceArgs,
    #[command(flatten)]
    shop: ShopArgs,
}

/// The amount of traffic.
#[derive(Args)]
struct PaceArgs {
    /// Events per second
    #[arg(long, value_name = "NUMBER", default_value_t = 20.0, value_parser = rate)]
    rate: f64,
    /// The duration: 45s, 10m or 2h
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    duration: Duration,
}

/// The instances and chats of the traffic, and its days.
#[derive(Args)]
struct ShopArgs {
    /// The same number makes the same events [default: a new one each time]
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// The number of instances, which are named sim-1, sim-2 …
    #[arg(long, value_name = "NUMBER", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    instances: u16,
    /// Send as this instance instead, among its real messages; can be repeated
    #[arg(long = "instance", value_name = "ID", value_parser = InstanceId::for_url)]
    named: Vec<InstanceId>,
    /// The number of chats of each instance
    #[arg(long, value_name = "NUMBER", default_value_t = 40, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    chats: u64,
    /// The first day of the messages, such as 2027-01-31 [default: such that the last day is yesterday]
    #[arg(long, value_name = "DAY")]
    start: Option<String>,
    /// The number of days over which the messages are spread, mostly in working hours
    #[arg(long, value_name = "NUMBER", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=366))]
    days: u32,
    /// The address at which the files of messages are served, so that buzon can fetch them
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8099")]
    files: SocketAddr,
    /// Send no files, only text
    #[arg(long)]
    no_files: bool,
}

fn rate(text: &str) -> Result<f64, &'static str> {
    let rate = text.parse::<f64>().ok().filter(|rate| (0.01..=10_000.0).contains(rate));
    rate.ok_or("expected events a second, from 0.01 to 10000")
}

fn duration(text: &str) -> Result<Duration, &'static str> {
    const UNITS: [(char, u64); 3] = [('s', 1), ('m', 60), ('h', 60 * 60)];
    let read = || {
        let (seconds, number) = UNITS.iter().find_map(|(unit, seconds)| Some((seconds, text.strip_suffix(*unit)?)))?;
        let duration = Duration::from_secs(number.parse::<u64>().ok()?.checked_mul(*seconds)?);
        (Duration::from_secs(1)..=DAY).contains(&duration).then_some(duration)
    };
    read().ok_or("expected a time up to 24h, such as 45s, 10m or 2h")
}

pub(super) fn run(arguments: SimulateArgs) -> anyhow::Result<()> {
    let config = arguments.settings.start()?;
    let target = arguments.to.target(&config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(simulate(&config, &target, &arguments.pace, arguments.shop).boxed_local())
}

async fn simulate(config: &Config, target: &SendTarget, pace: &PaceArgs, shop: ShopArgs) -> anyhow::Result<()> {
    let (instances, start) = (shop.instances(config)?, shop.start(config)?);
    let files = shop.serve_files().await?;
    let seed = shop.seed.unwrap_or_else(|| SystemClock.now().millis().unsigned_abs());
    let shape = Shape {
        seed,
        instances,
        chats: shop.chats,
        events: (pace.rate * pace.duration.as_secs_f64()).ceil().max(1.0) as u64,
        hours: WorkingHours::new(start, shop.days, &config.time_zone),
        files: files.as_ref().map(FileServer::origin),
    };
    let bar = progress_bar("{msg} {wide_bar} {human_pos} of {human_len}, {eta} left")?;
    bar.set_length(shape.events);
    bar.set_message(format!("sending to {target}"));
    let sender = Sender::new(target).context("the HTTP client cannot be made")?;
    let begun = Instant::now();
    let shown = |tally: &SendTally| bar.set_position(tally.sent());
    // After Ctrl-C, what was sent until then is summed up.
    let tally = drive(TrafficGenerator::new(shape), pace.rate, &sender, &config.keyring, interrupted(), shown).await;
    let took = begun.elapsed();
    bar.finish_and_clear();
    let mut summary = Summary::of(&tally, took);
    if let Some(files) = &files {
        wait_for_files(files, tally.files).await;
        summary.files(files, tally.files);
    }
    summary.again(seed, &config.time_zone.date_of(start).to_string());
    terminal::stdout().write_all(summary.0.as_bytes())?;
    match tally.not_taken() {
        0 => Ok(()),
        count => bail!("{count} of {} events were not taken", tally.sent()),
    }
}

/// Waits until all files have been fetched, or no further one was fetched for a while.
async fn wait_for_files(files: &FileServer, all: u64) {
    const CHECK_EVERY: Duration = Duration::from_secs(5);
    let mut before = None;
    while files.served() < all && before != Some(files.served()) {
        before = Some(files.served());
        sleep(CHECK_EVERY).await;
    }
}

impl ShopArgs {
    /// Returns the instances, all with a secret if there are secrets.
    fn instances(&self, config: &Config) -> anyhow::Result<Vec<InstanceId>> {
        let made_up = (1..=self.instances).map(|nth| InstanceId::new(&format!("sim-{nth}")).expect("it is short"));
        let instances = if self.named.is_empty() { made_up.collect() } else { self.named.clone() };
        let unknown = |id: &&InstanceId| !config.keyring.is_empty() && config.keyring.signing(Some(id)).is_none();
        match instances.iter().find(unknown) {
            Some(id) => Err(WrongUse(format!(
                "there is no secret for instance {id}; set BUZON_WEBHOOK_SECRET here and at the buzon, or give \
                 --instance one that has a secret of its own"
            ))
            .into()),
            None => Ok(instances),
        }
    }

    async fn serve_files(&self) -> anyhow::Result<Option<FileServer>> {
        if self.no_files {
            return Ok(None);
        }
        let server = FileServer::start(self.files).await;
        let other = "choose another address with --files, or --no-files";
        Ok(Some(server.with_context(|| format!("files cannot be served at {}; {other}", self.files))?))
    }

    fn start(&self, config: &Config) -> anyhow::Result<Timestamp> {
        let zone = &config.time_zone;
        match &self.start {
            Some(text) => {
                Ok(zone.read(text).ok_or_else(|| WrongUse("--start: expected a day, such as 2027-01-31".to_owned()))?)
            }
            None => Ok(zone.day(SystemClock.now() - DAY * self.days).0),
        }
    }
}

/// The lines that sum up a run.
struct Summary(String);

impl Summary {
    fn of(tally: &SendTally, took: Duration) -> Self {
        let mut summary = Self(String::new());
        let kind = |kind| tally.kinds.get(&kind).copied().unwrap_or_default();
        let seconds = took.as_secs_f64();
        summary.line(
            "sent",
            format!(
                "{} in {seconds:.1} s, {:.1} a second: messages {}, acks {}, reactions {}, repeats {}, \
                 late {}, edits {}, deletions {}, notices {}, stories {}",
                tally.sent(),
                tally.sent() as f64 / seconds.max(1e-9),
                kind(DeliveryKind::Message),
                kind(DeliveryKind::Ack),
                kind(DeliveryKind::Reaction),
                kind(DeliveryKind::Repeat),
                kind(DeliveryKind::Late),
                kind(DeliveryKind::Edit),
                kind(DeliveryKind::Deletion),
                kind(DeliveryKind::Notice),
                kind(DeliveryKind::Story),
            ),
        );
        summary.line("accepted", tally.accepted.to_string());
        summary.line("duplicates", tally.duplicates.to_string());
        summary.line("refused", counts(&tally.refused));
        summary.line("no answer", counts(&tally.unanswered));
        let millis = |share| tally.latency(share).as_secs_f64() * 1e3;
        summary.line("latency", format!("p50 {:.1} ms, p99 {:.1} ms", millis(0.5), millis(0.99)));
        summary
    }

    fn line(&mut self, name: &str, text: String) {
        self.0 += &format!("{name:<11} {text}\n");
    }

    fn files(&mut self, files: &FileServer, all: u64) {
        let origin = files.origin();
        let hint = match files.served() {
            0 if all > 0 => {
                format!("; buzon fetches them with BUZON_MEDIA_ORIGINS={}", origin.as_str().trim_end_matches('/'))
            }
            _ => String::new(),
        };
        self.line("files", format!("{all}, fetched {}{hint}", files.served()));
    }

    fn again(&mut self, seed: u64, start: &str) {
        self.line("again", format!("--seed {seed} --start {start}"));
    }
}

fn counts(counts: &BTreeMap<String, u64>) -> String {
    let each: Vec<String> = counts.iter().map(|(what, count)| format!("{count} ({what})")).collect();
    if each.is_empty() { "0".to_owned() } else { each.join(", ") }
}
