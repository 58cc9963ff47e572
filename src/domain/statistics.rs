//! Counts of messages, deliveries and responses as a database returns them, and the figures that are made of them.

use std::collections::BTreeMap;

use crate::message::ack;
use crate::time::calendar::{BucketKey, Calendar};
use crate::time::timestamp::Timestamp;
use crate::time::wait_limit::WaitLimit;

pub const WEEKDAYS: usize = 7;
pub const HOURS: usize = 24;

/// The type that is shown for messages that state none.
const UNKNOWN_TYPE: &str = "unknown";

/// The number of messages of one direction and type in a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageCount {
    pub bucket: BucketKey,
    pub from_me: bool,
    pub kind: Option<String>,
    pub messages: u64,
}

/// The number of messages of one direction at an hour of the week. Hour 0 is the first of Monday.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HourCount {
    pub hour_of_week: usize,
    pub from_me: bool,
    pub messages: u64,
}

/// The number of outgoing messages in a bucket whose ack has this rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckCount {
    pub bucket: BucketKey,
    pub ack_rank: i16,
    pub messages: u64,
}

/// The number of outgoing messages in a bucket that took this many whole seconds to be delivered or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryTime {
    pub bucket: BucketKey,
    pub step: AckStep,
    pub seconds: u64,
    pub messages: u64,
}

/// The step that a [`DeliveryTime`] ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckStep {
    Delivered,
    Read,
}

/// The number of answers that came this many seconds after a first question and after the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseTime {
    pub hour_of_week: usize,
    /// The question that was asked at this hour. An answer is given once by its first question, and a second time by
    /// its last one if its wait may be counted from there.
    pub asked: AskedQuestion,
    /// The seconds from the first question.
    pub seconds: u64,
    /// The seconds from the last question. They are `seconds` if they do not matter, because the wait is short enough.
    pub seconds_from_last: u64,
    pub responses: u64,
}

/// The first or the last of the questions that an answer answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskedQuestion {
    First,
    Last,
}

/// The way in which a wait is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CountedWait {
    From(AskedQuestion),
    /// The wait is counted apart.
    Longer,
}

impl CountedWait {
    /// A wait that is longer than `within` counts from the last question, if that is not longer ago: somebody said
    /// "thanks" four days ago, which nobody answered, and then asked a question, which was answered in ten minutes.
    fn of(seconds: u64, seconds_from_last: u64, within: Option<WaitLimit>) -> Self {
        let is_longer = |seconds| within.is_some_and(|limit| seconds > limit.seconds());
        match (is_longer(seconds), is_longer(seconds_from_last)) {
            (false, _) => Self::From(AskedQuestion::First),
            (true, false) => Self::From(AskedQuestion::Last),
            (true, true) => Self::Longer,
        }
    }
}

/// The number of chats in which somebody waits for an answer now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WaitingChats {
    pub chats: u64,
    /// The time since which the longest of them has waited.
    pub since: Option<Timestamp>,
    /// The number of chats whose last question is older than what is counted.
    pub longer: u64,
}

/// Numbers of messages by direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageTally {
    pub incoming: u64,
    pub outgoing: u64,
}

impl MessageTally {
    fn add(&mut self, from_me: bool, messages: u64) {
        *if from_me { &mut self.outgoing } else { &mut self.incoming } += messages;
    }
}

/// The messages of a bucket, in total and by type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketTraffic {
    pub total: MessageTally,
    pub kinds: BTreeMap<String, MessageTally>,
}

impl BucketTraffic {
    /// Sums up the counts of each bucket of the calendar, in the order of the buckets.
    pub fn of(calendar: &Calendar, counts: Vec<MessageCount>) -> Vec<Self> {
        let mut traffic = vec![Self::default(); calendar.buckets().len()];
        for MessageCount { bucket: key, from_me, kind, messages } in counts {
            let Some(bucket) = calendar.bucket(key) else { continue };
            let kind = kind.unwrap_or_else(|| UNKNOWN_TYPE.to_owned());
            traffic[bucket].total.add(from_me, messages);
            traffic[bucket].kinds.entry(kind).or_default().add(from_me, messages);
        }
        traffic
    }
}

/// Messages by weekday (from Monday) and hour.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WeekHours(pub [[MessageTally; HOURS]; WEEKDAYS]);

