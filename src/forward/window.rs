//! The events that a session has read ahead, and those that it has still to read.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::ForwardContext;
use domain::event::event_id::EventId;
use domain::forward::answer::LONGEST_ASKED;
use domain::forward::cursor::ForwardCursor;
use domain::forward::kind;
use domain::forward::lane::{Lane, LaneQueue};
use domain::forward::retry::AttemptTally;
use domain::forward::selection::{LedgerHead, Selection};
use domain::instance::InstanceId;
use domain::time::timestamp::Timestamp;
use store::{AckOwner, FailureState, ForwardFailure, ForwardState, ReplayState, StoreError};

/// The limits on what is read ahead. A single event may have more bytes.
const MOST_EVENTS: usize = 1_000;
const MOST_BYTES: usize = 32 * 1024 * 1024;
/// The number of events that are read at once, and the bytes of their bodies.
const PAGE: u32 = 256;
const PAGE_BYTES: usize = 4 * 1024 * 1024;
/// The maximum number of failed events that a session remembers. The store keeps no more.
const MOST_FAILURES: u32 = 20_000;
/// The interval at which new events are read at most, so that many that come in a row cost few statements.
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// The interval at which the owners of acks are looked for.
const DECIDE_EVERY: Duration = Duration::from_secs(1);

/// An event that was read ahead.
pub(super) struct QueuedDelivery {
    pub(super) instance_id: InstanceId,
    pub(super) event: EventId,
    pub(super) signed: bool,
    /// The kind of an event of ours.
    pub(super) kind: Option<&'static str>,
    pub(super) received_at: Timestamp,
    /// The body, until the first attempt. Then it is read from the ledger again.
    pub(super) body: Option<Vec<u8>>,
    size: usize,
    pub(super) tally: AttemptTally,
    source: WalkSource,
    pub(super) replay: bool,
    pub(super) even_old: bool,
    /// The last failure, if there is one.
    pub(super) failure: Option<ForwardFailure>,
}

/// The walk that an event was read by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WalkSource {
    Live,
    Replay,
    /// The list of failures.
    Failures,
}

pub(super) struct DeliveryWindow {
    pub(super) cursor: ForwardCursor,
    pub(super) replay: Option<ReplayState>,
    pub(super) queue: LaneQueue,
    pub(super) deliveries: HashMap<i64, QueuedDelivery>,
    bytes: usize,
    /// Acks whose owner is not known yet.
    awaiting: Vec<LedgerHead>,
    /// The time of the next look whose they are.
    decide_at: Instant,
    /// The failures of events that are still to be read.
    failures: HashMap<i64, ForwardFailure>,
    /// The failures of events that no walk comes by.
    passed: VecDeque<ForwardFailure>,
    /// True if the ledger may have more events.
    has_more: bool,
    /// The time from which it is read for new ones.
    look_at: Instant,
    /// Failures whose events are gone.
    pub(super) gone: Vec<i64>,
}

impl DeliveryWindow {
    pub(super) async fn open(context: &ForwardContext, state: &ForwardState) -> Result<Self, StoreError> {
        let name = context.config.name.clone();
        let waiting = Some(FailureState::Waiting);
        let found = context.ask(|store| async move { store.forward_failures(&name, waiting, MOST_FAILURES).await });
        let is_replayed =
            |seq: i64| state.replay.as_ref().is_some_and(|it| seq > it.cursor.position() && seq <= it.until);
        let comes_by = |failure: &ForwardFailure| failure.seq > state.cursor.position() || is_replayed(failure.seq);
        // A later attempt was set by a wrong clock.
        let latest = context.clock.now() + LONGEST_ASKED;
        let sane = |it: ForwardFailure| ForwardFailure { next_attempt_at: it.next_attempt_at.min(latest), ..it };
        let (ahead, passed): (Vec<_>, Vec<_>) = found.await?.into_iter().map(sane).partition(comes_by);
        Ok(Self {
            cursor: state.cursor.clone(),
            replay: state.replay.clone(),
            queue: LaneQueue::default(),
            deliveries: HashMap::new(),
            bytes: 0,
            awaiting: vec![],
            decide_at: Instant::now(),
            failures: ahead.into_iter().map(|failure| (failure.seq, failure)).collect(),
            passed: passed.into(),
            has_more: true,
            look_at: Instant::now(),
            gone: vec![],
        })
    }

    /// Notes that the ledger may have more events.
    pub(super) fn look_again(&mut self) {
        self.has_more = true;
        self.look_at = Instant::now() + LOOK_PAUSE;
    }

    /// Returns the time from which new events may be read, if it is still to come.
    pub(super) fn next_look(&self) -> Option<Instant> {
        Some(self.look_at).filter(|look_at| *look_at > Instant::now())
    }

