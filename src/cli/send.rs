//! `buzon send`.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail, ensure};
use clap::Args;

use super::{CommonArgs, WrongUse, block_on};
use buzon::config::{Config, MAX_BODY_LIMIT};
use buzon::simulate::{SendTarget, Sender};
use domain::access::signature::Secret;
use domain::event::Event;
use domain::instance::InstanceId;
use platform::terminal;

/// The options that say where events are sent.
#[derive(Args)]
pub(super) struct TargetArgs {
    /// The buzon to send to, without /webhook [default: the address in the setting listen]
    #[arg(long, value_name = "URL", value_parser = SendTarget::parse)]
    to: Option<SendTarget>,
    /// Allow this host, the one of the URL, although it is another machine
    #[arg(long, value_name = "HOST")]
    allow_remote: Option<String>,
}

impl TargetArgs {
    /// Returns the target.
    ///
    /// # Errors
    /// If it is another machine that --allow-remote does not name.
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
    to: TargetArgs,
    /// Send the event to the path of this instance, signed with its secret
    #[arg(long, value_name = "ID", value_parser = InstanceId::for_url)]
    instance: Option<InstanceId>,
    /// The file with the body, which is sent byte for byte; - is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// The largest body that any buzon takes and one byte more, so that its refusal can be seen.
const LONGEST: u64 = MAX_BODY_LIMIT + 1;

/// Prints the status and then the answer. Any status but 200 is a failure.
pub(super) fn run(arguments: SendArgs) -> anyhow::Result<()> {
    let config = arguments.settings.start()?;
    let target = arguments.to.target(&config)?;
    let body = read(&arguments.file)?;
    let secret = secret(&config, arguments.instance.as_ref(), &body);
    if secret.is_none() {
        terminal::tell("there is no secret for it; it is sent unsigned");
    }
    let sender = Sender::new(&target).context("the HTTP client cannot be made")?;
    let answer = block_on(async {
        let answer = sender.send(arguments.instance.as_ref(), body, secret).await;
        answer.map_err(|why| anyhow!("{target} gives no answer: {why}"))
    })?;
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

/// Returns the secret with which buzon verifies the event. It belongs to the instance of the path, or else to the
/// instance that the body names, or else to the only configured instance.
fn secret<'c>(config: &'c Config, path: Option<&InstanceId>, body: &[u8]) -> Option<&'c Secret> {
    let stated = Event::stated_instance(body);
    let instance = path.or(stated.as_ref()).or(config.keyring.only_instance());
    config.keyring.signing(instance)
}
