//! Lanes: events of one conversation are sent one after the other, and those of different ones side by side.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::selection::LedgerHead;
use crate::event::event_id::EventId;
use crate::instance::InstanceId;
use crate::time::timestamp::Timestamp;

/// The name of a lane.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane(String);

impl Lane {
    pub fn new(instance: &str, key: &str) -> Self {
        // No id has a NUL.
        Self(format!("{instance}\0{key}"))
    }

    /// Returns the lane of an event: its conversation, else its message, else itself. `owner` is the instance of its
    /// message with the conversation there, for an ack without an instance.
    pub fn of(head: &LedgerHead, owner: Option<(&InstanceId, Option<&str>)>) -> Self {
        let (instance, chat) = owner.unwrap_or((&head.instance_id, head.chat_id.as_deref()));
        match (chat, &head.message_id) {
            (Some(chat), _) => Self::new(instance.as_str(), chat),
            (None, Some(message)) => Self::new(instance.as_str(), message),
            (None, None) => {
                Self::new(instance.as_str(), &EventId::new(instance.clone(), &head.body_sha256).to_string())
            }
        }
    }
}

/// The events that wait to be sent, in their lanes.
#[derive(Debug, Default)]
pub struct LaneQueue {
    lanes: HashMap<Lane, VecDeque<i64>>,
    events: HashMap<i64, QueuedEvent>,
    /// The first events of their lanes that can be sent at once.
    ready: BTreeSet<i64>,
    /// The first events of their lanes that wait for their time.
    waiting: BTreeSet<(Timestamp, i64)>,
}

#[derive(Debug)]
struct QueuedEvent {
    lane: Lane,
    not_before: Option<Timestamp>,
}

impl LaneQueue {
    /// Adds an event at the end of its lane.
    pub fn push(&mut self, seq: i64, lane: Lane, not_before: Option<Timestamp>) {
        let events = self.lanes.entry(lane.clone()).or_default();
        events.push_back(seq);
        let is_first = events.len() == 1;
        self.events.insert(seq, QueuedEvent { lane, not_before });
        if is_first {
            self.admit(seq);
        }
    }

    /// Takes the first event that can be sent. It stays the first of its lane until it is finished or postponed.
    pub fn take(&mut self, now: Timestamp) -> Option<i64> {
        self.promote(now);
        self.ready.pop_first()
    }

    /// Takes the first event that can be sent after this one, or else the first of all.
    pub fn take_after(&mut self, seq: i64, now: Timestamp) -> Option<i64> {
        self.promote(now);
        let next = self.ready.range(seq + 1..).next().or(self.ready.first()).copied()?;
        self.ready.take(&next)
    }

    /// Removes a taken event. The next one of its lane can be sent then.
    pub fn finish(&mut self, seq: i64) {
        let Some(event) = self.events.remove(&seq) else { return };
        let Some(lane) = self.lanes.get_mut(&event.lane) else { return };
        lane.pop_front();
        match lane.front().copied() {
            Some(next) => self.admit(next),
            None => drop(self.lanes.remove(&event.lane)),
        }
    }

    /// Puts a taken event back until a time. Its lane waits with it.
    pub fn postpone(&mut self, seq: i64, until: Option<Timestamp>) {
        if let Some(event) = self.events.get_mut(&seq) {
            event.not_before = until;
            self.admit(seq);
        }
    }

    /// Lets all events go at once that wait for their time.
    pub fn hurry(&mut self) {
        self.events.values_mut().for_each(|event| event.not_before = None);
        self.ready.extend(std::mem::take(&mut self.waiting).into_iter().map(|(_, seq)| seq));
    }

