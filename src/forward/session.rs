//! The work on a forward while this process holds its lease.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::ForwardContext;
use super::attempt::{AttemptEnd, EndedAttempt, attempt};
use super::delivery::DeliveryReply;
use super::window::DeliveryWindow;
use domain::forward::answer::DeliveryOutcome;
use domain::forward::retry::{NextStep, ReceiverHealth, probe_wait};
use domain::time::timestamp::Timestamp;
use store::{FailureState, ForwardClaim, ForwardCounts, ForwardFailure, ForwardSave, ForwardState, StoreError};

/// The duration of a lease, and the time before its end from which nothing new is sent.
const LEASE: Duration = Duration::from_secs(30);
const LEASE_MARGIN: Duration = Duration::from_secs(10);
/// A lease that is this many times longer comes from a wrong clock.
const ABSURD: u32 = 10;
/// The interval at which a lease is renewed, with the place in the ledger.
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// The interval at which commands and new events are looked for that nobody tells of.
const POLL: Duration = Duration::from_secs(1);
/// Between two saves, events have this many times as long as a save took, and at least this long. What ended since the
/// last save is sent again after a crash.
const SAVE_PAUSE_FACTOR: u32 = 20;
const SAVE_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_SAVE_PAUSE: Duration = Duration::from_secs(2);
/// The number of requests at a time.
const REQUESTS: usize = 8;
/// The time for which requests under way are waited for when the service ends.
const END_WAIT: Duration = Duration::from_secs(2);

struct ForwardSession {
    context: Arc<ForwardContext>,
    window: DeliveryWindow,
    lease_token: i64,
    revision: i64,
    lease_end: Instant,
    running: JoinSet<EndedAttempt>,
    health: ReceiverHealth,
    stopped: Option<(Timestamp, String)>,
    probe_at: Instant,
    probes: usize,
    /// The event that was probed last.
    probed: i64,
    counts: ForwardCounts,
    failures: Vec<ForwardFailure>,
    settled: Vec<i64>,
    /// True if there is something to save that must not be lost.
    has_changed: bool,
    save_at: Instant,
    renew_at: Instant,
    poll_at: Instant,
    /// True if a command asks for another beginning, so nothing new is sent.
    is_ending: bool,
}

/// Works on a forward whenever it is not paused and no other process does, until `stop` is cancelled.
pub(super) async fn run(context: Arc<ForwardContext>, stop: CancellationToken) {
    loop {
        match begin(&context).await {
            Ok(Some(session)) => session.run(&stop).await,
            Ok(None) => {}
            Err(error) => debug!(forward.name = %context.config.name, %error, "a forward cannot begin yet"),
        }
        if stop.run_until_cancelled(sleep(POLL)).await.is_none() {
            return;
        }
    }
}

/// Claims the forward, unless it is paused or another process works on it.
async fn begin(context: &Arc<ForwardContext>) -> Result<Option<ForwardSession>, StoreError> {
    let (name, now) = (context.config.name.clone(), context.clock.now());
    let lease_absurd_after = now + LEASE * ABSURD;
    let claim = ForwardClaim { name: name.clone(), now, lease_until: now + LEASE, lease_absurd_after };
    let begun = Instant::now();
    let state = context.ask(move |store| async move {
        let Some(signal) = store.forward_signal(&name).await? else {
            store.register_forward(&name).await?;
            return store.claim_forward(&claim).await;
        };
        let is_held = signal.lease_until.is_some_and(|until| until > now && until <= claim.lease_absurd_after);
        if signal.paused || is_held { Ok(None) } else { store.claim_forward(&claim).await }
    });
    match state.await? {
        Some(state) => ForwardSession::open(context.clone(), state, begun).await.map(Some),
        None => Ok(None),
    }
}

impl ForwardSession {
    async fn open(context: Arc<ForwardContext>, state: ForwardState, begun: Instant) -> Result<Self, StoreError> {
        let now = Instant::now();
        Ok(Self {
            window: DeliveryWindow::open(&context, &state).await?,
            context,
            lease_token: state.lease_token,
            revision: state.revision,
            lease_end: begun + LEASE,
            running: JoinSet::new(),
            health: ReceiverHealth::default(),
            stopped: state.stopped,
            probe_at: now,
            probes: 0,
            probed: 0,
            counts: ForwardCounts::default(),
            failures: vec![],
            settled: vec![],
            has_changed: false,
            save_at: now,
            renew_at: now + RENEW_EVERY,
            poll_at: now + POLL,
            is_ending: false,
        })
    }

