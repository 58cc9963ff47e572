//! Asks the gateway for the deliveries that failed while the store or the process was away. Messages then arrive now
//! instead of in an hour, and their files are fetched before the gateway deletes them.
//!
//! An outage is over when events can be stored again. It is followed up in a few rounds, at growing intervals. A round
//! asks for each delivery that the gateway lists and that was not asked for before, the oldest first, and breaks off
//! when events are refused again. So nothing is asked for twice in an outage, and every number is bounded.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Account, FailedDelivery, Gateway, GatewayError, oldest_first};
use platform::meters::{Meters, ReplayRequest};
use platform::outage::Outage;
use platform::supervisor;
use platform::threads::Threads;
use store::{EventStore, Store};

/// The wait before each round. The first one lets listeners and proxies come up.
const ROUNDS: [Duration; 5] = [
    Duration::from_secs(2),
    Duration::from_secs(15),
    Duration::from_secs(60),
    Duration::from_secs(4 * 60),
    Duration::from_secs(15 * 60),
];
/// The maximum number of deliveries of an instance that are asked for in an outage. The gateway sends the others by
/// itself later.
const MOST: usize = 2_000;
/// The number of deliveries that are listed at once.
const LISTED: usize = 500;
const BETWEEN: Duration = Duration::from_millis(100);
/// A round ends after so many failures in a row.
const FAILURES_IN_A_ROW: u32 = 3;

/// The intervals at which the store is probed. They double from the first to the last.
const FIRST_PROBE: Duration = Duration::from_secs(1);
const LAST_PROBE: Duration = Duration::from_secs(15);
/// The time limit of a probe.
const PROBE_WAIT: Duration = Duration::from_secs(2);

/// The pause after an outage, before the next one is followed up. It doubles each time, unless there was no outage for
/// long.
const FIRST_REST: Duration = Duration::from_secs(5);
const LAST_REST: Duration = Duration::from_secs(10 * 60);

/// The parts of the service that the replayer uses.
pub struct ReplayerParts {
    pub gateway: Gateway,
    pub accounts: Vec<Account>,
    /// The store in which events are recorded.
    pub ledger: Arc<dyn EventStore>,
    pub store: Arc<dyn Store>,
    pub outage: Arc<Outage>,
    pub meters: Arc<Meters>,
}

/// The thread of the replayer. It ends when this is dropped.
pub struct Replayer {
    _threads: Threads,
}

impl Replayer {
    /// Starts the replayer, which asks as after an outage, because the process was away, and ends when `stop` is
    /// cancelled.
    ///
    /// # Errors
    /// If its thread cannot be started.
    pub fn start(parts: ReplayerParts, stop: CancellationToken) -> std::io::Result<Self> {
        let threads = Threads::start("gateway", 1)?;
        let ReplayerParts { gateway, accounts, ledger, store, outage, meters } = parts;
        let watch = StoreWatch { ledger, store, outage, meters, runtime: Handle::current() };
        let replaying = Arc::new(Replaying { gateway, accounts, watch });
        let run = move || run(replaying.clone());
        threads.handle().spawn(supervisor::keep_until("replayer", stop, run));
        Ok(Self { _threads: threads })
    }
}

/// The gateway to ask, the accounts to ask for, and the watch that says when.
struct Replaying {
    gateway: Gateway,
    accounts: Vec<Account>,
    watch: StoreWatch,
}

async fn run(replaying: Arc<Replaying>) {
    let Replaying { gateway, accounts, watch } = &*replaying;
    let mut rest = FIRST_REST;
    loop {
        let refused = follow_up(gateway, accounts, watch).await;
        sleep(rest).await;
        let calm = Instant::now();
        watch.outage.more_refused(refused).await;
        rest = if calm.elapsed() > LAST_REST { FIRST_REST } else { (rest * 2).min(LAST_REST) };
    }
}

/// Follows up one outage. Returns how many events had been refused when the store was last seen to work.
async fn follow_up(gateway: &Gateway, accounts: &[Account], watch: &StoreWatch) -> u64 {
    let mut missed: Vec<Missed> = accounts.iter().map(|account| Missed::new(account, &watch.meters)).collect();
    let mut proof = Recovery::Probe;
    let mut refused = watch.outage.refused();
    for pause in ROUNDS {
        sleep(pause).await;
        refused = watch.until_recovered(proof).await;
        for missed in missed.iter_mut().filter(|missed| missed.is_open) {
            missed.round(gateway, || watch.outage.refused() > refused).await;
        }
        if missed.iter().all(|missed| !missed.is_open) {
            break;
        }
        let again = watch.outage.refused() > refused;
        proof = if again { Recovery::Commit } else { Recovery::Probe };
    }
    refused
}

/// The deliveries that an instance has missed in an outage.
struct Missed<'a> {
    account: &'a Account,
    meters: &'a Meters,
    /// The ids of the deliveries that were asked for.
    asked: HashSet<String>,
    /// True while there may be something left to ask for.
    is_open: bool,
    /// The gateway asked not to be asked before this time.
    not_before: Instant,
}

impl<'a> Missed<'a> {
    fn new(account: &'a Account, meters: &'a Meters) -> Self {
        Self { account, meters, asked: HashSet::new(), is_open: true, not_before: Instant::now() }
    }

