//! `buzon login`.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};

use anyhow::Context;
use clap::Args;
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use secrecy::ExposeSecret;

use super::{CommonArgs, WrongUse, block_on, open_beside};
use buzon::config::{Config, data_dir};
use domain::access::session::LoginCode;
use domain::access::ticket::{TicketHolder, TicketKey};
use domain::access::token::{ApiToken, TokenDigest};
use platform::clock::{Clock, SystemClock};
use platform::random;
use platform::terminal;

/// The arguments of the command.
#[derive(Args)]
pub(super) struct LoginArgs {
    #[command(flatten)]
    settings: CommonArgs,
    /// Log in with what this token may see, given by its name or id [default: everything]
    #[arg(long, value_name = "NAME|ID")]
    token: Option<String>,
    /// Leave the QR code out
    #[arg(long)]
    no_qr: bool,
}

/// Prints the link alone on standard output, so that a script can read it.
pub(super) fn run(arguments: LoginArgs) -> anyhow::Result<()> {
    let config = arguments.settings.start()?;
    if !config.dashboard {
        return Err(WrongUse("there is no page to log in to: dashboard = false".to_owned()).into());
    }
    let named = arguments.token.as_deref();
    let token = named.map(|name| block_on(async { token(&config, name).await })).transpose()?;
    let code = code(&config, token.as_ref())?;
    // The code is in the fragment, which no browser sends to a server and no proxy logs.
    let link = format!("{}/#login={}", address(&config), code.to_text());
    if !arguments.no_qr {
        let image = QrCode::with_error_correction_level(&link, EcLevel::L).context("the link is too long")?;
        // Terminals are mostly dark, and a phone reads dark squares on light ground.
        let image = image.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
        image.lines().for_each(terminal::tell);
    }
    terminal::tell(
        "this link logs one browser in, within five minutes. Whoever has it reads everything that the token reads:",
    );
    writeln!(terminal::stdout(), "{link}").context("the link was made, and could not be shown")?;
    Ok(())
}

async fn token(config: &Config, which: &str) -> anyhow::Result<ApiToken> {
    let now = SystemClock.now();
    let tokens = open_beside(config).await?.list_tokens().await?;
    let active = tokens.into_iter().filter(|token| token.is_active(now));
    let mut meant = active.filter(|token| token.name == which || token.id.to_string() == which);
    let unknown = || WrongUse(format!("there is no active token {which:?}; buzon token list shows them"));
    Ok(meant.next().ok_or_else(unknown)?)
}

fn code(config: &Config, token: Option<&ApiToken>) -> anyhow::Result<LoginCode> {
    let key = config.ticket_key.clone().map_or_else(|| data_dir::ticket_key(&config.data_dir), Ok)?;
    let (holder, digest) = match token {
        Some(token) => (TicketHolder::Token(token.id), token.digest.clone()),
        None => {
            let owner = config.api_token.clone().map_or_else(|| data_dir::token(&config.data_dir), Ok)?;
            (TicketHolder::Owner, TokenDigest::of(owner.expose_secret().as_bytes()))
        }
    };
    Ok(TicketKey::new(key).issue_code(holder, &digest, SystemClock.now(), random::bytes()?))
}

/// Returns the address of the page: the public one, or that of the listener on this machine.
fn address(config: &Config) -> String {
    match &config.public_url {
        Some(url) => url.as_str().trim_end_matches('/').to_owned(),
        None => {
            let listener = config.api_listen.unwrap_or(config.listen);
            let host = if listener.ip().is_unspecified() { "localhost".to_owned() } else { host(listener) };
            format!("http://{host}:{}", listener.port())
        }
    }
}

/// Returns the host of an address as a URL has it.
fn host(listener: SocketAddr) -> String {
    match listener.ip() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}