    async fn run(mut self, stop: &CancellationToken) {
        let mut committed = self.context.committed.clone();
        let mut end_by = None;
        loop {
            if stop.is_cancelled() && end_by.is_none() {
                self.is_ending = true;
                end_by = Some(Instant::now() + END_WAIT);
            }
            if !self.is_ending {
                self.go_on().await;
            }
            let is_over = self.is_ending && self.running.is_empty() || end_by.is_some_and(|by| by <= Instant::now());
            if is_over {
                self.running.shutdown().await;
            }
            let is_held = if is_over || self.is_save_due() { self.save(is_over).await } else { true };
            if is_over || !is_held {
                return;
            }
            let next_look = self.window.next_look();
            let wake = end_by.into_iter().chain(next_look).fold(self.next_wake(), Instant::min);
            tokio::select! {
                Some(ended) = self.running.join_next() => self.take(ended),
                Ok(()) = committed.changed(), if !self.is_ending && next_look.is_none() => self.window.look_again(),
                () = sleep_until(wake) => self.poll().await,
                () = stop.cancelled(), if end_by.is_none() => {}
            }
        }
    }

    /// Reads ahead, and starts what can be sent.
    async fn go_on(&mut self) {
        if let Err(error) = self.window.fill(&self.context).await {
            debug!(forward.name = %self.context.config.name, %error, "a forward cannot read the ledger; it tries again");
        }
        self.settled.append(&mut self.window.gone);
        if self.window.end_replay() {
            self.has_changed = true;
        }
        let limit = match &self.stopped {
            None => REQUESTS,
            Some(_) if self.probe_at <= Instant::now() => 1,
            Some(_) => 0,
        };
        let now = self.context.clock.now();
        while self.running.len() < limit && Instant::now() + LEASE_MARGIN < self.lease_end {
            let next = match &self.stopped {
                None => self.window.queue.take(now),
                Some(_) => self.window.queue.take_after(self.probed, now),
            };
            let Some(seq) = next else { break };
            self.probed = seq;
            if let Some(delivery) = self.window.deliveries.get_mut(&seq) {
                self.running.spawn(attempt(self.context.clone(), seq, delivery));
            }
        }
    }

    fn take(&mut self, ended: Result<EndedAttempt, JoinError>) {
        let (seq, end) = match ended {
            Ok(ended) => ended,
            // The supervisor begins anew.
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return,
        };
        match end {
            AttemptEnd::Answered(reply) => self.answered(seq, reply),
            AttemptEnd::Stale => {
                self.counts.stale += 1;
                self.context.meters.forward(self.context.config.name.as_str(), "stale");
                self.finish(seq);
            }
            AttemptEnd::Gone => self.finish(seq),
            AttemptEnd::Unread(error) => {
                debug!(forward.name = %self.context.config.name, %error, "an event cannot be read; it is tried again");
                self.window.queue.postpone(seq, Some(self.context.clock.now() + POLL));
            }
        }
    }

    fn answered(&mut self, seq: i64, reply: DeliveryReply) {
        let outcome = reply.answer.outcome();
        self.context.meters.forward(self.context.config.name.as_str(), outcome.as_str());
        if outcome == DeliveryOutcome::Delivered {
            self.counts.delivered += 1;
            self.finish(seq);
            self.health.succeed();
            if self.stopped.take().is_some() {
                let (name, destination) = (&self.context.config.name, &self.context.config.destination);
                info!(forward.name = %name, forward.to = %destination, "a forward goes on: its receiver takes events again");
                self.window.queue.hurry();
            }
        } else if self.stopped.is_some() {
            if let Some(delivery) = self.window.deliveries.get_mut(&seq) {
                delivery.tally.attempts += 1;
            }
            self.window.queue.postpone(seq, None);
            // Those that were under way when the forward stopped are no probes.
            if self.probe_at <= Instant::now() {
                self.probes += 1;
                self.probe_at = Instant::now() + probe_wait(self.probes);
            }
        } else {
            self.failed(seq, &reply, outcome);
        }
    }

    fn failed(&mut self, seq: i64, reply: &DeliveryReply, outcome: DeliveryOutcome) {
        let now = self.context.clock.now();
        let is_about_receiver = self.window.queue.lane(seq).is_some_and(|lane| self.health.fail(lane));
        let Some(delivery) = self.window.deliveries.get_mut(&seq) else { return };
        let step = delivery.tally.fail(outcome);
        let mut failure = ForwardFailure {
            seq,
            state: FailureState::Waiting,
            tally: delivery.tally,
            replay: delivery.replay,
            even_old: delivery.even_old,
            last_failed_at: now,
            next_attempt_at: now,
            class: reply.answer.class().to_owned(),
            status: reply.answer.status(),
            error: reply.said.clone(),
        };
        match step {
            NextStep::Wait(wait) if !is_about_receiver => {
                failure.next_attempt_at = now + wait;
                delivery.failure = Some(failure.clone());
                self.window.queue.postpone(seq, Some(failure.next_attempt_at));
                self.failures.push(failure);
                self.has_changed = true;
            }
            NextStep::GiveUp if !is_about_receiver => {
                failure.state = FailureState::Dead;
                self.context.meters.forward(self.context.config.name.as_str(), "given_up");
                self.counts.given_up += 1;
                delivery.failure = None;
                self.failures.push(failure);
                self.finish(seq);
            }
            _ => {
                if step != NextStep::Stop {
                    delivery.failure = Some(failure);
                }
                self.window.queue.postpone(seq, None);
                self.stop(reply);
            }
        }
    }

