//! `buzon token`.

use std::collections::BTreeSet;
use std::io::Write;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use comfy_table::Table;
use comfy_table::presets::NOTHING;

use super::{CommonArgs, WrongUse, block_on, open_beside};
use buzon::config::Config;
use domain::access::scope::Scope;
use domain::access::token::{ApiToken, NewToken, Token, TokenName};
use domain::instance::InstanceId;
use domain::time::expiry::Expiry;
use domain::time::timestamp::Timestamp;
use platform::clock::{Clock, SystemClock};
use platform::random;
use platform::terminal::{self, escaped};
use store::Store;

#[derive(Subcommand)]
pub(super) enum TokenCommand {
    /// Make a token for a person or a dashboard, and show it this once
    #[command(after_help = "Example:\n  buzon token create --name panel --instance 123 --expires 30d")]
    Create {
        #[command(flatten)]
        settings: CommonArgs,
        #[command(flatten)]
        new: NewTokenArgs,
    },
    /// Show all tokens and whether they are valid, but never the tokens themselves
    #[command(after_help = "Example:\n  buzon token list")]
    List {
        #[command(flatten)]
        settings: CommonArgs,
    },
    /// End a token at once
    #[command(after_help = "Example:\n  buzon token revoke panel")]
    Revoke {
        #[command(flatten)]
        settings: CommonArgs,
        /// Its id, its name, or its beginning as `buzon token list` shows it
        #[arg(value_name = "ID|NAME|PREFIX")]
        which: String,
    },
}

/// The properties of a new token.
#[derive(Args)]
pub(super) struct NewTokenArgs {
    /// The purpose of the token, such as "dashboard" or "Ana"
    #[arg(long, value_name = "NAME", value_parser = TokenName::new)]
    name: TokenName,
    /// Allow only this instance; can be repeated [default: everything]
    #[arg(long = "instance", value_name = "ID", value_parser = instance)]
    instances: Vec<InstanceId>,
    /// The end of the token: 2027-01-31 (including that day in time_zone), 30d, 12h, 8w, or a time in RFC 3339
    /// [default: never]
    #[arg(long, value_name = "WHEN", value_parser = Expiry::parse)]
    expires: Option<Expiry>,
    /// Also allow to export everything that the token can read
    #[arg(long)]
    export: bool,
}

fn instance(text: &str) -> Result<InstanceId, String> {
    let instance = InstanceId::new(text).map_err(|error| error.to_string())?;
    match instance.is_unstated() {
        true => {
            Err("events without an instance can be read only with a token for everything: leave --instance out"
                .to_owned())
        }
        false => Ok(instance),
    }
}

/// Runs a command in short transactions, beside a running service.
pub(super) fn run(command: TokenCommand) -> anyhow::Result<()> {
    block_on(async {
        match command {
            TokenCommand::Create { settings, new } => {
                let config = settings.start()?;
                create(&*open_beside(&config).await?, &config, new).await
            }
            TokenCommand::List { settings } => list(&*open_beside(&settings.start()?).await?).await,
            TokenCommand::Revoke { settings, which } => revoke(&*open_beside(&settings.start()?).await?, &which).await,
        }
    })
}

/// Prints the token alone on standard output, so that a script can read it.
async fn create(store: &dyn Store, config: &Config, arguments: NewTokenArgs) -> anyhow::Result<()> {
    let now = SystemClock.now();
    let expires_at = arguments.expires.map(|expiry| expiry.resolve(now, &config.time_zone)).transpose();
    let expires_at = expires_at.map_err(|error| WrongUse(format!("--expires: {error}")))?;
    let token = Token::from_random(random::bytes()?);
    let instances: BTreeSet<InstanceId> = arguments.instances.into_iter().collect();
    let new = NewToken {
        name: arguments.name,
        prefix: token.prefix().to_owned(),
        digest: token.digest(),
        scope: if instances.is_empty() { Scope::All } else { Scope::Instances(instances) },
        created_at: now,
        expires_at,
        can_export: arguments.export,
    };
    let taken = || {
        WrongUse(format!("there is an active token named {:?}; revoke it, or choose another name", new.name.as_str()))
    };
    warn_about_unknown(store, config, &new.scope).await?;
    let id = store.create_token(&new).await?.ok_or_else(taken)?;
    terminal::tell(&format!(
        "token {id} for {sees}{exports}, {ends}. It is shown this once:",
        sees = scope_text(&new.scope),
        exports = if new.can_export { " and exports of it" } else { "" },
        ends = expires_at.map_or("without an end".to_owned(), |at| format!("until {}", at.to_rfc3339())),
    ));
    writeln!(terminal::stdout(), "{}", token.expose()).context("the token was made, and could not be shown")?;
    Ok(())
}

/// Warns about instances that are neither configured nor in the database. Mostly they are mistyped, but the first event
/// may also be still to come.
async fn warn_about_unknown(store: &dyn Store, config: &Config, scope: &Scope) -> anyhow::Result<()> {
    /// The maximum number of instances that the warning names. Nobody reads a longer list.
    const NAMED: usize = 10;
    let Scope::Instances(chosen) = scope else { return Ok(()) };
    let configured = config.instances.iter().map(|instance| instance.id.clone());
    let seen = store.last_events().await?.into_iter().map(|(instance, _)| instance);
    let known: BTreeSet<InstanceId> = configured.chain(seen).filter(|instance| !instance.is_unstated()).collect();
    for unknown in chosen.difference(&known) {
        let others = match known.len() {
            0 => "no instance is known yet".to_owned(),
            1..=NAMED => format!("known are: {}", scope_text(&Scope::Instances(known.clone()))),
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
    table.set_header(["id", "name", "prefix", "instances", "exports", "created", "expires", "last used", "state"]);
    for token in store.list_tokens().await? {
        table.add_row([
            token.id.to_string(),
            escaped(&token.name).into_owned(),
            token.prefix.clone(),
            escaped(&scope_text(&token.scope)).into_owned(),
            if token.can_export { "yes" } else { "no" }.to_owned(),
            token.created_at.to_rfc3339(),
            time(token.expires_at, "never"),
            time(token.last_used_at, "never"),
            token.state(now).as_str().to_owned(),
        ]);
    }
    writeln!(terminal::stdout(), "{}", table.trim_fmt())?;
    Ok(())
}

/// Returns the instances of a scope as text.
fn scope_text(scope: &Scope) -> String {
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

/// Returns the token that is meant. Tokens that have ended count only if no active one is meant.
fn chosen<'t>(tokens: &'t [ApiToken], which: &str, now: Timestamp) -> anyhow::Result<&'t ApiToken> {
    // Somebody who finds a token can give all of it.
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
