//! Asks the gateway for what it could not deliver while the store or the process was away: messages then come now and
//! not in an hour, and their files before the gateway deletes them.
//!
//! An outage is over when events can be stored again. It is followed up in a few rounds, further and further apart. A
//! round asks for each delivery that the gateway lists and that was not asked for before, the oldest first, and breaks
//! off when events are refused again. So nothing is asked for twice in an outage, and every number is bounded.

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

/// How long each round of an outage waits. The first lets listeners and proxies come up.
const ROUNDS: [Duration; 5] = [
    Duration::from_secs(2),
    Duration::from_secs(15),
    Duration::from_secs(60),
    Duration::from_secs(4 * 60),
    Duration::from_secs(15 * 60),
];
/// How many deliveries of an instance are asked for in an outage. The gateway sends the others by itself in time.
const MOST: usize = 2_000;
/// How many are listed at once.
const LISTED: usize = 500;
const BETWEEN: Duration = Duration::from_millis(100);
/// So many that the gateway cannot send one after the other are enough for a round.
const FAILURES_IN_A_ROW: u32 = 3;

/// How often it is looked whether events can be stored again; the last goes on.
const FIRST_LOOK: Duration = Duration::from_secs(1);
const LAST_LOOK: Duration = Duration::from_secs(15);
const LOOK_WAIT: Duration = Duration::from_secs(2);

/// How long an outage is not looked for after another: twice as long each time, unless there was none for long.
const FIRST_REST: Duration = Duration::from_secs(5);
const LAST_REST: Duration = Duration::from_secs(10 * 60);

/// What the replayer works with.
pub struct ReplayerParts {
    pub gateway: Gateway,
    pub accounts: Vec<Account>,
    /// Where events are recorded.
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
        let watch = Watch { ledger, store, outage, meters, runtime: Handle::current() };
        let asking = Arc::new(Asking { gateway, accounts, watch });
        let run = move || run(asking.clone());
        threads.handle().spawn(supervisor::keep_until("replayer", stop, run));
        Ok(Self { _threads: threads })
    }
}

/// The gateway to ask, the accounts to ask for, and the watch that says when.
struct Asking {
    gateway: Gateway,
    accounts: Vec<Account>,
    watch: Watch,
}

async fn run(asking: Arc<Asking>) {
    let Asking { gateway, accounts, watch } = &*asking;
    let mut rest = FIRST_REST;
    loop {
        let well = follow_up(gateway, accounts, watch).await;
        sleep(rest).await;
        let calm = Instant::now();
        watch.outage.more_refused(well).await;
        rest = if calm.elapsed() > LAST_REST { FIRST_REST } else { (rest * 2).min(LAST_REST) };
    }
}

/// Follows up one outage. Returns how many events had been refused when all was well for the last time.
async fn follow_up(gateway: &Gateway, accounts: &[Account], watch: &Watch) -> u64 {
    let mut missed: Vec<Missed> = accounts.iter().map(|account| Missed::new(account, &watch.meters)).collect();
    let mut proof = Proof::Look;
    let mut well = watch.outage.refused();
    for pause in ROUNDS {
        sleep(pause).await;
        well = watch.until_well(proof).await;
        for missed in missed.iter_mut().filter(|missed| missed.is_open) {
            missed.round(gateway, || watch.outage.refused() > well).await;
        }
        if missed.iter().all(|missed| !missed.is_open) {
            break;
        }
        let again = watch.outage.refused() > well;
        proof = if again { Proof::Commit } else { Proof::Look };
    }
    well
}

/// What an instance has missed in an outage.
struct Missed<'a> {
    account: &'a Account,
    meters: &'a Meters,
    asked: HashSet<String>,
    /// Whether there may be something left to ask for.
    is_open: bool,
    /// Not to be asked before, by the gateway's word.
    rests_until: Instant,
}

impl<'a> Missed<'a> {
    fn new(account: &'a Account, meters: &'a Meters) -> Self {
        Self { account, meters, asked: HashSet::new(), is_open: true, rests_until: Instant::now() }
    }

    async fn round(&mut self, gateway: &Gateway, is_refusing: impl Fn() -> bool) {
        if Instant::now() < self.rests_until {
            return;
        }
        let listed = gateway.failed(self.account, LISTED + self.asked.len()).await;
        self.meters.replay(ReplayRequest::List, said(&listed));
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

    /// What is to be asked for, of all that the gateway lists.
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
            self.meters.replay(ReplayRequest::Replay, said(&outcome));
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
            self.rests_until = Instant::now() + *wait;
        }
        let instance = &self.account.instance;
        let next =
            if self.is_open { "it is asked again later" } else { "it is not asked again before the next outage" };
        warn!(instance.id = %instance, %error, "failed deliveries could not be asked for; {next}");
    }
}

/// The word for what the gateway said.
fn said<T>(answer: &Result<T, GatewayError>) -> &'static str {
    answer.as_ref().err().map_or("ok", GatewayError::code)
}

/// What shows that events can be stored again.
#[derive(Clone, Copy)]
enum Proof {
    /// That the database takes a transaction.
    Look,
    /// An event that was stored: the last look said yes, and events were refused all the same.
    Commit,
}

/// Sees whether events can be stored.
struct Watch {
    ledger: Arc<dyn EventStore>,
    store: Arc<dyn Store>,
    outage: Arc<Outage>,
    meters: Arc<Meters>,
    /// Where the store's connections live.
    runtime: Handle,
}

impl Watch {
    /// Waits until events can be stored and none was refused for a moment. Returns how many had been until then.
    async fn until_well(&self, proof: Proof) -> u64 {
        let stored = self.outage.stored();
        let mut pause = FIRST_LOOK;
        loop {
            let refused = self.outage.refused();
            sleep(pause).await;
            pause = (pause * 2).min(LAST_LOOK);
            if self.outage.refused() > refused {
                continue;
            }
            let is_well = match proof {
                _ if self.outage.stored() > stored => true,
                Proof::Look => self.takes_transactions().await,
                Proof::Commit => false,
            };
            if is_well {
                return refused;
            }
        }
    }

    /// Asks the readers first: what waits for the writer's connection would hold up events.
    async fn takes_transactions(&self) -> bool {
        let (store, ledger) = (self.store.clone(), self.ledger.clone());
        let looked = self.runtime.spawn(async move {
            let asked = timeout(LOOK_WAIT, store.ping()).await;
            matches!(asked, Ok(Ok(()))) && matches!(timeout(LOOK_WAIT, ledger.record_batch(&[])).await, Ok(Ok(_)))
        });
        looked.await.unwrap_or(false)
    }
}
