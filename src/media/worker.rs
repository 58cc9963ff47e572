//! The task that holds the leases: it claims the jobs that are due, runs them, and settles those that have ended.

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
use super::sweeper::{TAKEN_OVER, discard};
use super::{MediaParts, MediaSettings, job};
use domain::media::{AttemptOutcome, LeasedJob, MediaFailure, MediaState, RetryPolicy, Settlement, StoredFile};
use domain::time::timestamp::Timestamp;
use platform::random;
use store::{JobClaim, StoreError};

/// The duration of a lease. When it has run out, another process takes over the job of a process that died.
const LEASE: Duration = Duration::from_secs(30);
const RENEW_EVERY: Duration = Duration::from_secs(10);
/// A lease or a wait that is this many times longer than the longest possible one comes from a wrong clock.
const ABSURD: u32 = 10;
/// The longest pause between two claims, for jobs that another process left behind or a command put back.
const POLL: Duration = Duration::from_secs(15);
/// The pause when there is no room for files or the database does not answer.
const ERROR_PAUSE: Duration = Duration::from_secs(1);
/// The delay after a notification until the hosts that are not busy are checked again.
const RECHECK_AFTER: Duration = Duration::from_millis(250);
/// The interval at which the stored files are counted if there is a quota, because other processes store files too.
const COUNT_EVERY: Duration = Duration::from_secs(60);

/// The parts and limits that the worker needs for its jobs.
pub(super) struct WorkerContext {
    parts: MediaParts,
    fetcher: Arc<Fetcher>,
    retry: RetryPolicy,
    downloads: usize,
    downloads_per_host: usize,
    /// The host of relative URLs.
    gateway_host: String,
    /// The runtime of the attempts.
    runtime: Handle,
}

impl WorkerContext {
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

/// A job that this process holds the lease of.
struct HeldJob {
    job: LeasedJob,
    task: AbortHandle,
    /// The outcome of the attempt, until it is written to the database.
    outcome: Option<AttemptOutcome>,
}

type Attempt = Result<StoredFile, MediaFailure>;

/// An error of a settlement whose data the database refuses, now and in every retry.
#[derive(Debug, PartialEq)]
struct SettlementRefused;

struct JobRunner {
    context: Arc<WorkerContext>,
    held: HashMap<Id, HeldJob>,
    running: JoinSet<Attempt>,
    renew_at: Instant,
    count_at: Instant,
    /// True if the stored files were counted since the quota was found to be reached.
    recounted: bool,
    /// Busy hosts beside which no job was due, and until when none will be.
    none_due_beside: Option<(Vec<String>, Instant)>,
    /// True if the database did not answer the last request.
    is_away: bool,
}

/// Works until `stop` is cancelled, and then gives back the jobs that it holds.
pub(super) async fn run(context: Arc<WorkerContext>, stop: CancellationToken) {
    let wake = context.parts.wake.clone();
    let (held, running, now) = (HashMap::new(), JoinSet::new(), Instant::now());
    let mut worker = JobRunner {
        context,
        held,
        running,
        renew_at: now + RENEW_EVERY,
        count_at: now,
        recounted: false,
        none_due_beside: None,
        is_away: false,
    };
    worker.count().await;
    loop {
        let pause = if worker.settle().await { worker.claim().await } else { ERROR_PAUSE };
        tokio::select! {
            Some(ended) = worker.running.join_next_with_id() => worker.ended(ended),
            () = wake.notified() => worker.recheck_soon(),
            () = sleep(pause) => {}
            () = sleep_until(worker.renew_at) => worker.renew().await,
            () = sleep_until(worker.count_at) => worker.count().await,
            () = stop.cancelled() => break,
        }
    }
    worker.end().await;
}

impl JobRunner {
    /// Claims and starts the jobs that are due, as far as there are free places. Returns how long to wait if nothing
    /// happens.
    async fn claim(&mut self) -> Duration {
        loop {
            match self.context.parts.capacity.check() {
                Ok(()) => self.recounted = false,
                // Files that were stored at the same time may have been counted more than once.
                Err(Shortage::Quota) if !self.recounted => {
                    self.recounted = true;
                    self.count().await;
                    continue;
                }
                Err(_) => return ERROR_PAUSE,
            }
            let Some(claim) = self.next_claim() else { return POLL };
            if let Some(pause) = self.none_due_beside(&claim.busy_hosts) {
                return pause;
            }
            let jobs = self.context.parts.store.claim_media(&claim).await;
            let Some(mut jobs) = self.available(jobs) else { return ERROR_PAUSE };
            let all = jobs.len() < claim.limit as usize;
            jobs.sort_by_key(|job| job.occurred_at);
            jobs.into_iter().for_each(|job| self.start(job));
            if all {
                let pause = self.until_next(claim.now).await;
                self.none_due_beside = Some((claim.busy_hosts, Instant::now() + pause));
                return pause;
            }
        }
    }

