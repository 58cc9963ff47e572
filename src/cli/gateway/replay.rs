//! `buzon gateway replay`.

use std::collections::{HashSet, VecDeque};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use indicatif::ProgressBar;
use tokio::time::sleep;

use super::{AccountClient, waiting_line};
use buzon::gateway::{GatewayError, WaitNotice, oldest_first};
use platform::terminal;

/// The number of deliveries that are listed at once. A gateway that lists fewer is asked again.
const LISTED: usize = 500;
const BETWEEN: Duration = Duration::from_millis(20);
/// After so many failures in a row, the gateway is taken to be unable to send any.
const FAILURES_IN_A_ROW: u32 = 10;

/// Prints waits above the bar.
pub(super) fn notice_above(bar: &ProgressBar) -> WaitNotice {
    let bar = bar.clone();
    Arc::new(move |wait| bar.suspend(|| terminal::tell(&waiting_line(wait))))
}

/// Replays these deliveries, or without `ids` all that the gateway lists.
pub(super) async fn run(client: AccountClient, ids: Vec<String>, bar: ProgressBar) -> anyhow::Result<()> {
    let mut done = ReplayCount::default();
    let outcome = match ids.is_empty() {
        true => done.all(&client, &bar).await,
        false => done.these(&client, &bar, ids.into()).await,
    };
    bar.finish_and_clear();
    let mut out = terminal::stdout();
    writeln!(out, "sent again {}, not there any more {}, failed {}", done.sent, done.gone, done.failed)?;
    outcome?;
    if done.failed > 0 {
        bail!("not all could be sent again; see: buzon gateway failed {}", client.account.instance);
    }
    Ok(())
}

#[derive(Default)]
struct ReplayCount {
    sent: u64,
    /// Deliveries that the gateway no longer has, or never had.
    gone: u64,
    failed: u64,
    in_a_row: u32,
}

impl ReplayCount {
    /// Asks for each delivery once, including those that did not fit into the first list.
    async fn all(&mut self, client: &AccountClient, bar: &ProgressBar) -> anyhow::Result<()> {
        let mut asked = HashSet::new();
        loop {
            let mut listed = client.gateway.failed(&client.account, LISTED + asked.len()).await?;
            oldest_first(&mut listed);
            let due = listed.into_iter().filter(|delivery| delivery.is_due()).map(|delivery| delivery.id);
            let ids: VecDeque<String> = due.filter(|id| asked.insert(id.clone())).collect();
            if ids.is_empty() {
                return Ok(());
            }
            self.these(client, bar, ids).await?;
        }
    }

    async fn these(&mut self, client: &AccountClient, bar: &ProgressBar, ids: VecDeque<String>) -> anyhow::Result<()> {
        bar.inc_length(ids.len() as u64);
        for id in ids {
            match client.gateway.replay(&client.account, &id).await {
                Ok(()) => (self.sent, self.in_a_row) = (self.sent + 1, 0),
                Err(GatewayError::UnknownDelivery(_)) => self.gone += 1,
                Err(error) if error.is_about_one() && self.in_a_row + 1 < FAILURES_IN_A_ROW => {
                    (self.failed, self.in_a_row) = (self.failed + 1, self.in_a_row + 1);
                    bar.suspend(|| terminal::tell(&format!("delivery {id}: {error}")));
                }
                Err(error) => return Err(error.into()),
            }
            bar.inc(1);
            sleep(BETWEEN).await;
        }
        Ok(())
    }
}
