//! `buzon healthcheck`.

use std::io::Write;
use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::Args;
use serde_json::Value;

use super::{CommonArgs, block_on};
use buzon::simulate::SendTarget;
use platform::outbound;
use platform::terminal;
use platform::tls;

/// This is longer than the service waits for its database before it answers.
const WAIT: Duration = Duration::from_secs(4);

#[derive(Args)]
pub(super) struct HealthcheckArgs {
    #[command(flatten)]
    settings: CommonArgs,
    /// Ask only whether the process answers, whatever its database does, to decide whether to restart it
    #[arg(long)]
    live: bool,
}

/// Prints one line. The exit code is 0 or 1, because Docker reserves 2.
pub(super) fn run(arguments: HealthcheckArgs) -> anyhow::Result<()> {
    let config = arguments.settings.config().map_err(|error| anyhow!("{error}"))?;
    let target = SendTarget::listening(config.listen);
    let url = format!("{target}/health/{}", if arguments.live { "live" } else { "ready" });
    tls::install_provider();
    let client = outbound::client()?.timeout(WAIT).build()?;
    let (status, body) = block_on(async {
        let nobody = |error| anyhow!("no buzon answers at {target}: {}", outbound::unanswered(&error));
        let response = client.get(&url).send().await.map_err(nobody)?;
        let status = response.status();
        anyhow::Ok((status, response.bytes().await.map_err(nobody)?))
    })?;
    let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
    match (status.as_u16(), answer["status"].as_str()) {
        (200, Some(said @ ("ready" | "live"))) => Ok(writeln!(terminal::stdout(), "{said}")?),
        _ => match answer["detail"].as_str() {
            Some(detail) => bail!("{detail}"),
            None => bail!("what answers at {target} is not buzon (HTTP {})", status.as_u16()),
        },
    }
}