    fn has_room(&self) -> bool {
        self.queue.len() + self.awaiting.len() + PAGE as usize <= MOST_EVENTS && self.bytes < MOST_BYTES
    }

    /// Reads ahead as far as there is room.
    pub(super) async fn fill(&mut self, context: &ForwardContext) -> Result<(), StoreError> {
        self.decide_awaiting(context).await?;
        while self.has_room() && !self.passed.is_empty() {
            self.read_passed(context).await?;
        }
        while self.has_room() && self.replay.as_ref().is_some_and(|it| it.cursor.read_to() < it.until) {
            self.read_replay(context).await?;
        }
        while self.has_room() && self.has_more {
            self.read_live(context).await?;
        }
        Ok(())
    }

    /// Removes an event that has ended.
    pub(super) fn finish(&mut self, seq: i64) -> Option<QueuedDelivery> {
        self.queue.finish(seq);
        let delivery = self.deliveries.remove(&seq)?;
        self.bytes -= delivery.size;
        match delivery.source {
            WalkSource::Live => self.cursor.close(seq),
            WalkSource::Replay => {
                if let Some(replay) = &mut self.replay {
                    replay.cursor.close(seq);
                }
            }
            WalkSource::Failures => {}
        }
        Some(delivery)
    }

    /// Ends the replay if it is over, and returns whether it was.
    pub(super) fn end_replay(&mut self) -> bool {
        let is_over = self.replay.as_ref().is_some_and(|it| it.cursor.is_idle() && it.cursor.position() >= it.until);
        if is_over {
            self.replay = None;
        }
        is_over
    }

    async fn read_live(&mut self, context: &ForwardContext) -> Result<(), StoreError> {
        let after = self.cursor.read_to();
        let (latest, heads) = context
            .ask(move |store| async move {
                let latest = store.latest().await?.seq;
                Ok((latest, store.ledger_heads(after, latest, PAGE).await?))
            })
            .await?;
        let is_last = heads.len() < PAGE as usize;
        if self.take_in(context, heads, WalkSource::Live).await? && is_last {
            self.cursor.read_through(latest);
            self.has_more = false;
        }
        Ok(())
    }

    async fn read_replay(&mut self, context: &ForwardContext) -> Result<(), StoreError> {
        let Some((after, until)) = self.replay.as_ref().map(|it| (it.cursor.read_to(), it.until)) else {
            return Ok(());
        };
        let heads = context.ask(move |store| async move { store.ledger_heads(after, until, PAGE).await }).await?;
        let is_last = heads.len() < PAGE as usize;
        if self.take_in(context, heads, WalkSource::Replay).await?
            && is_last
            && let Some(replay) = &mut self.replay
        {
            replay.cursor.read_through(until);
        }
        Ok(())
    }

    async fn read_passed(&mut self, context: &ForwardContext) -> Result<(), StoreError> {
        let count = self.passed.len().min(PAGE as usize);
        let seqs = Vec::from_iter(self.passed.iter().take(count).map(|failure| failure.seq));
        let heads = context.ask(move |store| async move { store.ledger_heads_of(&seqs).await }).await?;
        let owners = owners(context, &heads).await?;
        let failures: Vec<ForwardFailure> = self.passed.drain(..count).collect();
        let is_there = |seq: i64| heads.iter().any(|head| head.seq == seq && head.size.is_some());
        self.gone.extend(failures.iter().map(|failure| failure.seq).filter(|seq| !is_there(*seq)));
        self.failures.extend(failures.into_iter().map(|failure| (failure.seq, failure)));
        for head in heads.into_iter().filter(|head| head.size.is_some()) {
            self.queue_up(&head, &owners, WalkSource::Failures);
        }
        Ok(())
    }

    /// Queues the events that are to be sent. Returns whether there was room for all.
    async fn take_in(
        &mut self,
        context: &ForwardContext,
        heads: Vec<LedgerHead>,
        source: WalkSource,
    ) -> Result<bool, StoreError> {
        let owners = owners(context, &heads).await?;
        let (mut wanted, mut all) = (Vec::new(), true);
        for head in heads {
            let selection = context.config.filter.select(&head, instances(&owners, &head), context.clock.now());
            let size = head.size.unwrap_or_default().try_into().unwrap_or(usize::MAX);
            if selection == Selection::Send && !self.queue.is_empty() && size.saturating_add(self.bytes) > MOST_BYTES {
                all = false;
                break;
            }
            let is_queued = self.deliveries.contains_key(&head.seq);
            let Some(cursor) = self.walk(source) else { break };
            match selection {
                Selection::Skip => cursor.read_through(head.seq),
                Selection::AwaitOwner if source == WalkSource::Replay => cursor.read_through(head.seq),
                Selection::AwaitOwner => {
                    if cursor.open(head.seq) {
                        self.awaiting.push(head);
                    }
                }
                Selection::Send => {
                    if cursor.open(head.seq) {
                        if is_queued {
                            cursor.close(head.seq);
                        } else if self.queue_up(&head, &owners, source) {
                            wanted.push((head.seq, size));
                        }
                    }
                }
            }
        }
        self.read_bodies(context, wanted).await?;
        Ok(all)
    }

