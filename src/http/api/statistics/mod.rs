//! Statistics: `GET /api/v1/stats/…`.

use actix_web::HttpResponse;
use serde::{Deserialize, Deserializer};
use utoipa::{IntoParams, ToSchema};

use crate::http::api::parameters::{Both, chat_kinds, instance, invalid, parsed};
use crate::http::api::request::ApiRequest;
use crate::http::api::time::{LocalTime, point_in_time, rfc3339};
use crate::http::openapi::problems::ListProblems;
use crate::http::problem::Problem;
use domain::chat::chat_kind::ChatKinds;
use domain::instance::InstanceId;
use domain::statistics::{BucketTraffic, DeliveryFunnel, ResponseDurations, WeekHours};
use domain::time::calendar::{Calendar, CalendarUnit, Grid, InvalidPeriod, Period};
use domain::time::wait_limit::WaitLimit;
use domain::time::zone::Zone;
use store::StatisticsFilter;

pub mod figures;

use figures::{
    DeliveryBucket, DeliveryStatistics, HourStatistics, MessageStatistics, ResponseStatistics, StatisticsRange,
};

/// The number of days that statistics cover without `since`.
const DEFAULT_DAYS: i32 = 30;

#[derive(Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct StatisticsParameters {
    /// Only this instance.
    #[serde(deserialize_with = "instance")]
    #[param(value_type = Option<String>, example = "123")]
    instance_id: Option<InstanceId>,
    /// Only chats of these kinds, with commas between them: person, group, status, broadcast, channel, other. The default
    /// is `person,group`.
    #[serde(deserialize_with = "chat_kinds")]
    #[param(value_type = Option<String>, example = "person,group", pattern = r"^(person|group|status|broadcast|channel|other)(,(person|group|status|broadcast|channel|other))*$")]
    kind: Option<ChatKinds>,
    /// The start: seconds since 1970, RFC 3339, or a date in the time zone. By default the statistics cover 30 days, the
    /// last of which ends with `until`.
    #[param(example = "2024-08-01")]
    since: Option<String>,
    /// The end, which is not included: seconds since 1970, RFC 3339, or a date. The default is now.
    #[param(example = "2024-09-01")]
    until: Option<String>,
    /// The time zone of hours, days and weeks, by its IANA name. The default is the setting `time_zone`.
    #[serde(deserialize_with = "zone")]
    #[param(value_type = Option<String>, example = "America/Bogota")]
    time_zone: Option<Zone>,
}

/// The unit of a series.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum SeriesUnit {
    Hour,
    Day,
    Week,
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct SeriesParameters {
    /// The unit of the series: `hour` (for at most 92 days), `day`, or `week` (from Monday); the last two for at most 10
    /// years.
    #[serde(deserialize_with = "unit")]
    #[param(inline, value_type = Option<SeriesUnit>, example = "day")]
    by: Option<CalendarUnit>,
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct WaitParameters {
    /// The longest wait that is counted, from `1m` to `366d`. Where somebody waited longer, but not since the last
    /// question (a "thanks" four days ago, then a question that was answered in ten minutes), the wait counts from that
    /// question. What is longer still is counted as `longer`. Without it, all waits count from the first question. Other
    /// spellings of such a duration are understood too, such as `1h 30m` and `PT36H`.
    #[serde(deserialize_with = "wait_limit")]
    #[param(
        value_type = Option<String>,
        example = "24h",
        pattern = r"^([1-9][0-9]{0,3}m|[1-9][0-9]{0,2}h|([1-9][0-9]?|[12][0-9]{2}|3[0-5][0-9]|36[0-6])d)$"
    )]
    within: Option<WaitLimit>,
}

fn wait_limit<'de, D: Deserializer<'de>>(value: D) -> Result<Option<WaitLimit>, D::Error> {
    parsed(value, WaitLimit::parse)
}

fn zone<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Zone>, D::Error> {
    parsed(value, Zone::parse)
}

fn unit<'de, D: Deserializer<'de>>(value: D) -> Result<Option<CalendarUnit>, D::Error> {
    parsed(value, |text| CalendarUnit::parse(text).ok_or("expected hour, day or week"))
}

/// The part of the messages that a statistic is about.
struct Selection {
    filter: StatisticsFilter,
    period: Period,
    zone: Zone,
}

impl StatisticsParameters {
    fn selection(&self, local: &LocalTime) -> Result<Selection, Problem> {
        let zone = self.time_zone.clone().unwrap_or_else(|| local.zone.clone());
        let since = point_in_time("since", self.since.as_deref(), |text| zone.read(text))?;
        let until = point_in_time("until", self.until.as_deref(), |text| zone.read(text))?;
        let until = until.unwrap_or_else(|| local.clock.now());
        let period = match since {
            Some(since) => Period::new(since, until),
            None => Period::last_days(&zone, until, DEFAULT_DAYS),
        };
        let kinds = self.kind.clone().unwrap_or_else(ChatKinds::conversations);
        let filter = StatisticsFilter { instance_id: self.instance_id.clone(), kinds };
        Ok(Selection { filter, period: period.map_err(unusable)?, zone })
    }
}

impl Selection {
    fn calendar(&self, unit: CalendarUnit) -> Result<Calendar, Problem> {
        Calendar::new(&self.zone, self.period, unit).map_err(unusable)
    }

