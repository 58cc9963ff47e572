//! Who waits for an answer, and who had one.
//!
//! Times are compared in whole seconds, because that is what a gateway states. Whoever waits is the first incoming
//! message after the last outgoing one; an equal second counts as answered. An answer is a second `s` in which something
//! was sent; with `p` for the answer before it, it answers the first incoming message later than `p` and not later than
//! `s`, if there is one. Both are functions of the set of a chat's messages: see [`ResponseTracker`] for how they are kept without
//! reading that set again, and [`AnswersAround`] for when that cannot be done.

use std::collections::BTreeSet;

use super::{ChatKey, MessagePosition};
use crate::instance::InstanceId;
use crate::time::timestamp::Timestamp;

/// A row of `responses`: somebody waited since `incoming`, and `outgoing` was the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub instance_id: InstanceId,
    pub chat_id: String,
    pub incoming: MessagePosition,
    pub outgoing: MessagePosition,
}

impl Response {
    fn new(ChatKey { instance_id, chat_id }: ChatKey, incoming: MessagePosition, outgoing: MessagePosition) -> Self {
        Self { instance_id, chat_id, incoming, outgoing }
    }

    /// The columns of its primary key.
    pub fn key(&self) -> (&InstanceId, &str, Timestamp) {
        (&self.instance_id, &self.chat_id, self.incoming.occurred_at)
    }

    /// Whole seconds from the question to the answer.
    pub fn seconds(&self) -> i64 {
        self.outgoing.occurred_at.seconds() - self.incoming.occurred_at.seconds()
    }
}

/// A message in its chat. In the order in which a [`ResponseTracker`] takes them: within a second, incoming ones first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChatMessage {
    second: i64,
    from_me: bool,
    position: MessagePosition,
}

impl ChatMessage {
    pub fn new(from_me: bool, position: MessagePosition) -> Self {
        Self { second: position.occurred_at.seconds(), from_me, position }
    }

    pub fn second(&self) -> i64 {
        self.second
    }
}

/// Follows a chat from what its row says through the messages that come to it, without a look at those it has. What
/// comes in its order needs none; for the rest, the tracker says what is to be looked up.
#[derive(Debug, Default)]
pub struct ResponseTracker {
    waiting: WaitState,
    last_outgoing: Option<MessagePosition>,
    /// The second of the latest incoming message before those that are followed.
    last_incoming: Option<i64>,
    answered: Vec<(MessagePosition, MessagePosition)>,
    affected: BTreeSet<i64>,
}

#[derive(Debug)]
enum WaitState {
    Known(Option<MessagePosition>),
    Unknown,
}

impl Default for WaitState {
    fn default() -> Self {
        Self::Known(None)
    }
}

/// What a tracker came to.
#[derive(Debug)]
pub struct TrackedResponses {
    /// Who waits now, if that is known.
    pub waiting: Option<Option<MessagePosition>>,
    /// Each question with its answer.
    pub answered: Vec<(MessagePosition, MessagePosition)>,
    /// The seconds around which the answers are to be looked up.
    pub affected: BTreeSet<i64>,
}

impl TrackedResponses {
    /// Of a chat whose row says nothing: everything is looked up.
    pub fn unknown(affected: BTreeSet<i64>) -> Self {
        Self { waiting: None, answered: vec![], affected }
    }
}

impl ResponseTracker {
    /// Begins with what a chat's row says.
    pub fn new(
        waiting: Option<MessagePosition>,
        last_incoming: Option<&MessagePosition>,
        last_outgoing: Option<MessagePosition>,
    ) -> Self {
        let last_incoming = last_incoming.map(|position| position.occurred_at.seconds());
        Self { waiting: WaitState::Known(waiting), last_incoming, last_outgoing, ..Self::default() }
    }

    pub fn follow(mut self, messages: BTreeSet<ChatMessage>) -> TrackedResponses {
        messages.into_iter().for_each(|message| self.add(message));
        let waiting = match self.waiting {
            WaitState::Known(waiting) => Some(waiting),
            WaitState::Unknown => None,
        };
        TrackedResponses { waiting, answered: self.answered, affected: self.affected }
    }

    fn add(&mut self, message: ChatMessage) {
        let last = self.last_outgoing.as_ref().map(|position| position.occurred_at.seconds());
        let is_last = last.is_none_or(|last| message.second > last);
        match (is_last, message.from_me) {
            (true, false) => self.add_incoming(message.position),
            (true, true) => self.add_outgoing(message),
            // It is not the first message of its answer, and changes nothing of it.
            (false, true) if self.last_outgoing.as_ref() < Some(&message.position) => {
                self.last_outgoing = Some(message.position)
            }
            (false, _) => {
                self.affected.insert(message.second);
            }
        }
    }

    fn add_incoming(&mut self, position: MessagePosition) {
        if let WaitState::Known(waiting) = &mut self.waiting {
            let earlier = waiting.take().filter(|earlier| *earlier < position);
            *waiting = Some(earlier.unwrap_or(position));
        }
    }

    fn add_outgoing(&mut self, message: ChatMessage) {
        match &mut self.waiting {
            WaitState::Unknown => {
                self.affected.insert(message.second);
            }
            WaitState::Known(waiting) => {
                let question = waiting.take_if(|question| question.occurred_at.seconds() <= message.second);
                if let Some(question) = question {
                    self.answered.push((question, message.position.clone()));
                    if self.last_incoming > Some(message.second) {
                        self.waiting = WaitState::Unknown;
                    }
                }
            }
        }
        self.last_outgoing = Some(message.position);
    }
}