    fn walk(&mut self, source: WalkSource) -> Option<&mut ForwardCursor> {
        match source {
            WalkSource::Replay => self.replay.as_mut().map(|replay| &mut replay.cursor),
            WalkSource::Live | WalkSource::Failures => Some(&mut self.cursor),
        }
    }

    /// Queues an event. Returns whether its body should be read ahead: one that waits for its time is read then.
    fn queue_up(&mut self, head: &LedgerHead, owners: &[AckOwner], source: WalkSource) -> bool {
        let failure = self.failures.remove(&head.seq);
        let owner = owners_of(owners, head).next();
        let lane = Lane::of(head, owner.map(|owner| (&owner.instance_id, owner.chat_id.as_deref())));
        self.queue.push(head.seq, lane, failure.as_ref().map(|failure| failure.next_attempt_at));
        let is_first = failure.is_none();
        let size = head.size.unwrap_or_default().try_into().unwrap_or(usize::MAX);
        let replayed = self.replay.as_ref().filter(|_| source == WalkSource::Replay);
        let delivery = QueuedDelivery {
            instance_id: head.instance_id.clone(),
            event: EventId::new(head.instance_id.clone(), &head.body_sha256),
            signed: head.signed,
            kind: kind(head.event_type.as_deref()),
            received_at: head.received_at,
            body: None,
            size,
            tally: failure.as_ref().map(|failure| failure.tally).unwrap_or_default(),
            source,
            replay: replayed.is_some() || failure.as_ref().is_some_and(|failure| failure.replay),
            even_old: replayed.map_or_else(|| failure.as_ref().is_some_and(|it| it.even_old), |it| it.even_old),
            failure,
        };
        self.bytes += size;
        self.deliveries.insert(head.seq, delivery);
        is_first
    }

    /// Reads the bodies of new events, a few megabytes at a time.
    async fn read_bodies(&mut self, context: &ForwardContext, wanted: Vec<(i64, usize)>) -> Result<(), StoreError> {
        let mut wanted = VecDeque::from(wanted);
        while let Some((seq, size)) = wanted.pop_front() {
            let (mut seqs, mut bytes) = (vec![seq], size);
            while let Some((seq, size)) = wanted.front().copied().filter(|(_, size)| bytes + size <= PAGE_BYTES) {
                seqs.push(seq);
                bytes += size;
                wanted.pop_front();
            }
            let bodies = context.ask(move |store| async move { store.ledger_bodies(&seqs).await }).await?;
            for (seq, body) in bodies {
                if let Some(delivery) = self.deliveries.get_mut(&seq) {
                    delivery.body = Some(body);
                }
            }
        }
        Ok(())
    }

    /// Looks again whose the acks without an instance are.
    async fn decide_awaiting(&mut self, context: &ForwardContext) -> Result<(), StoreError> {
        if self.awaiting.is_empty() || Instant::now() < self.decide_at {
            return Ok(());
        }
        self.decide_at = Instant::now() + DECIDE_EVERY;
        let owners = owners(context, &self.awaiting).await?;
        for head in std::mem::take(&mut self.awaiting) {
            match context.config.filter.select(&head, instances(&owners, &head), context.clock.now()) {
                Selection::Send => drop(self.queue_up(&head, &owners, WalkSource::Live)),
                Selection::Skip => self.cursor.close(head.seq),
                Selection::AwaitOwner => self.awaiting.push(head),
            }
        }
        Ok(())
    }
}

/// Returns the outgoing messages that the acks without an instance may be about.
async fn owners(context: &ForwardContext, heads: &[LedgerHead]) -> Result<Vec<AckOwner>, StoreError> {
    let ids = Vec::from_iter(heads.iter().filter_map(|head| head.owned_by_message().map(str::to_owned)));
    if ids.is_empty() {
        return Ok(vec![]);
    }
    context.ask(move |store| async move { store.ack_owners(&ids).await }).await
}

fn owners_of<'o>(owners: &'o [AckOwner], head: &LedgerHead) -> impl Iterator<Item = &'o AckOwner> {
    let id = head.owned_by_message().map(str::to_owned);
    owners.iter().filter(move |owner| Some(&owner.message_id) == id.as_ref())
}

fn instances<'o>(owners: &'o [AckOwner], head: &LedgerHead) -> impl Iterator<Item = &'o InstanceId> {
    owners_of(owners, head).map(|owner| &owner.instance_id)
}
