//! The task that holds the leases: claims what is due, runs it, settles what ended.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::capacity::Shortage;
use super::fetch::Fetcher;
use super::{MediaParts, MediaSettings, job};
use domain::media::{AttemptOutcome, LeasedJob, MediaFailure, MediaState, RetryPolicy, Settlement, StoredFile};
use domain::time::timestamp::Timestamp;
use store::{JobClaim, StoreError};

/// How long a lease is good for. Another process takes over what a dead one held when this has passed.
const LEASE: Duration = Duration::from_secs(30);
const RENEW_EVERY: Duration = Duration::from_secs(10);
/// Nothing lasts longer than this many times what it may, unless a clock was wrong.
const ABSURD: u32 = 10;
/// The longest pause between two looks for jobs: for what another process left behind, or a command put back.
const POLL: Duration = Duration::from_secs(15);
/// The pause when the disk is full or the database is away.
const TROUBLE_PAUSE: Duration = Duration::from_secs(1);
/// How soon it is looked again whether a host that is not busy has something, when it is told that there may be.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// How often the stored files are counted, where there is a quota: other processes store some too.
const COUNT_EVERY: Duration = Duration::from_secs(60);

pub(super) struct Context {
    parts: MediaParts,
    fetcher: Arc<Fetcher>,
    retry: RetryPolicy,
    downloads: usize,
    downloads_per_host: usize,
    /// The host of relative URLs.
    gateway_host: String,
    /// Where attempts run.
    runtime: Handle,
}

impl Context {
    pub(super) fn new(settings: MediaSettings, parts: MediaParts, runtime: Handle) -> Result<Self, reqwest::Error> {
        let retry = settings.retry;
        let downloads = settings.downloads as usize;
        let downloads_per_host = settings.downloads_per_host as usize;
        let gateway_host = settings.gateway_url.as_ref().and_then(|url| url.host_str()).unwrap_or_default().to_owned();
        let (capacity, lookup, clock) = (parts.capacity.clone(), parts.lookup.clone(), parts.clock.clone());
        let fetcher = Arc::new(Fetcher::new(settings, capacity, lookup, clock)?);
        Ok(Self { parts, fetcher, retry, downloads, downloads_per_host, gateway_host, runtime })
    }
}

/// A job that this process has the lease of.
struct HeldJob {
    job: LeasedJob,
    task: AbortHandle,
    /// How it ended, until that is written.
    outcome: Option<AttemptOutcome>,
}

type Attempt = Result<StoredFile, MediaFailure>;

/// The database refuses the very data, and would again.
#[derive(Debug, PartialEq)]
struct Refused;

struct JobRunner {
    context: Arc<Context>,
    held: HashMap<Id, HeldJob>,
    running: JoinSet<Attempt>,
    renew_at: Instant,
    count_at: Instant,
    /// Whether the stored files were counted since the quota was found reached.
    recounted: bool,
    /// Hosts beside which nothing was due, and until when nothing will be.
    nothing_beside: Option<(Vec<String>, Instant)>,
    /// Whether the database was away when it was last needed.
    away: bool,
}

/// Works until `stop` is cancelled, and then gives back the jobs that it holds.
pub(super) async fn run(context: Arc<Context>, stop: CancellationToken) {
    let wake = context.parts.wake.clone();
    let (held, running, now) = (HashMap::new(), JoinSet::new(), Instant::now());
    let mut worker = JobRunner {
        context,
        held,
        running,
        renew_at: now + RENEW_EVERY,
        count_at: now,
        recounted: false,
        nothing_beside: None,
        away: false,
    };
    worker.count().await;
    loop {
        let pause = if worker.settle().await { worker.claim().await } else { TROUBLE_PAUSE };
        tokio::select! {
            Some(ended) = worker.running.join_next_with_id() => worker.ended(ended),
            () = wake.notified() => worker.woken(),
            () = sleep(pause) => {}
            () = sleep_until(worker.renew_at) => worker.renew().await,
            () = sleep_until(worker.count_at) => worker.count().await,
            () = stop.cancelled() => break,
        }
    }
    worker.end().await;
}

impl JobRunner {
    /// Claims and starts what is due, as far as there are places. Returns how long to wait if nothing happens.
    async fn claim(&mut self) -> Duration {
        loop {
            match self.context.parts.capacity.look() {
                Ok(()) => self.recounted = false,
                // Files that came together may have been counted more than once.
                Err(Shortage::Quota) if !self.recounted => {
                    self.recounted = true;
                    self.count().await;
                    continue;
                }
                Err(_) => return TROUBLE_PAUSE,
            }
            let Some(claim) = self.wanted() else { return POLL };
            if let Some(pause) = self.nothing_beside(&claim.busy_hosts) {
                return pause;
            }
            let jobs = self.context.parts.store.claim_media(&claim).await;
            let Some(mut jobs) = self.answered(jobs) else { return TROUBLE_PAUSE };
            let all = jobs.len() < claim.limit as usize;
            jobs.sort_by_key(|job| job.occurred_at);
            jobs.into_iter().for_each(|job| self.start(job));
            if all {
                let pause = self.until_next(claim.now).await;
                self.nothing_beside = Some((claim.busy_hosts, Instant::now() + pause));
                return pause;
            }
        }
    }

