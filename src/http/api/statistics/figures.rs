//! The figures of statistics, as the API shows them.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::http::api::time::rfc3339;
use domain::statistics::{
    BucketTraffic, DeliveryFunnel, Durations, MessageTally, ResponseDurations, WaitingChats, Waits, WeekHours,
};
use domain::time::calendar::{Bucket, Calendar};

/// The range and the instances that a statistic is about.
#[derive(Serialize, ToSchema)]
pub struct StatisticsRange {
    /// The start.
    #[schema(example = "2024-08-27T05:00:00Z", format = DateTime)]
    pub since: String,
    /// The end, which is not included.
    #[schema(example = "2024-08-28T05:00:00Z", format = DateTime)]
    pub until: String,
    /// The time zone of hours, days and weeks.
    #[schema(example = "America/Bogota")]
    pub time_zone: String,
    /// The requested instance; null for all that the token can see.
    #[schema(example = "123", required = true)]
    pub instance_id: Option<String>,
    /// The kinds of chats that are counted.
    #[schema(value_type = Vec<String>, example = json!(["person", "group"]))]
    pub kinds: Vec<&'static str>,
}

/// An hour, day or week, or the part of it that is in the range.
#[derive(Serialize, ToSchema)]
pub struct TimeBucket {
    /// The local time: `2024-08-27T13:00` for an hour, `2024-08-27` for a day, the Monday for a week. An hour that comes
    /// twice because the clocks go back also has its offset: `2024-04-06T23:00-03:00`.
    #[schema(example = "2024-08-27")]
    pub label: String,
    #[schema(example = "2024-08-27T05:00:00Z", format = DateTime)]
    pub since: String,
    #[schema(example = "2024-08-28T05:00:00Z", format = DateTime)]
    pub until: String,
}

/// The number of messages by direction.
#[derive(Serialize, ToSchema)]
pub struct Directions {
    #[schema(example = 120)]
    pub incoming: u64,
    #[schema(example = 95)]
    pub outgoing: u64,
}

/// The messages of an hour, day or week.
#[derive(Serialize, ToSchema)]
pub struct MessageBucket {
    #[serde(flatten)]
    pub bucket: TimeBucket,
    #[serde(flatten)]
    pub total: Directions,
    /// The types that occur; `unknown` stands for messages without a type.
    #[schema(example = json!({"image": {"incoming": 20, "outgoing": 5}, "text": {"incoming": 100, "outgoing": 90}}))]
    pub types: BTreeMap<String, Directions>,
}

/// The number of messages in every hour, day or week of the range, including those without messages.
#[derive(Serialize, ToSchema)]
pub struct MessageStatistics {
    #[serde(flatten)]
    pub range: StatisticsRange,
    pub data: Vec<MessageBucket>,
}

/// The median and the 90th percentile in whole seconds; null if there are no cases.
#[derive(Serialize, ToSchema)]
pub struct Percentiles {
    #[schema(example = 2, required = true)]
    pub p50: Option<u64>,
    #[schema(example = 34, required = true)]
    pub p90: Option<u64>,
}

/// Shares of the total, from 0 to 1; null if there are no messages.
#[derive(Serialize, ToSchema)]
pub struct Rates {
    #[schema(example = 0.9895, required = true)]
    pub sent: Option<f64>,
    #[schema(example = 0.9474, required = true)]
    pub delivered: Option<f64>,
    #[schema(example = 0.7368, required = true)]
    pub read: Option<f64>,
    #[schema(example = 0.0105, required = true)]
    pub failed: Option<f64>,
}

/// The progress of outgoing messages. A message that was read also counts as delivered, and a delivered one as sent:
/// `total` is the sum of `sent`, `failed` and `pending`.
#[derive(Serialize, ToSchema)]
pub struct DeliveryFigures {
    #[schema(example = 95)]
    pub total: u64,
    #[schema(example = 94)]
    pub sent: u64,
    #[schema(example = 90)]
    pub delivered: u64,
    #[schema(example = 70)]
    pub read: u64,
    #[schema(example = 1)]
    pub failed: u64,
    #[schema(example = 0)]
    pub pending: u64,
    pub rates: Rates,
    pub seconds_to_delivered: Percentiles,
    pub seconds_to_read: Percentiles,
}

