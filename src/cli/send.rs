use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail, ensure};
use clap::Args;

use super::{CommonArgs, WrongUse};
use crate::config::Config;
use crate::simulate::{SendTarget, Sender};
use crate::telemetry;
use domain::access::signature::Secret;
use domain::event::Event;
use domain::instance::InstanceId;
use platform::terminal;

/// Where events are sent.
#[derive(Args)]
pub(super) struct To {
    /// The buzon to send to, without /webhook [default: where the settings have it listen]
    #[arg(long, value_name = "URL", value_parser = target)]
    to: Option<SendTarget>,
    /// Send to this host, although it is another machine; it is the host of the URL
    #[arg(long, value_name = "HOST")]
    allow_remote: Option<String>,
}

fn target(text: &str) -> Result<SendTarget, String> {
    SendTarget::parse(text).map_err(|error| error.to_string())
}

impl To {
    /// # Errors
    /// If it is another machine that was not named.
    pub(super) fn target(self, config: &Config) -> anyhow::Result<SendTarget> {
        let target = self.to.unwrap_or_else(|| SendTarget::listening(config.listen));
        Ok(target.checked(self.allow_remote.as_deref()).map_err(|error| WrongUse(error.to_string()))?)
    }
}

#[derive(Args)]
pub(super) struct SendArgs {
    #[command(flatten)]
    settings: CommonArgs,
    #[command(flatten)]
    to: To,
    /// Send it to the path of this instance, signed with its secret
    #[arg(long, value_name = "ID", value_parser = instance)]
    instance: Option<InstanceId>,
    /// The body, sent as it is, byte for byte; - is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(super) fn instance(text: &str) -> Result<InstanceId, String> {
    InstanceId::for_url(text).map_err(|error| error.to_string())
}

/// What buzon takes, and one byte more, so that it can be seen to refuse it.
const LONGEST: u64 = 4 * 1024 * 1024 + 1;

/// The status on the first line, then the answer. Anything but a 200 is a failure.
pub(super) fn run(arguments: SendArgs) -> anyhow::Result<()> {
    let config = arguments.settings.config()?;
    telemetry::init(&config.log);
    let target = arguments.to.target(&config)?;
    let body = read(&arguments.file)?;
    let secret = secret(&config, arguments.instance.as_ref(), &body);
    if secret.is_none() {
        terminal::tell("there is no secret for it; it is sent unsigned");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let sender = Sender::new(&target).context("the HTTP client cannot be made")?;
    let answer = runtime.block_on(sender.send(arguments.instance.as_ref(), body, secret));
    let answer = answer.map_err(|why| anyhow!("{target} gives no answer: {why}"))?;
    writeln!(terminal::stdout(), "{}\n{}", answer.status, answer.body.trim_end())?;
    if answer.status != 200 {
        bail!("the event was not taken: {}", answer.summary());
    }
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    let read = match path.as_os_str() == "-" {
        true => io::stdin().take(LONGEST).read_to_end(&mut body),
        false => File::open(path).and_then(|file| file.take(LONGEST).read_to_end(&mut body)),
    };
    read.with_context(|| format!("the body cannot be read: {}", path.display()))?;
    ensure!(!body.is_empty(), "the body is empty");
    Ok(body)
}

/// The secret by which buzon will know it: that of the path; without one, of the instance that the body names; without
/// that, of the only one.
fn secret<'c>(config: &'c Config, path: Option<&InstanceId>, body: &[u8]) -> Option<&'c Secret> {
    let stated = Event::stated_instance(body);
    let instance = path.or(stated.as_ref()).or(config.keyring.only_instance());
    config.keyring.signing(instance)
}