    /// Returns the earliest time at which an event can be sent that waits for its time.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.waiting.first().map(|(at, _)| *at)
    }

    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub fn lane(&self, seq: i64) -> Option<&Lane> {
        self.events.get(&seq).map(|event| &event.lane)
    }

    /// Returns how many events are in the queue, those that were taken included.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    fn admit(&mut self, seq: i64) {
        match self.events.get(&seq).and_then(|event| event.not_before) {
            Some(at) => self.waiting.insert((at, seq)),
            None => self.ready.insert(seq),
        };
    }

    fn promote(&mut self, now: Timestamp) {
        while let Some((_, seq)) = self.waiting.first().copied().filter(|(at, _)| *at <= now) {
            self.waiting.pop_first();
            self.ready.insert(seq);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_724_717_000);
    const LATER: Timestamp = Timestamp::from_seconds(1_724_717_002);

    fn queue(events: &[(i64, &str)]) -> LaneQueue {
        let mut queue = LaneQueue::default();
        events.iter().for_each(|(seq, chat)| queue.push(*seq, Lane::new("7", chat), None));
        queue
    }

    fn taken(queue: &mut LaneQueue, now: Timestamp) -> Vec<i64> {
        std::iter::from_fn(|| queue.take(now)).collect()
    }

    #[test]
    fn a_lane_has_one_event_under_way_and_others_go_on_beside_it() {
        let mut queue = queue(&[(1, "ana"), (2, "ana"), (3, "bob"), (4, "ana")]);
        assert_eq!(taken(&mut queue, NOW), [1, 3]);
        queue.finish(1);
        assert_eq!(taken(&mut queue, NOW), [2]);
        queue.finish(3);
        assert!(taken(&mut queue, NOW).is_empty());
        queue.finish(2);
        assert_eq!(taken(&mut queue, NOW), [4]);
        queue.finish(4);
        assert!(queue.is_empty());
    }

    #[test]
    fn an_event_that_waits_holds_up_its_lane_alone() {
        let mut queue = queue(&[(1, "ana"), (2, "ana"), (3, "bob")]);
        assert_eq!(taken(&mut queue, NOW), [1, 3]);
        queue.postpone(1, Some(LATER));
        queue.finish(3);
        assert_eq!((taken(&mut queue, NOW), queue.next_due()), (vec![], Some(LATER)));
        assert_eq!(taken(&mut queue, LATER), [1]);
        queue.finish(1);
        assert_eq!(taken(&mut queue, LATER), [2]);
    }

    #[test]
    fn an_event_keeps_its_time_while_others_of_its_lane_are_before_it() {
        let mut queue = queue(&[(1, "ana")]);
        queue.push(2, Lane::new("7", "ana"), Some(LATER));
        assert_eq!(taken(&mut queue, NOW), [1]);
        queue.finish(1);
        assert!(taken(&mut queue, NOW).is_empty());
        queue.hurry();
        assert_eq!(taken(&mut queue, NOW), [2]);
    }

    #[test]
    fn probes_take_turns() {
        let mut queue = queue(&[(1, "ana"), (2, "bob"), (3, "eva")]);
        let mut probed = 0;
        let mut order = vec![];
        for _ in 0..4 {
            probed = queue.take_after(probed, NOW).unwrap();
            order.push(probed);
            queue.postpone(probed, None);
        }
        assert_eq!(order, [1, 2, 3, 1]);
    }

    #[test]
    fn the_lane_is_the_conversation_else_the_message_else_the_event() {
        let head = |chat: Option<&str>, message: Option<&str>| LedgerHead {
            seq: 1,
            instance_id: InstanceId::from_store("7"),
            event_type: None,
            message_id: message.map(str::to_owned),
            chat_id: chat.map(str::to_owned),
            body_sha256: vec![0xab; 32],
            size: Some(2),
            received_at: NOW,
            signed: true,
            forwarded: false,
            state: "applied".to_owned(),
            reason: None,
        };
        assert_eq!(Lane::of(&head(Some("ana"), Some("A")), None), Lane::new("7", "ana"));
        assert_eq!(Lane::of(&head(None, Some("A")), None), Lane::new("7", "A"));
        assert_eq!(Lane::of(&head(None, None), None), Lane::new("7", &format!("7/{}", "ab".repeat(16))));
        let owner = InstanceId::from_store("8");
        assert_eq!(Lane::of(&head(None, Some("A")), Some((&owner, Some("eva")))), Lane::new("8", "eva"));
        assert_eq!(Lane::of(&head(None, Some("A")), Some((&owner, None))), Lane::new("8", "A"));
    }
}