/// The outgoing messages of an hour, day or week.
#[derive(Serialize, ToSchema)]
pub struct DeliveryBucket {
    #[serde(flatten)]
    pub bucket: TimeBucket,
    #[serde(flatten)]
    pub figures: DeliveryFigures,
}

/// The progress of outgoing messages, and the time until they were delivered and read.
#[derive(Serialize, ToSchema)]
pub struct DeliveryStatistics {
    #[serde(flatten)]
    pub range: StatisticsRange,
    /// The figures of the whole range.
    pub data: DeliveryFigures,
    /// The figures of each hour, day or week, as `by` says; empty without it.
    pub series: Vec<DeliveryBucket>,
}

/// The number of first answers, and the time that people waited for them.
#[derive(Serialize, ToSchema)]
pub struct ResponseFigures {
    /// The number of answers in `seconds`.
    #[schema(example = 41)]
    pub count: u64,
    /// The number of answers that came later than `within` after the last question, and are not in `seconds`.
    #[schema(example = 2)]
    pub longer: u64,
    pub seconds: Percentiles,
}

/// The figures of the people who began to wait in this hour.
#[derive(Serialize, ToSchema)]
pub struct HourFigures {
    /// The hour in local time, 0 to 23.
    #[schema(example = 13)]
    pub hour: usize,
    #[serde(flatten)]
    pub figures: ResponseFigures,
}

/// The figures of the people who began to wait on this weekday.
#[derive(Serialize, ToSchema)]
pub struct WeekdayFigures {
    /// The weekday from 1 (Monday) to 7 (Sunday), as in ISO 8601.
    #[schema(example = 1)]
    pub weekday: usize,
    #[serde(flatten)]
    pub figures: ResponseFigures,
}

/// Response times: all of them, by hour and by weekday.
#[derive(Serialize, ToSchema)]
pub struct ResponseBreakdown {
    #[serde(flatten)]
    pub all: ResponseFigures,
    /// All 24 hours.
    pub by_hour: Vec<HourFigures>,
    /// All 7 weekdays.
    pub by_weekday: Vec<WeekdayFigures>,
}

/// The chats in which somebody waits for an answer now, independent of the range. Groups never wait.
#[derive(Serialize, ToSchema)]
pub struct WaitingNow {
    #[schema(example = 3)]
    pub chats: u64,
    /// When the longest of these waits began; null if nobody waits.
    #[schema(example = "2024-08-27T13:05:00Z", format = DateTime, required = true)]
    pub longest_since: Option<String>,
    /// The number of chats in which the last question is longer ago than `within`. They are not in `chats`.
    #[schema(example = 12)]
    pub longer: u64,
}

/// The time that people waited for the first answer of the business. Waits that began within the range are counted. A
/// wait begins with the first message that was not answered; if it was longer than `within`, with the last one before
/// the answer.
#[derive(Serialize, ToSchema)]
pub struct ResponseStatistics {
    #[serde(flatten)]
    pub range: StatisticsRange,
    /// The parameter `within` in seconds; null without it.
    #[schema(example = 86400, required = true)]
    pub within_seconds: Option<u64>,
    pub data: ResponseBreakdown,
    pub waiting_now: WaitingNow,
}

/// The number of messages by weekday (7 rows, Monday first) and local hour (24 columns, from 0).
#[derive(Serialize, ToSchema)]
pub struct WeekFigures {
    #[schema(example = json!([[0, 0, 0, 0, 0, 0, 1, 4, 9, 12, 11, 10, 8, 9, 10, 12, 9, 7, 4, 3, 1, 0, 0, 0]]))]
    pub incoming: Vec<Vec<u64>>,
    #[schema(example = json!([[0, 0, 0, 0, 0, 0, 0, 2, 8, 11, 12, 9, 4, 6, 10, 11, 9, 6, 1, 0, 0, 0, 0, 0]]))]
    pub outgoing: Vec<Vec<u64>>,
}

