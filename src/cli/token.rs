use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use clap::{Args, Subcommand};
use comfy_table::Table;
use comfy_table::presets::NOTHING;

use super::{CommonArgs, WrongUse};
use crate::config::Config;
use crate::telemetry;
use domain::access::scope::Scope;
use domain::access::token::{ApiToken, NewToken, Token, TokenName};
use domain::instance::InstanceId;
use domain::time::expiry::Expiry;
use domain::time::timestamp::Timestamp;
use platform::clock::{Clock, SystemClock};
use platform::terminal;
use platform::terminal::escaped;
use store;
use store::{OpenMode, Options, Pending, Store};

#[derive(Subcommand)]
pub(super) enum TokenCommand {
    /// Make a token for a person or a dashboard, and show it: this once
    #[command(after_help = "Example:\n  buzon token create --name panel --instance 123 --expires 30d")]
    Create {
        #[command(flatten)]
        settings: CommonArgs,
        #[command(flatten)]
        wanted: Wanted,
    },
    /// Show all tokens and whether they are taken; never the tokens themselves
    #[command(after_help = "Example:\n  buzon token list")]
    List {
        #[command(flatten)]
        settings: CommonArgs,
    },
    /// End a token, at once
    #[command(after_help = "Example:\n  buzon token revoke panel")]
    Revoke {
        #[command(flatten)]
        settings: CommonArgs,
        /// Its id, its name, or the beginning of it that `buzon token list` shows
        #[arg(value_name = "ID|NAME|PREFIX")]
        which: String,
    },
}

/// What a new token is to be.
#[derive(Args)]
pub(super) struct Wanted {
    /// What it is for, such as "dashboard" or "Ana"
    #[arg(long, value_name = "NAME", value_parser = name)]
    name: TokenName,
    /// See this instance alone; again for each further one [default: everything]
    #[arg(long = "instance", value_name = "ID", value_parser = instance)]
    instances: Vec<InstanceId>,
    /// When it ends: 2027-01-31 (with that day in time_zone), 30d, 12h, 8w, or a time in RFC 3339 [default: never]
    #[arg(long, value_name = "WHEN", value_parser = Expiry::parse)]
    expires: Option<Expiry>,
}

fn name(text: &str) -> Result<TokenName, String> {
    TokenName::new(text).map_err(|error| error.to_string())
}

fn instance(text: &str) -> Result<InstanceId, String> {
    let instance = InstanceId::new(text).map_err(|error| error.to_string())?;
    match instance.is_unstated() {
        true => {
            Err("what came without an instance is seen with a token for everything: leave --instance out".to_owned())
        }
        false => Ok(instance),
    }
}

/// Works beside a running service, in short transactions.
pub(super) fn run(command: TokenCommand) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match command {
            TokenCommand::Create { settings, wanted } => {
                let config = settings.config()?;
                create(&*open(&config).await?, &config, wanted).await
            }
            TokenCommand::List { settings } => list(&*open(&settings.config()?).await?).await,
            TokenCommand::Revoke { settings, which } => revoke(&*open(&settings.config()?).await?, &which).await,
        }
    })
}

async fn open(config: &Config) -> anyhow::Result<Arc<dyn Store>> {
    telemetry::init(&config.log);
    let options = Options {
        database: config.database.clone(),
        pending: Pending::Refuse,
        access: OpenMode::Beside,
        allow_managed_pg: config.allow_managed_pg,
    };
    Ok(store::open(&options).await?)
}

/// The token alone on standard output, so that a script can take it.
async fn create(store: &dyn Store, config: &Config, wanted: Wanted) -> anyhow::Result<()> {
    let now = SystemClock.now();
    let expires_at = wanted.expires.map(|expiry| expiry.resolve(now, &config.time_zone)).transpose();
    let expires_at = expires_at.map_err(|error| WrongUse(format!("--expires: {error}")))?;
    let mut random = [0; Token::RANDOM_BYTES];
    getrandom::fill(&mut random).map_err(|error| anyhow!("the system has no random numbers: {error}"))?;
    let token = Token::from_random(random);
    let instances: BTreeSet<InstanceId> = wanted.instances.into_iter().collect();
    let new = NewToken {
        name: wanted.name,
        prefix: token.prefix().to_owned(),
        digest: token.digest(),
        scope: if instances.is_empty() { Scope::All } else { Scope::Instances(instances) },
        created_at: now,
        expires_at,
    };
    let taken = || {
        WrongUse(format!("there is an active token named {:?}; revoke it, or choose another name", new.name.as_str()))
    };
    warn_of_unknown(store, config, &new.scope).await?;
    let id = store.create_token(&new).await?.ok_or_else(taken)?;
    terminal::tell(&format!(
        "token {id} for {sees}, {ends}. It is shown this once:",
        sees = seen(&new.scope),
        ends = expires_at.map_or("without an end".to_owned(), |at| format!("until {}", at.to_rfc3339())),
    ));
    writeln!(terminal::stdout(), "{}", token.expose()).context("the token was made, and could not be shown")?;
    Ok(())
}