    fn range(&self) -> StatisticsRange {
        StatisticsRange {
            since: rfc3339(self.period.since),
            until: rfc3339(self.period.until),
            time_zone: self.zone.name().to_owned(),
            instance_id: self.filter.instance_id.as_ref().map(|id| id.as_str().to_owned()),
            kinds: self.filter.kinds.words(),
        }
    }
}

fn unusable(error: InvalidPeriod) -> Problem {
    invalid(if error == InvalidPeriod::TooManyHours { "by" } else { "since" }, error)
}

/// A request for a statistic that can be divided into a series.
type SeriesRequest = ApiRequest<Both<StatisticsParameters, SeriesParameters>>;

/// `GET /api/v1/stats/messages`
#[utoipa::path(
    operation_id = "count_messages",
    get, path = "/api/v1/stats/messages", tag = "Statistics", params(StatisticsParameters, SeriesParameters),
    security(("token" = [])),
    summary = "Messages by hour, day (the default) or week, by direction and type",
    responses((status = 200, description = "The counts", body = MessageStatistics), ListProblems),
)]
pub async fn messages(request: SeriesRequest) -> Result<HttpResponse, Problem> {
    let Both(parameters, SeriesParameters { by }) = &request.parameters;
    let selection = parameters.selection(&request.api.local_time)?;
    let calendar = selection.calendar(by.unwrap_or(CalendarUnit::Day))?;
    let (range, filter, grid) = (selection.range(), selection.filter, calendar.grid().clone());
    let counts = request.ask(|store, scope| async move { store.count_messages(&scope, &filter, &grid).await });
    let traffic = BucketTraffic::of(&calendar, counts.await?);
    request.response.json(&MessageStatistics::new(range, &calendar, traffic))
}

/// `GET /api/v1/stats/delivery`
#[utoipa::path(
    operation_id = "count_deliveries",
    get, path = "/api/v1/stats/delivery", tag = "Statistics", params(StatisticsParameters, SeriesParameters),
    security(("token" = [])),
    summary = "How far outgoing messages have come, and how long delivery and reading took",
    responses((status = 200, description = "The figures", body = DeliveryStatistics), ListProblems),
)]
pub async fn delivery(request: SeriesRequest) -> Result<HttpResponse, Problem> {
    let Both(parameters, SeriesParameters { by }) = &request.parameters;
    let selection = parameters.selection(&request.api.local_time)?;
    let calendar = by.map(|unit| selection.calendar(unit)).transpose()?;
    let grid = calendar.as_ref().map_or_else(|| Grid::undivided(selection.period), |it| it.grid().clone());
    let (range, filter) = (selection.range(), selection.filter);
    let query = request.ask(|store, scope| async move { store.count_deliveries(&scope, &filter, &grid).await });
    let (acks, times) = query.await?;
    let series = calendar.map_or_else(Vec::new, |calendar| {
        let deliveries = DeliveryFunnel::by_bucket(&calendar, &acks, &times);
        let buckets = calendar.buckets().iter().zip(&deliveries);
        buckets.map(|(bucket, it)| DeliveryBucket { bucket: bucket.into(), figures: it.into() }).collect()
    });
    request.response.json(&DeliveryStatistics { range, data: (&DeliveryFunnel::of(&acks, &times)).into(), series })
}

/// `GET /api/v1/stats/responses`
#[utoipa::path(
    operation_id = "count_responses",
    get, path = "/api/v1/stats/responses", tag = "Statistics", params(StatisticsParameters, WaitParameters),
    security(("token" = [])),
    summary = "How long people wait for the first answer, by hour and weekday, and who waits now",
    responses((status = 200, description = "The figures", body = ResponseStatistics), ListProblems),
)]
pub async fn responses(
    request: ApiRequest<Both<StatisticsParameters, WaitParameters>>,
) -> Result<HttpResponse, Problem> {
    let Both(parameters, WaitParameters { within }) = &request.parameters;
    let (within, now) = (*within, request.api.local_time.clock.now());
    let selection = parameters.selection(&request.api.local_time)?;
    let grid = Grid::hours_of_week(&selection.zone, selection.period);
    let (range, filter) = (selection.range(), selection.filter);
    let query =
        request.ask(|store, scope| async move { store.count_responses(&scope, &filter, &grid, within, now).await });
    let (times, waiting) = query.await?;
    let data = (&ResponseDurations::of(&times, within)).into();
    let within_seconds = within.map(WaitLimit::seconds);
    request.response.json(&ResponseStatistics { range, within_seconds, data, waiting_now: waiting.into() })
}

/// `GET /api/v1/stats/hours`
#[utoipa::path(
    operation_id = "count_hours",
    get, path = "/api/v1/stats/hours", tag = "Statistics", params(StatisticsParameters), security(("token" = [])),
    summary = "The busiest hours: messages by weekday and hour",
    responses((status = 200, description = "The counts", body = HourStatistics), ListProblems),
)]
pub async fn hours(request: ApiRequest<StatisticsParameters>) -> Result<HttpResponse, Problem> {
    let selection = request.parameters.selection(&request.api.local_time)?;
    let grid = Grid::hours_of_week(&selection.zone, selection.period);
    let (range, filter) = (selection.range(), selection.filter);
    let query = request.ask(|store, scope| async move { store.count_hours(&scope, &filter, &grid).await });
    let week = WeekHours::of(&query.await?);
    request.response.json(&HourStatistics { range, data: (&week).into() })
}