/// The number of messages by weekday and hour.
#[derive(Serialize, ToSchema)]
pub struct HourStatistics {
    #[serde(flatten)]
    pub range: StatisticsRange,
    pub data: WeekFigures,
}

impl From<&Bucket> for TimeBucket {
    fn from(bucket: &Bucket) -> Self {
        Self { label: bucket.label.clone(), since: rfc3339(bucket.period.since), until: rfc3339(bucket.period.until) }
    }
}

impl From<MessageTally> for Directions {
    fn from(MessageTally { incoming, outgoing }: MessageTally) -> Self {
        Self { incoming, outgoing }
    }
}

impl MessageStatistics {
    /// `traffic` has an element for each bucket of the calendar.
    pub fn new(range: StatisticsRange, calendar: &Calendar, traffic: Vec<BucketTraffic>) -> Self {
        let figures = |(bucket, traffic): (&Bucket, BucketTraffic)| MessageBucket {
            bucket: bucket.into(),
            total: traffic.total.into(),
            types: traffic.kinds.into_iter().map(|(kind, tally)| (kind, tally.into())).collect(),
        };
        Self { range, data: calendar.buckets().iter().zip(traffic).map(figures).collect() }
    }
}

impl From<&Durations> for Percentiles {
    fn from(durations: &Durations) -> Self {
        Self { p50: durations.percentile(50), p90: durations.percentile(90) }
    }
}

impl From<&Waits> for ResponseFigures {
    fn from(Waits { durations, longer }: &Waits) -> Self {
        Self { count: durations.count(), longer: *longer, seconds: durations.into() }
    }
}

impl From<&DeliveryFunnel> for DeliveryFigures {
    fn from(DeliveryFunnel { funnel, to_delivered, to_read }: &DeliveryFunnel) -> Self {
        let rate = |part| share(part, funnel.total());
        Self {
            total: funnel.total(),
            sent: funnel.sent,
            delivered: funnel.delivered,
            read: funnel.read,
            failed: funnel.failed,
            pending: funnel.pending,
            rates: Rates {
                sent: rate(funnel.sent),
                delivered: rate(funnel.delivered),
                read: rate(funnel.read),
                failed: rate(funnel.failed),
            },
            seconds_to_delivered: to_delivered.into(),
            seconds_to_read: to_read.into(),
        }
    }
}

/// Returns the share rounded to four decimals.
fn share(part: u64, total: u64) -> Option<f64> {
    (total > 0).then(|| (part as f64 / total as f64 * 10_000.0).round() / 10_000.0)
}

impl From<&ResponseDurations> for ResponseBreakdown {
    fn from(responses: &ResponseDurations) -> Self {
        let hours = responses.by_hour.iter().enumerate();
        let weekdays = (1..).zip(&responses.by_weekday);
        Self {
            all: (&responses.all).into(),
            by_hour: hours.map(|(hour, waits)| HourFigures { hour, figures: waits.into() }).collect(),
            by_weekday: weekdays.map(|(weekday, waits)| WeekdayFigures { weekday, figures: waits.into() }).collect(),
        }
    }
}

impl From<WaitingChats> for WaitingNow {
    fn from(waiting: WaitingChats) -> Self {
        Self { chats: waiting.chats, longest_since: waiting.since.map(rfc3339), longer: waiting.longer }
    }
}

impl From<&WeekHours> for WeekFigures {
    fn from(WeekHours(week): &WeekHours) -> Self {
        let matrix = |count: fn(&MessageTally) -> u64| week.iter().map(|day| day.iter().map(count).collect()).collect();
        Self { incoming: matrix(|tally| tally.incoming), outgoing: matrix(|tally| tally.outgoing) }
    }
}
