//! Waiting messages and responses: which message of a chat waits for an answer, and which messages were answered when.
//!
//! Times are compared in whole seconds, because gateways state whole seconds.
//!
//! - The message that waits is the first incoming one after the last outgoing one. An incoming message of the same
//!   second as the outgoing one counts as answered.
//! - An answer is a second `s` in which something was sent. Let `p` be the answer before it. It answers the incoming
//!   messages that are later than `p` and not later than `s`, if there are any. Somebody waited since the first of them,
//!   and asked last with the last of them.
//!
//! Both are functions of the set of a chat's messages. [`ResponseTracker`] maintains them without reading that set
//! again. Where that is not possible, [`AnswersAround`] has what must be looked up.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{ChatKey, MessagePosition};
use crate::instance::InstanceId;
use crate::time::timestamp::Timestamp;

/// The incoming messages that wait for an answer, or that one answer answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Questions {
    pub first: MessagePosition,
    /// The time of the last of them.
    pub last_at: Timestamp,
}

impl Questions {
    fn one(position: MessagePosition) -> Self {
        Self { last_at: position.occurred_at, first: position }
    }

    fn merge(self, other: Self) -> Self {
        Self { first: self.first.min(other.first), last_at: self.last_at.max(other.last_at) }
    }
}

/// A row of `responses`: `questions` waited for an answer, and `outgoing` was the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub instance_id: InstanceId,
    pub chat_id: String,
    pub questions: Questions,
    pub outgoing: MessagePosition,
}

impl Response {
    fn new(ChatKey { instance_id, chat_id }: ChatKey, questions: Questions, outgoing: MessagePosition) -> Self {
        Self { instance_id, chat_id, questions, outgoing }
    }

    /// Returns the columns of the primary key.
    pub fn key(&self) -> (&InstanceId, &str, Timestamp) {
        (&self.instance_id, &self.chat_id, self.questions.first.occurred_at)
    }

    /// Returns the whole seconds from the first question to the answer.
    pub fn seconds(&self) -> i64 {
        self.outgoing.occurred_at.seconds() - self.questions.first.occurred_at.seconds()
    }

    /// Returns the whole seconds from the last question to the answer.
    pub fn seconds_from_last(&self) -> i64 {
        self.outgoing.occurred_at.seconds() - self.questions.last_at.seconds()
    }
}

/// A message of a chat. They sort in the order in which a [`ResponseTracker`] takes them: by second, and within a
/// second incoming ones first.
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

/// Tracks who waits and who was answered in a chat, from its row and its new messages, without reading the recorded
/// ones. New messages that are later than the last outgoing one need no look-up. For the others, the tracker says what
/// must be looked up.
#[derive(Debug, Default)]
pub struct ResponseTracker {
    waiting: WaitState,
    last_outgoing: Option<MessagePosition>,
    answered: Vec<(Questions, MessagePosition)>,
    affected: BTreeSet<i64>,
}

#[derive(Debug)]
enum WaitState {
    Known(Option<Questions>),
    Unknown,
}

impl Default for WaitState {
    fn default() -> Self {
        Self::Known(None)
    }
}

/// The result of a [`ResponseTracker`].
#[derive(Debug)]
pub struct TrackedResponses {
    /// The messages that wait after all, or `None` if they must be looked up.
    pub waiting: Option<Option<Questions>>,
    /// The questions with their answers.
    pub answered: Vec<(Questions, MessagePosition)>,
    /// The seconds around which the answers must be looked up.
    pub affected: BTreeSet<i64>,
}

impl TrackedResponses {
    /// Returns the result for a chat whose row cannot be used, so that everything must be looked up.
    pub fn unknown(affected: BTreeSet<i64>) -> Self {
        Self { waiting: None, answered: vec![], affected }
    }
}

impl ResponseTracker {
    /// Begins with the values in the row of a chat.
    pub fn new(waiting: Option<Questions>, last_outgoing: Option<MessagePosition>) -> Self {
        Self { waiting: WaitState::Known(waiting), last_outgoing, ..Self::default() }
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
            // A message in the second of the last answer that is not the first of that second does not change the
            // answer.
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
            let question = Questions::one(position);
            *waiting = Some(match waiting.take() {
                Some(known) => known.merge(question),
                None => question,
            });
        }
    }

    fn add_outgoing(&mut self, message: ChatMessage) {
        match &mut self.waiting {
            WaitState::Unknown => {
                self.affected.insert(message.second);
            }
            WaitState::Known(waiting) => {
                let asked = waiting.take_if(|asked| asked.first.occurred_at.seconds() <= message.second);
                match asked {
                    Some(questions) if questions.last_at.seconds() <= message.second => {
                        self.answered.push((questions, message.position.clone()));
                    }
                    // The answer came between the questions. The row of the chat does not have those next to it.
                    Some(_) => {
                        self.affected.insert(message.second);
                        self.waiting = WaitState::Unknown;
                    }
                    None => {}
                }
            }
        }
        self.last_outgoing = Some(message.position);
    }
}

/// An answer as it was looked up among the messages of a chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerSecond {
    /// The first message that was sent in the second of the answer.
    pub outgoing: MessagePosition,
    /// The messages that it answers.
    pub questions: Option<Questions>,
}