    /// Stops sending, but for a probe a minute. Nothing counts against an event that was the receiver's fault.
    fn stop(&mut self, reply: &DeliveryReply) {
        let status = reply.answer.status().map(|status| format!(" {status}")).unwrap_or_default();
        let reason = format!("{}{status}", reply.answer.class());
        let (name, destination) = (&self.context.config.name, &self.context.config.destination);
        warn!(
            forward.name = %name,
            forward.to = %destination,
            reason,
            "a forward has stopped: its receiver is away or refuses everything. Nothing is lost; it tries once a minute. \
             Look at: buzon forward failures {name}"
        );
        let now = self.context.clock.now();
        self.stopped = Some((now, reason));
        self.probes = 0;
        self.probe_at = Instant::now() + probe_wait(0);
        self.health.succeed();
        for delivery in self.window.deliveries.values_mut() {
            if let Some(failure) = &mut delivery.failure {
                delivery.tally.forgive();
                failure.tally = delivery.tally;
                failure.next_attempt_at = now;
                self.failures.push(failure.clone());
            }
        }
        self.window.queue.hurry();
        self.has_changed = true;
    }

    fn finish(&mut self, seq: i64) {
        let ended = self.window.finish(seq);
        if ended.is_some_and(|delivery| delivery.failure.is_some()) {
            self.settled.push(seq);
        }
        self.has_changed = true;
    }

    fn is_save_due(&self) -> bool {
        self.save_at <= Instant::now() && (self.has_changed || self.renew_at <= Instant::now())
    }

    /// Writes how far the forward has come. Returns whether this process still holds the lease.
    async fn save(&mut self, is_over: bool) -> bool {
        let begun = Instant::now();
        let (counts, failures, settled) =
            (std::mem::take(&mut self.counts), self.latest_failures(), std::mem::take(&mut self.settled));
        let save = ForwardSave {
            name: self.context.config.name.clone(),
            lease_token: self.lease_token,
            revision: self.revision,
            lease_until: (!is_over).then(|| self.context.clock.now() + LEASE),
            cursor: self.window.cursor.clone(),
            replay: self.window.replay.clone(),
            stopped: self.stopped.clone(),
            counts,
            failures,
            settled,
        };
        let again = save.clone();
        match self.context.ask(move |store| async move { store.save_forward(&save).await }).await {
            Ok(Some(signal)) => {
                self.has_changed = false;
                self.lease_end = begun + LEASE;
                self.renew_at = begun + RENEW_EVERY;
                self.save_at =
                    Instant::now() + (begun.elapsed() * SAVE_PAUSE_FACTOR).clamp(SAVE_PAUSE, LONGEST_SAVE_PAUSE);
                self.is_ending |= signal.paused || signal.revision != self.revision;
                true
            }
            Ok(None) => {
                info!(forward.name = %again.name, "another process or a command has taken a forward over");
                self.running.shutdown().await;
                false
            }
            Err(error) => {
                debug!(forward.name = %again.name, %error, "the place of a forward was not saved; it tries again");
                (self.counts, self.failures, self.settled) = (again.counts, again.failures, again.settled);
                self.save_at = Instant::now() + POLL;
                true
            }
        }
    }

    /// Takes the failures to save, the last one of each event, without those of events that have ended.
    fn latest_failures(&mut self) -> Vec<ForwardFailure> {
        let mut latest = BTreeMap::new();
        for failure in std::mem::take(&mut self.failures) {
            latest.insert(failure.seq, failure);
        }
        let is_over =
            |failure: &ForwardFailure| failure.state == FailureState::Waiting && self.settled.contains(&failure.seq);
        latest.into_values().filter(|failure| !is_over(failure)).collect()
    }

    /// Looks for commands, and for events of other processes.
    async fn poll(&mut self) {
        if Instant::now() < self.poll_at {
            return;
        }
        self.poll_at = Instant::now() + POLL;
        self.window.look_again();
        let name = self.context.config.name.clone();
        let signal = self.context.ask(move |store| async move { store.forward_signal(&name).await }).await;
        if let Ok(Some(signal)) = signal {
            self.is_ending |=
                signal.paused || signal.revision != self.revision || signal.lease_token != self.lease_token;
        }
    }

    fn next_wake(&self) -> Instant {
        let mut wake = self.poll_at.min(self.renew_at.max(self.save_at));
        if self.has_changed {
            wake = wake.min(self.save_at);
        }
        if self.stopped.is_some() {
            wake = wake.min(self.probe_at.max(Instant::now() + SAVE_PAUSE));
        }
        match self.window.queue.next_due() {
            Some(due) if self.stopped.is_none() && self.running.len() < REQUESTS => {
                let millis = due.millis().saturating_sub(self.context.clock.now().millis());
                wake.min(Instant::now() + Duration::from_millis(millis.max(1).try_into().unwrap_or(1)))
            }
            _ => wake,
        }
    }
}