impl WeekHours {
    pub fn of(counts: &[HourCount]) -> Self {
        let mut week = Self::default();
        for count in counts {
            let (weekday, hour) = weekday_and_hour(count.hour_of_week);
            week.0[weekday][hour].add(count.from_me, count.messages);
        }
        week
    }
}

fn weekday_and_hour(hour_of_week: usize) -> (usize, usize) {
    (hour_of_week / HOURS % WEEKDAYS, hour_of_week % HOURS)
}

/// A histogram of durations in whole seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Durations(BTreeMap<u64, u64>);

impl Durations {
    pub fn add(&mut self, seconds: u64, times: u64) {
        *self.0.entry(seconds).or_default() += times;
    }

    pub fn count(&self) -> u64 {
        self.0.values().sum()
    }

    /// Returns the percentile by the nearest-rank method, which always gives a duration that occurred. `None` if there
    /// is no duration.
    pub fn percentile(&self, percent: u64) -> Option<u64> {
        let rank = (self.count() * percent).div_ceil(100).max(1);
        let mut reached = 0;
        self.0.iter().find_map(|(seconds, times)| {
            reached += times;
            (reached >= rank).then_some(*seconds)
        })
    }
}

/// The delivery states of outgoing messages. A message that was read also counts as delivered and sent, and one that
/// was delivered also counts as sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Funnel {
    pub pending: u64,
    pub failed: u64,
    pub sent: u64,
    pub delivered: u64,
    pub read: u64,
}

impl Funnel {
    pub fn total(&self) -> u64 {
        self.pending + self.failed + self.sent
    }

    fn add(&mut self, rank: i16, messages: u64) {
        if rank == ack::rank("failed") {
            self.failed += messages;
            return;
        }
        *if rank < ack::rank("sent") { &mut self.pending } else { &mut self.sent } += messages;
        if rank >= ack::rank("delivered") {
            self.delivered += messages;
        }
        if rank >= ack::rank("read") {
            self.read += messages;
        }
    }
}

/// The delivery states of outgoing messages, and how long the steps took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryFunnel {
    pub funnel: Funnel,
    pub to_delivered: Durations,
    pub to_read: Durations,
}

impl DeliveryFunnel {
    /// Sums up the counts of all buckets.
    pub fn of(acks: &[AckCount], times: &[DeliveryTime]) -> Self {
        let mut delivery = Self::default();
        acks.iter().for_each(|count| delivery.funnel.add(count.ack_rank, count.messages));
        times.iter().for_each(|time| delivery.add_time(time));
        delivery
    }

    /// Sums up the counts of each bucket of the calendar, in the order of the buckets.
    pub fn by_bucket(calendar: &Calendar, acks: &[AckCount], times: &[DeliveryTime]) -> Vec<Self> {
        let mut deliveries = vec![Self::default(); calendar.buckets().len()];
        for count in acks {
            let Some(bucket) = calendar.bucket(count.bucket) else { continue };
            deliveries[bucket].funnel.add(count.ack_rank, count.messages);
        }
        for time in times {
            let Some(bucket) = calendar.bucket(time.bucket) else { continue };
            deliveries[bucket].add_time(time);
        }
        deliveries
    }

    fn add_time(&mut self, time: &DeliveryTime) {
        let durations = match time.step {
            AckStep::Delivered => &mut self.to_delivered,
            AckStep::Read => &mut self.to_read,
        };
        durations.add(time.seconds, time.messages);
    }
}

/// The times that people waited for answers, and the number of those who waited longer than what is counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    pub durations: Durations,
    pub longer: u64,
}

impl Waits {
    /// `seconds` are `None` for longer waits.
    pub fn add(&mut self, seconds: Option<u64>, times: u64) {
        match seconds {
            Some(seconds) => self.durations.add(seconds, times),
            None => self.longer += times,
        }
    }
}

/// The times that people waited for an answer, grouped by when they began to wait.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseDurations {
    pub all: Waits,
    pub by_hour: [Waits; HOURS],
    /// The weekdays, from Monday.
    pub by_weekday: [Waits; WEEKDAYS],
}