/// The answers around a second in which a message was added, removed or changed its direction. Only two answers can
/// have changed: the first one from that second on, and the one after it, whose range may begin later or earlier now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswersAround {
    pub chat: ChatKey,
    /// The latest outgoing message before that second.
    pub before: Option<Timestamp>,
    pub next: Option<AnswerSecond>,
    pub after: Option<AnswerSecond>,
}

/// The responses of a chat whose incoming message is in a span of time: from `from` on and before `until`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WaitSpan {
    #[serde(flatten)]
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
    /// Returns the span in which rows of `responses` may be wrong. [`AnswersAround::responses`] gives all rows of it
    /// anew.
    pub fn span(&self) -> WaitSpan {
        let from = self.before.map(Timestamp::next_second);
        let until = self.after.as_ref().map(|answer| answer.outgoing.occurred_at.next_second());
        let all = WaitSpan::all(self.chat.clone());
        WaitSpan { from: from.unwrap_or(all.from), until: until.unwrap_or(all.until), ..all }
    }

    pub fn responses(self) -> impl Iterator<Item = Response> {
        let Self { chat, next, after, .. } = self;
        let answers = next.into_iter().chain(after);
        answers.filter_map(move |AnswerSecond { outgoing, questions }| {
            Some(Response::new(chat.clone(), questions?, outgoing))
        })
    }
}

/// The changes that a batch makes to waiting messages and responses.
#[derive(Debug, Default)]
pub struct ResponseChanges {
    pub responses: Vec<Response>,
    /// The chats and the beginnings of the seconds around which the answers must be looked up.
    pub affected: Vec<(ChatKey, Timestamp)>,
    /// The chats in which the waiting messages must be looked up: the incoming ones from this time on.
    pub unknown_waits: Vec<(ChatKey, Timestamp)>,
}

impl ResponseChanges {
    /// Adds the result of a chat. `last_outgoing` is the latest outgoing message after the batch. Returns the messages
    /// that wait, if they are known.
    pub fn add(
        &mut self,
        chat: &ChatKey,
        tracked: TrackedResponses,
        last_outgoing: Option<&MessagePosition>,
    ) -> Option<Questions> {
        let response = |(questions, outgoing)| Response::new(chat.clone(), questions, outgoing);
        self.responses.extend(tracked.answered.into_iter().map(response));
        let affected = tracked.affected.into_iter().map(|second| (chat.clone(), Timestamp::from_seconds(second)));
        self.affected.extend(affected);
        tracked.waiting.unwrap_or_else(|| {
            let since = last_outgoing.map_or(Timestamp::MIN, |position| position.occurred_at.next_second());
            self.unknown_waits.push((chat.clone(), since));
            None
        })
    }

    /// Returns the rows to save, together with those that were looked up: one for each key.
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
        MessagePosition { occurred_at: Timestamp::from_millis(millis), seq: millis, message_id: millis.to_string() }
    }

    fn questions(first: i64, last: i64) -> Questions {
        Questions { first: position(first), last_at: Timestamp::from_millis(last) }
    }

    fn messages(incoming: &[i64], outgoing: &[i64]) -> BTreeSet<ChatMessage> {
        let question = incoming.iter().map(|millis| ChatMessage::new(false, position(*millis)));
        question.chain(outgoing.iter().map(|millis| ChatMessage::new(true, position(*millis)))).collect()
    }

    #[test]
    fn messages_in_their_order_need_no_look_up() {
        let followed =
            ResponseTracker::default().follow(messages(&[1_000, 2_000, 7_900, 9_000], &[3_000, 3_500, 5_000, 7_100]));
        assert_eq!(followed.waiting, Some(Some(questions(9_000, 9_000))));
        let answered = [(questions(1_000, 2_000), position(3_000)), (questions(7_900, 7_900), position(7_100))];
        assert_eq!(followed.answered, answered);
        assert!(followed.affected.is_empty());
        let never_answered = ResponseTracker::new(Some(questions(5_000, 90_000)), None);
        let followed = never_answered.follow(messages(&[4_000, 89_000, 91_000], &[]));
        assert_eq!((followed.waiting, followed.affected.len()), (Some(Some(questions(4_000, 91_000))), 0));
        let followed = ResponseTracker::new(Some(questions(5_000, 6_000)), None).follow(messages(&[8_000], &[9_000]));
        assert_eq!(
            (followed.waiting, followed.answered),
            (Some(None), vec![(questions(5_000, 8_000), position(9_000))])
        );
    }

    #[test]
    fn late_messages_need_a_look_up_around_their_second() {
        let tracker = || ResponseTracker::new(None, Some(position(5_500)));
        assert_eq!(tracker().follow(messages(&[3_000], &[])).affected, [3].into());
        assert_eq!(tracker().follow(messages(&[5_999], &[])).affected, [5].into());
        assert_eq!(tracker().follow(messages(&[], &[5_100])).affected, [5].into());
        assert_eq!(tracker().follow(messages(&[], &[5_600])).affected, [].into());
    }

    #[test]
    fn after_an_answer_between_questions_it_is_unknown_which_of_them_it_answers_and_which_wait() {
        let tracker = ResponseTracker::new(Some(questions(2_000, 9_000)), None);
        let followed = tracker.follow(messages(&[], &[5_000, 7_000]));
        assert_eq!((followed.waiting, followed.answered), (None, vec![]));
        assert_eq!(followed.affected, [5, 7].into());
    }
}