    async fn round(&mut self, gateway: &Gateway, is_refusing: impl Fn() -> bool) {
        if Instant::now() < self.not_before {
            return;
        }
        let listed = gateway.failed(self.account, LISTED + self.asked.len()).await;
        self.meters.replay(ReplayRequest::List, outcome_label(&listed));
        match listed {
            Ok(listed) => {
                let wanted = self.wanted(listed);
                self.is_open = !wanted.is_empty();
                if self.is_open {
                    self.ask(gateway, wanted, is_refusing).await;
                }
            }
            Err(error) => self.end_with(&error),
        }
    }

    /// Chooses what to ask for from what the gateway lists.
    fn wanted(&self, listed: Vec<FailedDelivery>) -> Vec<FailedDelivery> {
        let (instance, count) = (&self.account.instance, listed.len());
        let is_new = |delivery: &FailedDelivery| delivery.is_due() && !self.asked.contains(&delivery.id);
        let mut wanted: Vec<FailedDelivery> = listed.into_iter().filter(is_new).collect();
        oldest_first(&mut wanted);
        wanted.truncate(MOST - self.asked.len());
        let (asked, wants) = (self.asked.len(), wanted.len());
        info!(
            instance.id = %instance, gateway.failed = count, replay.asked = asked, replay.wanted = wants,
            "the gateway's failed deliveries were looked at; those that are wanted are asked for now"
        );
        wanted
    }

    async fn ask(&mut self, gateway: &Gateway, wanted: Vec<FailedDelivery>, is_refusing: impl Fn() -> bool) {
        let (mut sent, mut failed, mut in_a_row) = (0_u64, 0_u64, 0);
        for delivery in wanted {
            if is_refusing() || in_a_row == FAILURES_IN_A_ROW {
                break;
            }
            let outcome = gateway.replay(self.account, &delivery.id).await;
            self.meters.replay(ReplayRequest::Replay, outcome_label(&outcome));
            if !matches!(outcome, Err(GatewayError::Busy(_))) {
                self.asked.insert(delivery.id);
            }
            match outcome {
                Ok(()) => (sent, in_a_row) = (sent + 1, 0),
                Err(GatewayError::UnknownDelivery(_)) => {}
                Err(error) if error.is_about_one() => (failed, in_a_row) = (failed + 1, in_a_row + 1),
                Err(error) => {
                    self.end_with(&error);
                    break;
                }
            }
            sleep(BETWEEN).await;
        }
        let instance = &self.account.instance;
        info!(instance.id = %instance, replay.sent = sent, replay.failed = failed, "the gateway was asked to send again");
    }

    fn end_with(&mut self, error: &GatewayError) {
        self.is_open = error.may_pass();
        if let GatewayError::Busy(wait) = error {
            self.not_before = Instant::now() + *wait;
        }
        let instance = &self.account.instance;
        let next =
            if self.is_open { "it is asked again later" } else { "it is not asked again before the next outage" };
        warn!(instance.id = %instance, %error, "failed deliveries could not be asked for; {next}");
    }
}

/// Returns the label of an answer for the metrics.
fn outcome_label<T>(answer: &Result<T, GatewayError>) -> &'static str {
    answer.as_ref().err().map_or("ok", GatewayError::code)
}

/// The evidence that is needed to believe that events can be stored again.
#[derive(Clone, Copy)]
enum Recovery {
    /// The database takes a transaction.
    Probe,
    /// An event was stored since the last refusal. A probe is not enough, because the last one succeeded and events were
    /// refused nevertheless, such as on a disk without room.
    Commit,
}

/// Watches whether events can be stored.
struct StoreWatch {
    ledger: Arc<dyn EventStore>,
    store: Arc<dyn Store>,
    outage: Arc<Outage>,
    meters: Arc<Meters>,
    /// The runtime of the store's connections.
    runtime: Handle,
}

impl StoreWatch {
    /// Waits until events can be stored and none was refused for a moment. Returns how many were refused before that.
    async fn until_recovered(&self, proof: Recovery) -> u64 {
        let mut pause = FIRST_PROBE;
        loop {
            let refused = self.outage.refused();
            sleep(pause).await;
            pause = (pause * 2).min(LAST_PROBE);
            if self.outage.refused() > refused {
                continue;
            }
            let has_recovered = match proof {
                _ if self.outage.has_stored_since() => true,
                Recovery::Probe => self.takes_transactions().await,
                Recovery::Commit => false,
            };
            if has_recovered {
                return refused;
            }
        }
    }

    /// Probes the database. The read pool is asked first, because a request that waits for the writer's connection
    /// would hold up events.
    async fn takes_transactions(&self) -> bool {
        let (store, ledger) = (self.store.clone(), self.ledger.clone());
        let probed = self.runtime.spawn(async move {
            let pinged = timeout(PROBE_WAIT, store.ping()).await;
            matches!(pinged, Ok(Ok(()))) && matches!(timeout(PROBE_WAIT, ledger.record_batch(&[])).await, Ok(Ok(_)))
        });
        probed.await.unwrap_or(false)
    }
}