    /// How long it is known that nothing is due but for these hosts. To find that out means to walk over all that is
    /// due for them, so it is not done again for every file that ends.
    fn nothing_beside(&self, busy_hosts: &[String]) -> Option<Duration> {
        let (known, until) = self.nothing_beside.as_ref().filter(|(known, _)| !known.is_empty())?;
        let pause = until.checked_duration_since(Instant::now())?;
        (known == busy_hosts).then_some(pause)
    }

    /// There may be something new.
    fn woken(&mut self) {
        if let Some((_, until)) = &mut self.nothing_beside {
            *until = (*until).min(Instant::now() + LOOK_AGAIN);
        }
    }

    /// As many jobs as there are places, and no more of any host than it has places; `None` if there are none.
    fn wanted(&self) -> Option<JobClaim> {
        let mut hosts = HashMap::<&str, usize>::new();
        for held in self.held.values() {
            *hosts.entry(self.host(&held.job)).or_default() += 1;
        }
        let places = self.context.downloads.saturating_sub(self.held.len());
        let (busy, free): (Vec<_>, Vec<_>) =
            hosts.into_iter().partition(|(_, held)| *held >= self.context.downloads_per_host);
        let busiest = free.into_iter().map(|(_, held)| held).max().unwrap_or_default();
        let limit = places.min(self.context.downloads_per_host - busiest);
        let mut busy_hosts: Vec<String> = busy.into_iter().map(|(host, _)| host.to_owned()).collect();
        if busy_hosts.contains(&self.context.gateway_host) {
            busy_hosts.push(String::new());
        }
        busy_hosts.sort();
        busy_hosts.dedup();
        let (limit, now) = (u32::try_from(limit).unwrap_or(u32::MAX), self.context.parts.clock.now());
        let claim = JobClaim {
            now,
            lease_until: now + LEASE,
            lease_absurd_after: now + LEASE * ABSURD,
            attempt_absurd_after: now + RetryPolicy::MAX_WAIT * ABSURD,
            limit,
            busy_hosts,
        };
        (limit > 0).then_some(claim)
    }

    /// A relative URL is asked of the gateway.
    fn host<'j>(&'j self, job: &'j LeasedJob) -> &'j str {
        if job.source_host.is_empty() { &self.context.gateway_host } else { &job.source_host }
    }

    /// Starts a job. One that is under way here already, because its lease ran out before it could be renewed, goes on
    /// under the new one.
    fn start(&mut self, job: LeasedJob) {
        if let Some(held) = self.held.values_mut().find(|held| held.job.lease.key == job.lease.key) {
            held.job = job;
            return;
        }
        let (fetcher, parts) = (self.context.fetcher.clone(), self.context.parts.clone());
        let leased = job.clone();
        let attempt = async move { job::attempt(&fetcher, &parts, &leased).await };
        let task = self.running.spawn_on(attempt, &self.context.runtime);
        self.held.insert(task.id(), HeldJob { job, task, outcome: None });
    }

    /// Until the next job is due, or until a look for what nobody announced; not all processes at the same time.
    async fn until_next(&mut self, now: Timestamp) -> Duration {
        let due = self.context.parts.store.next_media_due(now).await;
        let due = self.answered(due).flatten().map(|due| self.until(due));
        POLL.mul_f64(0.5 + random() / 2.0).min(due.unwrap_or(POLL))
    }

    fn until(&self, due: Timestamp) -> Duration {
        let millis = due.millis().saturating_sub(self.context.parts.clock.now().millis());
        Duration::from_millis(millis.try_into().unwrap_or_default())
    }

    /// Notes how an attempt ended.
    fn ended(&mut self, ended: Result<(Id, Attempt), JoinError>) {
        let (id, attempt) = match ended {
            Ok((id, attempt)) => (id, attempt),
            Err(error) if error.is_panic() => {
                (error.id(), Err(MediaFailure::transient("buzon failed; its log says why")))
            }
            Err(error) => {
                self.held.remove(&error.id());
                return;
            }
        };
        let Some(held) = self.held.get_mut(&id) else { return };
        if attempt == Err(MediaFailure::BucketFull) {
            self.context.parts.capacity.full();
        }
        let now = self.context.parts.clock.now();
        held.outcome = Some(match attempt {
            Ok(file) => AttemptOutcome::Stored { file, at: now },
            Err(failure) => self.context.retry.outcome(&held.job, &failure, now, random()),
        });
    }

    /// Counts the stored files, if there is a quota.
    async fn count(&mut self) {
        self.count_at = Instant::now() + COUNT_EVERY;
        self.context.parts.capacity.count(&*self.context.parts.store).await;
    }