/// A second of a chat's answers, as it was found among the messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerSecond {
    /// The first message that was sent in that second.
    pub outgoing: MessagePosition,
    /// The first message that it answers.
    pub incoming: Option<MessagePosition>,
}

/// What stands around a second in which a message came, went or changed its direction. No other answers than these
/// can have changed: the next one from that second on, and the one after it, which may now begin later or earlier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswersAround {
    pub chat: ChatKey,
    /// The latest outgoing message before that second.
    pub before: Option<Timestamp>,
    pub next: Option<AnswerSecond>,
    pub after: Option<AnswerSecond>,
}

/// A part of a chat: who waited from `from` on, and before `until`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitSpan {
    pub chat: ChatKey,
    pub from: Timestamp,
    pub until: Timestamp,
}

impl WaitSpan {
    pub fn all(chat: ChatKey) -> Self {
        Self { chat, from: Timestamp::MIN, until: Timestamp::MAX }
    }
}

impl AnswersAround {
    /// Where rows of `responses` may be wrong: all of it is said anew by [`AnswersAround::responses`].
    pub fn span(&self) -> WaitSpan {
        let from = self.before.map(Timestamp::next_second);
        let until = self.after.as_ref().map(|answer| answer.outgoing.occurred_at.next_second());
        let all = WaitSpan::all(self.chat.clone());
        WaitSpan { from: from.unwrap_or(all.from), until: until.unwrap_or(all.until), ..all }
    }

    pub fn responses(self) -> impl Iterator<Item = Response> {
        let Self { chat, next, after, .. } = self;
        let answers = next.into_iter().chain(after);
        answers.filter_map(move |AnswerSecond { outgoing, incoming }| {
            Some(Response::new(chat.clone(), incoming?, outgoing))
        })
    }
}

/// What a batch changes of who waits and who was answered.
#[derive(Debug, Default)]
pub struct ResponseChanges {
    pub responses: Vec<Response>,
    /// The chats and the beginnings of the seconds around which the answers are to be looked up.
    pub affected: Vec<(ChatKey, Timestamp)>,
    /// The chats of which it is to be looked up who waits: the first incoming message from this time on.
    pub unknown_waits: Vec<(ChatKey, Timestamp)>,
}

impl ResponseChanges {
    /// Adds what a chat's tracker came to; `last_outgoing` is the latest outgoing message after all. Returns who waits,
    /// if that is known.
    pub fn add(
        &mut self,
        chat: &ChatKey,
        tracked: TrackedResponses,
        last_outgoing: Option<&MessagePosition>,
    ) -> Option<MessagePosition> {
        let response = |(incoming, outgoing)| Response::new(chat.clone(), incoming, outgoing);
        self.responses.extend(tracked.answered.into_iter().map(response));
        let affected = tracked.affected.into_iter().map(|second| (chat.clone(), Timestamp::from_seconds(second)));
        self.affected.extend(affected);
        tracked.waiting.unwrap_or_else(|| {
            let since = last_outgoing.map_or(Timestamp::MIN, |position| position.occurred_at.next_second());
            self.unknown_waits.push((chat.clone(), since));
            None
        })
    }

    /// The rows to be saved: with those that were found, one for each key.
    pub fn responses(self, found: Vec<AnswersAround>) -> Vec<Response> {
        let mut responses = self.responses;
        responses.extend(found.into_iter().flat_map(AnswersAround::responses));
        responses.sort_by(|a, b| a.key().cmp(&b.key()));
        responses.dedup_by(|a, b| a.key() == b.key());
        responses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(millis: i64) -> MessagePosition {
        MessagePosition { occurred_at: Timestamp::from_millis(millis), message_id: millis.to_string() }
    }

    fn messages(incoming: &[i64], outgoing: &[i64]) -> BTreeSet<ChatMessage> {
        let question = incoming.iter().map(|millis| ChatMessage::new(false, position(*millis)));
        question.chain(outgoing.iter().map(|millis| ChatMessage::new(true, position(*millis)))).collect()
    }

    #[test]
    fn what_comes_in_its_order_needs_no_look() {
        let followed =
            ResponseTracker::default().follow(messages(&[1_000, 2_000, 7_900, 9_000], &[3_000, 3_500, 5_000, 7_100]));
        assert_eq!(followed.waiting, Some(Some(position(9_000))));
        assert_eq!(followed.answered, [(position(1_000), position(3_000)), (position(7_900), position(7_100))]);
        assert!(followed.affected.is_empty());
        let never_answered = ResponseTracker::new(Some(position(5_000)), Some(&position(90_000)), None);
        let followed = never_answered.follow(messages(&[4_000, 91_000], &[]));
        assert_eq!((followed.waiting, followed.affected.len()), (Some(Some(position(4_000))), 0));
    }

    #[test]
    fn what_comes_late_is_looked_up_around_its_second() {
        let tracker = || ResponseTracker::new(None, Some(&position(1_000)), Some(position(5_500)));
        assert_eq!(tracker().follow(messages(&[3_000], &[])).affected, [3].into());
        assert_eq!(tracker().follow(messages(&[5_999], &[])).affected, [5].into());
        assert_eq!(tracker().follow(messages(&[], &[5_100])).affected, [5].into());
        assert_eq!(tracker().follow(messages(&[], &[5_600])).affected, [].into());
    }

    #[test]
    fn an_answer_between_questions_leaves_open_who_waits() {
        let tracker = ResponseTracker::new(Some(position(2_000)), Some(&position(9_000)), None);
        let followed = tracker.follow(messages(&[], &[5_000, 7_000]));
        assert_eq!(followed.waiting, None);
        assert_eq!(followed.answered, [(position(2_000), position(5_000))]);
        assert_eq!(followed.affected, [7].into());
    }
}