/// An instance that nobody knows of is mostly mistyped; or its first event is still to come, and the token is right.
async fn warn_of_unknown(store: &dyn Store, config: &Config, scope: &Scope) -> anyhow::Result<()> {
    /// The maximum number of instances that the warning names. Nobody reads a longer list.
    const NAMED: usize = 10;
    let Scope::Instances(wanted) = scope else { return Ok(()) };
    let configured = config.instances.iter().map(|instance| instance.id.clone());
    let heard_of = store.last_events().await?.into_iter().map(|(instance, _)| instance);
    let known: BTreeSet<InstanceId> = configured.chain(heard_of).filter(|instance| !instance.is_unstated()).collect();
    for unknown in wanted.difference(&known) {
        let others = match known.len() {
            0 => "no instance is known yet".to_owned(),
            1..=NAMED => format!("known are: {}", seen(&Scope::Instances(known.clone()))),
            many => format!("{many} others are known"),
        };
        terminal::tell(&format!("buzon: warning: nothing is known of instance {unknown}; {others}"));
    }
    Ok(())
}

async fn list(store: &dyn Store) -> anyhow::Result<()> {
    let now = SystemClock.now();
    let time = |at: Option<Timestamp>, otherwise: &str| at.map_or(otherwise.to_owned(), Timestamp::to_rfc3339);
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(["id", "name", "prefix", "instances", "created", "expires", "last used", "state"]);
    for token in store.list_tokens().await? {
        table.add_row([
            token.id.to_string(),
            escaped(&token.name).into_owned(),
            token.prefix.clone(),
            escaped(&seen(&token.scope)).into_owned(),
            token.created_at.to_rfc3339(),
            time(token.expires_at, "never"),
            time(token.last_used_at, "never"),
            token.state(now).as_str().to_owned(),
        ]);
    }
    writeln!(terminal::stdout(), "{}", table.trim_fmt())?;
    Ok(())
}

/// The instances of a scope, for a person.
fn seen(scope: &Scope) -> String {
    match scope {
        Scope::All => "everything".to_owned(),
        Scope::Instances(ids) => ids.iter().map(InstanceId::to_string).collect::<Vec<_>>().join(", "),
    }
}

async fn revoke(store: &dyn Store, which: &str) -> anyhow::Result<()> {
    let now = SystemClock.now();
    let tokens = store.list_tokens().await?;
    let token = chosen(&tokens, which, now)?;
    if !store.revoke_token(token.id, now).await? {
        bail!("token {} was revoked before", token.id);
    }
    writeln!(terminal::stdout(), "token {} ({}) is revoked", token.id, escaped(&token.name))?;
    Ok(())
}

/// The token that is meant. One that has ended is in nobody's way, unless it is the only one.
fn chosen<'t>(tokens: &'t [ApiToken], which: &str, now: Timestamp) -> anyhow::Result<&'t ApiToken> {
    // Somebody who finds a token has all of it.
    let whole = Token::parse(which).map(|token| token.digest());
    let is_meant = |token: &&ApiToken| {
        token.id.to_string() == which
            || token.name == which
            || token.prefix == which
            || whole.as_ref() == Some(&token.digest)
    };
    let meant: Vec<&ApiToken> = tokens.iter().filter(is_meant).collect();
    let active: Vec<&ApiToken> = meant.iter().copied().filter(|token| token.is_active(now)).collect();
    let meant = if active.is_empty() { meant } else { active };
    match meant.as_slice() {
        [token] => Ok(token),
        [] => bail!("there is no token {which:?}; buzon token list shows them"),
        several => {
            let ids: Vec<String> = several.iter().map(|token| token.id.to_string()).collect();
            Err(WrongUse(format!("{which:?} is more than one token; give the id, one of {}", ids.join(", "))).into())
        }
    }
}