    /// Returns for how long it is known that nothing is due for any other host. Finding that out means a scan of all
    /// that is due for the busy hosts, so it is not repeated whenever a download ends.
    fn none_due_beside(&self, busy_hosts: &[String]) -> Option<Duration> {
        let (known, until) = self.none_due_beside.as_ref().filter(|(known, _)| !known.is_empty())?;
        let pause = until.checked_duration_since(Instant::now())?;
        (known == busy_hosts).then_some(pause)
    }

    /// Forgets early that nothing was due, because there may be a new job.
    fn recheck_soon(&mut self) {
        if let Some((_, until)) = &mut self.none_due_beside {
            *until = (*until).min(Instant::now() + RECHECK_AFTER);
        }
    }

    /// Returns a claim for as many jobs as there are free places, in all and for each host, or `None` if there are
    /// none.
    fn next_claim(&self) -> Option<JobClaim> {
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

    /// Returns the host of a job, which is the gateway for a relative URL.
    fn host<'j>(&'j self, job: &'j LeasedJob) -> &'j str {
        if job.source_host.is_empty() { &self.context.gateway_host } else { &job.source_host }
    }

    /// Starts a job. If the job is already running here, because its lease ran out before it could be renewed, it goes
    /// on under the new lease.
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

    /// Returns the time until the next job is due, or a poll interval with jitter, so that processes do not poll at the
    /// same moment.
    async fn until_next(&mut self, now: Timestamp) -> Duration {
        let due = self.context.parts.store.next_media_due(now).await;
        let due = self.available(due).flatten().map(|due| self.until(due));
        POLL.mul_f64(0.5 + random::unit() / 2.0).min(due.unwrap_or(POLL))
    }

    fn until(&self, due: Timestamp) -> Duration {
        let millis = due.millis().saturating_sub(self.context.parts.clock.now().millis());
        Duration::from_millis(millis.try_into().unwrap_or_default())
    }

    /// Records how an attempt ended.
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
            self.context.parts.capacity.note_full_bucket();
        }
        let now = self.context.parts.clock.now();
        held.outcome = Some(match attempt {
            Ok(file) => AttemptOutcome::Stored { file, at: now },
            Err(failure) => self.context.retry.outcome(&held.job, &failure, now, random::unit()),
        });
    }

    /// Counts the stored files, if there is a quota.
    async fn count(&mut self) {
        self.count_at = Instant::now() + COUNT_EVERY;
        self.context.parts.capacity.count(&*self.context.parts.store).await;
    }

    /// Writes to the database how attempts ended. Returns whether everything was written.
    async fn settle(&mut self) -> bool {
        while let Some(ended) = self.running.try_join_next_with_id() {
            self.ended(ended);
        }
        let ended: Vec<Id> = self.held.iter().filter(|(_, held)| held.outcome.is_some()).map(|(id, _)| *id).collect();
        if self.write(&ended).await == Err(SettlementRefused) {
            self.write_each(&ended).await;
        }
        self.held.values().all(|held| held.outcome.is_none())
    }

    /// Writes one settlement at a time, so that the one that the database refuses does not hold up the others.
    async fn write_each(&mut self, ended: &[Id]) {
        for id in ended {
            if self.write(&[*id]).await == Err(SettlementRefused) {
                self.set_aside(*id);
                if self.write(&[*id]).await == Err(SettlementRefused) {
                    // Its lease runs out by itself.
                    self.held.remove(id);
                }
            }
        }
    }

