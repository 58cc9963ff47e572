//! `buzon gateway`.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::{ArgGroup, Args, Subcommand};

use super::{CommonArgs, WrongUse, block_on, progress_bar};
use buzon::config::Config;
use buzon::gateway::{Account, Gateway, WaitNotice};
use domain::instance::InstanceId;
use platform::clock::SystemClock;
use platform::terminal;

mod failed;
mod prompt;
mod register;
mod replay;
mod secret_file;
mod token;

#[derive(Subcommand)]
pub(super) enum GatewayCommand {
    /// Tell the gateway where to send an instance's events, and with which secret to sign them
    ///
    /// The URL is BUZON_PUBLIC_URL with /webhook/INSTANCE. The secret is the first one of the instance itself, or else
    /// BUZON_WEBHOOK_SECRET. A buzon that runs here is sent a signed test event first. If it refuses the secret, the
    /// gateway is left as it is.
    #[command(after_help = "Example:\n  buzon gateway register 123 --token-file token")]
    Register {
        #[command(flatten)]
        settings: CommonArgs,
        #[command(flatten)]
        account: AccountArgs,
        /// Make a new secret, and keep the old one valid beside it in the instance's secret file
        #[arg(long)]
        new_secret: bool,
        /// Remove the old secret from the instance's secret file, once the gateway has confirmed the new one
        #[arg(long, conflicts_with = "new_secret")]
        drop_old_secret: bool,
    },
    /// Show the failed deliveries that the gateway keeps, the oldest first
    #[command(after_help = "Example:\n  buzon gateway failed 123 --limit 100")]
    Failed {
        #[command(flatten)]
        settings: CommonArgs,
        #[command(flatten)]
        account: AccountArgs,
        /// The maximum number of deliveries
        #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
        /// Print one JSON array of objects, for programs
        #[arg(long)]
        json: bool,
    },
    /// Have the gateway send failed deliveries again now
    #[command(after_help = "Example:\n  buzon gateway replay 123 --all")]
    #[command(group(ArgGroup::new("which").required(true).args(["ids", "all"])))]
    Replay {
        #[command(flatten)]
        settings: CommonArgs,
        #[command(flatten)]
        account: AccountArgs,
        /// The ids of deliveries, as `buzon gateway failed` shows them
        #[arg(value_name = "ID")]
        ids: Vec<String>,
        /// All failed deliveries, the oldest first
        #[arg(long)]
        all: bool,
    },
}

/// An instance at the gateway, and the file with its token.
#[derive(Args)]
pub(super) struct AccountArgs {
    /// The id of the instance at the gateway
    #[arg(value_name = "INSTANCE", value_parser = instance)]
    instance: InstanceId,
    /// A file with its token at the gateway [default: the token in the settings, or else you are asked for it]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

fn instance(text: &str) -> Result<InstanceId, String> {
    let instance = InstanceId::for_url(text).map_err(|error| error.to_string())?;
    if instance.is_unstated() { Err("the gateway gives every instance an id".to_owned()) } else { Ok(instance) }
}

pub(super) fn run(command: GatewayCommand) -> anyhow::Result<()> {
    block_on(async {
        match command {
            GatewayCommand::Register { settings, account, new_secret, drop_old_secret } => {
                let change = register::SecretChange::of(new_secret, drop_old_secret);
                register::run(AccountClient::open(settings, account, notice())?, change).await
            }
            GatewayCommand::Failed { settings, account, limit, json } => {
                failed::run(AccountClient::open(settings, account, notice())?, limit, json).await
            }
            GatewayCommand::Replay { settings, account, ids, .. } => {
                let bar = progress_bar("sending again {wide_bar} {human_pos} of {human_len}, {eta} left")?;
                let client = AccountClient::open(settings, account, replay::notice_above(&bar))?;
                replay::run(client, ids, bar).await
            }
        }
    })
}

/// A client of the gateway with the account of one instance.
struct AccountClient {
    config: Config,
    gateway: Gateway,
    account: Account,
}

impl AccountClient {
    fn open(settings: CommonArgs, account: AccountArgs, on_wait: WaitNotice) -> anyhow::Result<Self> {
        let config = settings.start()?;
        let url = config.gateway.url.clone().ok_or_else(|| {
            WrongUse(
                "BUZON_GATEWAY_URL is not set; it is the gateway's own address, such as https://whapi.co. Or run this where \
                 buzon.toml is, or give --config".to_owned(),
            )
        })?;
        let token = token::find(&config, &account)?;
        let gateway = Gateway::new(url, Arc::new(SystemClock), on_wait).context("the HTTP client cannot be made")?;
        Ok(Self { config, gateway, account: Account { instance: account.instance, token } })
    }
}

fn notice() -> WaitNotice {
    Arc::new(|wait| terminal::tell(&waiting_line(wait)))
}

fn waiting_line(wait: std::time::Duration) -> String {
    format!("the gateway wants to be asked more slowly; going on in {} seconds", wait.as_secs().max(1))
}