    /// Writes how attempts ended, all that did. Returns whether nothing is left to be written.
    async fn settle(&mut self) -> bool {
        while let Some(ended) = self.running.try_join_next_with_id() {
            self.ended(ended);
        }
        let ended: Vec<Id> = self.held.iter().filter(|(_, held)| held.outcome.is_some()).map(|(id, _)| *id).collect();
        if self.write(&ended).await == Err(Refused) {
            self.write_each(&ended).await;
        }
        self.held.values().all(|held| held.outcome.is_none())
    }

    /// Finds the one that the database refuses, for the sake of the others.
    async fn write_each(&mut self, ended: &[Id]) {
        for id in ended {
            if self.write(&[*id]).await == Err(Refused) {
                self.set_aside(*id);
                if self.write(&[*id]).await == Err(Refused) {
                    // Its lease ends by itself.
                    self.held.remove(id);
                }
            }
        }
    }

    /// Writes how these attempts ended, unless the database does not answer.
    async fn write(&mut self, ended: &[Id]) -> Result<(), Refused> {
        let mut settlements: Vec<Settlement> = ended.iter().filter_map(|id| self.held.get(id)?.settlement()).collect();
        // In the order in which the writer of events locks rows.
        settlements.sort_by(|a, b| a.lease.cmp(&b.lease));
        if settlements.is_empty() {
            return Ok(());
        }
        let settled = self.context.parts.store.settle_media(&settlements).await;
        if matches!(settled, Err(StoreError::Refused { .. })) {
            return Err(Refused);
        }
        let Some(settled) = self.answered(settled) else { return Ok(()) };
        if settlements.iter().any(|it| !matches!(it.outcome, AttemptOutcome::Stored { .. })) {
            self.nothing_beside = None;
        }
        for held in ended.iter().filter_map(|id| self.held.remove(id)) {
            match held.outcome {
                Some(outcome) if settled.contains(&held.job.lease) => {
                    self.context.parts.meters.settle(&outcome);
                    note(&held.job, &outcome);
                }
                _ => warn!("a media job took so long that another worker has taken it over"),
            }
        }
        Ok(())
    }

    /// The database does not hold what became of this file, for example because of a trigger of the owner's.
    fn set_aside(&mut self, id: Id) {
        error!("the database refuses what became of a media file; the job is given up");
        if let Some(held) = self.held.get_mut(&id) {
            let reason = "the database refused what was known of the file".to_owned();
            held.outcome = Some(AttemptOutcome::GivenUp { state: MediaState::Failed, reason });
        }
    }

    /// Lengthens the leases, and breaks off what is no longer ours.
    async fn renew(&mut self) {
        self.renew_at = Instant::now() + RENEW_EVERY;
        if self.held.is_empty() {
            return;
        }
        let mut leases: Vec<_> = self.held.values().map(|held| held.job.lease.clone()).collect();
        leases.sort();
        let until = self.context.parts.clock.now() + LEASE;
        let renewed = self.context.parts.store.renew_media(&leases, until).await;
        let Some(renewed) = self.answered(renewed) else {
            self.renew_at = Instant::now() + TROUBLE_PAUSE;
            return;
        };
        for (_, lost) in self.held.extract_if(|_, held| !renewed.contains(&held.job.lease)) {
            lost.task.abort();
        }
    }

    /// Breaks off what runs, and gives it back as if it had not begun.
    async fn end(mut self) {
        self.running.shutdown().await;
        for held in self.held.values_mut() {
            held.outcome.get_or_insert(AttemptOutcome::Released);
        }
        if !self.settle().await {
            warn!("media jobs could not be given back; they are taken up again when their leases have run out");
        }
    }

    /// What the database answered. An error is logged once, until it answers again.
    fn answered<T>(&mut self, answer: Result<T, StoreError>) -> Option<T> {
        match answer {
            Ok(answer) => {
                self.away = false;
                Some(answer)
            }
            Err(StoreError::Contended { .. }) => None,
            Err(error) => {
                if !std::mem::replace(&mut self.away, true) {
                    warn!(%error, "media jobs wait for the database");
                }
                None
            }
        }
    }
}

impl HeldJob {
    fn settlement(&self) -> Option<Settlement> {
        Some(Settlement { lease: self.job.lease.clone(), attempts: self.job.attempts, outcome: self.outcome.clone()? })
    }
}

/// Logs what was settled: never the path of a URL or a message's id, which can name people.
fn note(job: &LeasedJob, outcome: &AttemptOutcome) {
    let instance = &job.lease.key.instance_id;
    match outcome {
        AttemptOutcome::Stored { file, .. } => {
            debug!(instance.id = %instance, file.size, "a media file is stored");
        }
        AttemptOutcome::Retry { reason, .. } | AttemptOutcome::Postponed { reason, .. } => {
            debug!(instance.id = %instance, job.attempts, "a media file waits: {reason}")
        }
        AttemptOutcome::GivenUp { state: MediaState::Expired, reason } => {
            warn!(instance.id = %instance, "a media file is lost: {reason}");
        }
        AttemptOutcome::GivenUp { state, reason } => {
            warn!(instance.id = %instance, %state, "a media file was not saved: {reason}; buzon media list shows it");
        }
        AttemptOutcome::Released => {}
    }
}

/// From 0 to 1.
fn random() -> f64 {
    getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX))
}