    /// Writes how these attempts ended. If the database does not answer, they stay to be written later.
    async fn write(&mut self, ended: &[Id]) -> Result<(), SettlementRefused> {
        let mut settlements: Vec<Settlement> = ended.iter().filter_map(|id| self.held.get(id)?.settlement()).collect();
        // The writer of events locks rows in this order, which avoids deadlocks.
        settlements.sort_by(|a, b| a.lease.cmp(&b.lease));
        if settlements.is_empty() {
            return Ok(());
        }
        let settled = self.context.parts.store.settle_media(&settlements).await;
        if matches!(settled, Err(StoreError::Refused { .. })) {
            return Err(SettlementRefused);
        }
        let Some(settled) = self.available(settled) else { return Ok(()) };
        if settlements.iter().any(|it| !matches!(it.outcome, AttemptOutcome::Stored { .. })) {
            self.none_due_beside = None;
        }
        let ended: Vec<HeldJob> = ended.iter().filter_map(|id| self.held.remove(id)).collect();
        for held in ended {
            match held.outcome {
                Some(outcome) if settled.contains(&held.job.lease) => {
                    self.context.parts.meters.settle(&outcome);
                    log_settled(&held.job, &outcome);
                }
                Some(AttemptOutcome::Stored { file, .. }) => {
                    discard(&self.context.parts, &held.job.lease.key, &file.object_key).await;
                }
                _ => warn!("{TAKEN_OVER}"),
            }
        }
        Ok(())
    }

    /// Gives up a job whose settlement the database refuses, for example because of a trigger of the owner.
    fn set_aside(&mut self, id: Id) {
        error!("the database refuses the outcome of a media job; the job is given up");
        if let Some(held) = self.held.get_mut(&id) {
            let reason = "the database refused what was known of the file".to_owned();
            held.outcome = Some(AttemptOutcome::given_up(&held.job, MediaState::Failed, reason));
        }
    }

    /// Renews the leases, and aborts the jobs whose leases were lost.
    async fn renew(&mut self) {
        self.renew_at = Instant::now() + RENEW_EVERY;
        if self.held.is_empty() {
            return;
        }
        let mut leases: Vec<_> = self.held.values().map(|held| held.job.lease.clone()).collect();
        leases.sort();
        let until = self.context.parts.clock.now() + LEASE;
        let renewed = self.context.parts.store.renew_media(&leases, until).await;
        let Some(renewed) = self.available(renewed) else {
            self.renew_at = Instant::now() + ERROR_PAUSE;
            return;
        };
        for (_, lost) in self.held.extract_if(|_, held| !renewed.contains(&held.job.lease)) {
            lost.task.abort();
        }
    }

    /// Aborts the running jobs, and gives them back as if they had not begun.
    async fn end(mut self) {
        self.running.shutdown().await;
        for held in self.held.values_mut() {
            held.outcome.get_or_insert(AttemptOutcome::Released);
        }
        if !self.settle().await {
            warn!("media jobs could not be given back; they are taken up again when their leases have run out");
        }
    }

    /// Returns the answer of the database, or `None` for an error. The error is logged once until the database answers
    /// again.
    fn available<T>(&mut self, answer: Result<T, StoreError>) -> Option<T> {
        match answer {
            Ok(answer) => {
                self.is_away = false;
                Some(answer)
            }
            Err(StoreError::Contended { .. }) => None,
            Err(error) => {
                if !std::mem::replace(&mut self.is_away, true) {
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

/// Logs what was settled, without the paths of URLs and the ids of messages, which can name people.
fn log_settled(job: &LeasedJob, outcome: &AttemptOutcome) {
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
        AttemptOutcome::GivenUp { state: MediaState::Stored, reason } => {
            warn!(instance.id = %instance, "a media file could not be fetched anew and stays as it is: {reason}");
        }
        AttemptOutcome::GivenUp { state, reason } => {
            warn!(instance.id = %instance, %state, "a media file was not saved: {reason}; buzon media list shows it");
        }
        AttemptOutcome::Released => {}
    }
}