impl ResponseDurations {
    pub fn of(times: &[ResponseTime], within: Option<WaitLimit>) -> Self {
        let mut responses = Self::default();
        for time in times {
            let seconds = match (CountedWait::of(time.seconds, time.seconds_from_last, within), time.asked) {
                (CountedWait::From(AskedQuestion::First), AskedQuestion::First) => Some(time.seconds),
                (CountedWait::From(AskedQuestion::Last), AskedQuestion::Last) => Some(time.seconds_from_last),
                (CountedWait::Longer, AskedQuestion::First) => None,
                // It is counted, or not, where its other question is given.
                _ => continue,
            };
            let (weekday, hour) = weekday_and_hour(time.hour_of_week);
            for waits in [&mut responses.all, &mut responses.by_hour[hour], &mut responses.by_weekday[weekday]] {
                waits.add(seconds, time.responses);
            }
        }
        responses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn durations(seconds: &[u64]) -> Durations {
        let mut durations = Durations::default();
        seconds.iter().for_each(|seconds| durations.add(*seconds, 1));
        durations
    }

    #[test]
    fn a_percentile_is_the_nearest_rank() {
        let five = durations(&[15, 20, 35, 40, 50]);
        let percentiles = [1, 20, 21, 40, 50, 90, 100].map(|percent| five.percentile(percent));
        assert_eq!(percentiles, [15, 15, 20, 20, 35, 50, 50].map(Some));
        assert_eq!(durations(&[7, 7, 7, 9]).percentile(50), Some(7));
        assert_eq!(durations(&[]).percentile(50), None);
    }

    #[test]
    fn a_read_message_counts_as_delivered_and_sent_and_a_failed_one_as_neither() {
        let bucket = BucketKey { slice: 0, number: 0 };
        let acks = ["", "pending", "sent", "failed", "delivered", "read", "played"].map(|word| AckCount {
            bucket,
            ack_rank: ack::rank(word),
            messages: 10,
        });
        let funnel = DeliveryFunnel::of(&acks, &[]).funnel;
        assert_eq!(funnel, Funnel { pending: 20, failed: 10, sent: 40, delivered: 30, read: 20 });
        assert_eq!(funnel.total(), 70);
    }

    #[test]
    fn a_wait_that_is_too_long_counts_from_the_last_question_or_apart() {
        use AskedQuestion::{First, Last};
        const MINUTE: u64 = 60;
        const DAY: u64 = 24 * 60 * MINUTE;
        let within = Some(WaitLimit::parse("24h").unwrap());
        for (seconds, from_last, within, expected) in [
            (10 * MINUTE, 5 * MINUTE, within, CountedWait::From(First)),
            (DAY, 0, within, CountedWait::From(First)),
            (DAY + 1, DAY, within, CountedWait::From(Last)),
            (4 * DAY, 10 * MINUTE, within, CountedWait::From(Last)),
            (4 * DAY, DAY + 1, within, CountedWait::Longer),
            (4 * DAY, 4 * DAY, within, CountedWait::Longer),
            (4 * DAY, 10 * MINUTE, None, CountedWait::From(First)),
        ] {
            assert_eq!(CountedWait::of(seconds, from_last, within), expected, "{seconds} {from_last}");
        }
        let time = |hour_of_week, asked, seconds, seconds_from_last| ResponseTime {
            hour_of_week,
            asked,
            seconds,
            seconds_from_last,
            responses: 1,
        };
        let times = [
            time(0, First, 4 * DAY, 600),
            time(25, Last, 4 * DAY, 600),
            time(1, First, 30, 30),
            time(2, First, 3 * DAY, 2 * DAY),
            time(3, Last, 3 * DAY, 2 * DAY),
        ];
        let responses = ResponseDurations::of(&times, within);
        assert_eq!(responses.all, Waits { durations: durations(&[30, 600]), longer: 1 });
        assert_eq!(responses.by_weekday[0], Waits { durations: durations(&[30]), longer: 1 });
        assert_eq!(responses.by_hour[1], Waits { durations: durations(&[30, 600]), longer: 0 });
        assert_eq!(responses.by_hour[2], Waits { durations: durations(&[]), longer: 1 });
        let all = ResponseDurations::of(&times, None).all;
        assert_eq!(all, Waits { durations: durations(&[4 * DAY, 30, 3 * DAY]), longer: 0 });
    }

    #[test]
    fn an_hour_of_the_week_is_a_weekday_and_an_hour() {
        let count = |hour_of_week, from_me| HourCount { hour_of_week, from_me, messages: 3 };
        let WeekHours(week) = WeekHours::of(&[count(0, false), count(167, true), count(24, true), count(24, false)]);
        assert_eq!(week[0][0], MessageTally { incoming: 3, outgoing: 0 });
        assert_eq!(week[6][23], MessageTally { incoming: 0, outgoing: 3 });
        assert_eq!(week[1][0], MessageTally { incoming: 3, outgoing: 3 });
    }
}
