//! Checks that the gateway answers and accepts the tokens of its instances, and samples its clock.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use reqwest::header::{DATE, HeaderMap};
use reqwest::{Client, StatusCode};
use tokio::time::timeout;
use url::Url;

use super::Finding;
use super::clock::ClockSample;
use crate::config::Config;
use crate::gateway::{Account, Gateway, GatewayError};
use domain::time::timestamp::Timestamp;
use platform::clock::{Clock, SystemClock};
use platform::outbound;

const GATEWAY: &str = "gateway";
/// The time limit for all requests about one instance.
const WAIT: Duration = Duration::from_secs(20);

pub(super) async fn check(config: &Config, client: &Client) -> (Vec<Finding>, Option<ClockSample>) {
    let Some(url) = &config.gateway.url else {
        let missing = Finding::warning(
            GATEWAY,
            "gateway_url is not set: files are fetched from anywhere, and the gateway is not asked for what it could \
             not deliver",
            "set gateway_url to the gateway's own address",
        );
        return (vec![missing], None);
    };
    let asked = SystemClock.now();
    match client.get(url.clone()).send().await {
        Err(error) => {
            let why = outbound::unanswered(&error);
            let remedy =
                "is gateway_url the gateway's address, does the gateway run, and may this machine connect to it?";
            (vec![Finding::failure(GATEWAY, format!("{url} gives no answer: {why}"), remedy)], None)
        }
        Ok(response) => {
            let their_time = date(response.headers());
            let answered = SystemClock.now();
            let sample = their_time.map(|their_time| ClockSample { of: "the gateway", their_time, asked, answered });
            let mut findings = vec![page_finding(url, response.status())];
            for (instance, token) in &config.gateway.tokens {
                findings.push(check_token(url, &Account { instance: instance.clone(), token: token.clone() }).await);
            }
            (findings, sample)
        }
    }
}

/// Returns the time of the header. It has whole seconds, so the best estimate is the middle of that second.
fn date(headers: &HeaderMap) -> Option<Timestamp> {
    const HALF_A_SECOND: i64 = 500;
    let date = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    let millis: i64 = date.duration_since(UNIX_EPOCH).ok()?.as_millis().try_into().ok()?;
    Some(Timestamp::from_millis(millis + HALF_A_SECOND))
}

/// Judges the answer to a request for the gateway's own page. Any page is fine; requests to the API show more, but need
/// a token.
fn page_finding(url: &Url, status: StatusCode) -> Finding {
    match status {
        _ if status.is_server_error() => Finding::warning(
            GATEWAY,
            format!("{url} answers with an error of its own (HTTP {})", status.as_u16()),
            "wait, or tell the operator of the gateway",
        ),
        _ => Finding::ok(GATEWAY, format!("{url} answers")),
    }
}

/// Asks for the list of failed deliveries, which changes nothing.
async fn check_token(url: &Url, account: &Account) -> Finding {
    let instance = &account.instance;
    let outcome = match Gateway::new(url.clone(), Arc::new(SystemClock), Arc::new(|_| {})) {
        Ok(gateway) => timeout(WAIT, gateway.failed(account, 1)).await,
        Err(error) => Ok(Err(GatewayError::Unanswered(outbound::unanswered(&error)))),
    };
    match outcome {
        Ok(Ok(failed)) if failed.is_empty() => {
            Finding::ok(GATEWAY, format!("it takes the token of instance {instance}, and keeps nothing undelivered"))
        }
        Ok(Ok(_)) => Finding::warning(
            GATEWAY,
            format!("it keeps events of instance {instance} that it could not deliver"),
            format!("see which, and why: buzon gateway failed {instance}"),
        ),
        Ok(Err(error)) => Finding::failure(
            GATEWAY,
            format!("instance {instance}: {error}"),
            "compare gateway_url, and the id and the token of the instance, with the panel",
        ),
        Err(_) => Finding::warning(
            GATEWAY,
            format!("instance {instance}: no answer within {} s", WAIT.as_secs()),
            "try again later",
        ),
    }
}
