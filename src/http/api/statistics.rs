//! Statistics: `GET /api/v1/stats/…`.

use std::sync::Arc;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::answer::shown;
use super::parameters::{self, instance, invalid, parse};
use super::store_handle::StoreHandle;
use crate::http::auth::access::Caller;
use crate::http::limits::answers::Answer;
use crate::http::openapi::problem_docs::ListProblems;
use crate::http::problem::Problem;
use domain::instance::InstanceId;
use domain::statistics::{BucketTraffic, DeliveryFunnel, ResponseDurations, WeekHours};
use domain::time::calendar::{Calendar, CalendarUnit, Grid, InvalidPeriod, Period};
use domain::time::zone::Zone;
use platform::clock::Clock;

pub mod figures;

use figures::{DeliverySpan, DeliveryStatistics, HourStatistics, MessageStatistics, ReportRange, ResponseStatistics};

/// How many days statistics cover where nobody says.
const DEFAULT_DAYS: i32 = 30;

/// What time it is, and in which zone the owner's days begin.
pub struct LocalTime {
    pub clock: Arc<dyn Clock>,
    pub zone: Zone,
}

/// What a statistic is to be about.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct StatisticsParameters {
    /// Of this instance alone.
    #[param(example = "123")]
    instance_id: Option<String>,
    /// From this time on: seconds since 1970, RFC 3339, or a date in the time zone. Without it, 30 days, the last of
    /// which ends with `until`.
    #[param(example = "2024-08-01")]
    since: Option<String>,
    /// Before this time: seconds since 1970, RFC 3339, or a date, which is not included. Without it, now.
    #[param(example = "2024-09-01")]
    until: Option<String>,
    /// Whose hours and days, by its IANA name. Without it, the configured one.
    #[param(example = "America/Bogota")]
    time_zone: Option<String>,
}

/// How a statistic is divided.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum SeriesUnit {
    Hour,
    Day,
    Week,
}

/// What a statistic is to be about, and how it is divided.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct SeriesParameters {
    /// Of this instance alone.
    #[param(example = "123")]
    instance_id: Option<String>,
    /// From this time on: seconds since 1970, RFC 3339, or a date in the time zone. Without it, 30 days, the last of
    /// which ends with `until`.
    #[param(example = "2024-08-01")]
    since: Option<String>,
    /// Before this time: seconds since 1970, RFC 3339, or a date, which is not included. Without it, now.
    #[param(example = "2024-09-01")]
    until: Option<String>,
    /// Whose hours, days and weeks, by its IANA name. Without it, the configured one.
    #[param(example = "America/Bogota")]
    time_zone: Option<String>,
    /// `hour` (of at most 92 days), `day`, or `week` (from Monday; both of at most 10 years).
    #[param(inline, value_type = Option<SeriesUnit>, example = "day")]
    by: Option<String>,
}

/// What is asked for.
struct Asked {
    instance_id: Option<InstanceId>,
    period: Period,
    zone: Zone,
}

impl StatisticsParameters {
    fn asked(&self, local: &LocalTime) -> Result<Asked, Problem> {
        let zone = parse("time_zone", &self.time_zone, Zone::parse)?.unwrap_or_else(|| local.zone.clone());
        let since = parameters::time("since", &self.since, |text| zone.read(text))?;
        let until = parameters::time("until", &self.until, |text| zone.read(text))?;
        let until = until.unwrap_or_else(|| local.clock.now());
        let period = match since {
            Some(since) => Period::new(since, until),
            None => Period::last_days(&zone, until, DEFAULT_DAYS),
        };
        Ok(Asked { instance_id: instance(&self.instance_id), period: period.map_err(unusable)?, zone })
    }
}

impl SeriesParameters {
    fn asked(self, local: &LocalTime) -> Result<(Asked, Option<CalendarUnit>), Problem> {
        let Self { instance_id, since, until, time_zone, by } = self;
        let unit = parse("by", &by, |text| CalendarUnit::parse(text).ok_or("expected hour, day or week"))?;
        Ok((StatisticsParameters { instance_id, since, until, time_zone }.asked(local)?, unit))
    }
}

impl Asked {
    fn calendar(&self, unit: CalendarUnit) -> Result<Calendar, Problem> {
        Calendar::new(&self.zone, self.period, unit).map_err(unusable)
    }

    fn range(&self) -> ReportRange {
        ReportRange {
            since: shown(self.period.since),
            until: shown(self.period.until),
            time_zone: self.zone.name().to_owned(),
            instance_id: self.instance_id.as_ref().map(|id| id.as_str().to_owned()),
        }
    }
}

fn unusable(error: InvalidPeriod) -> Problem {
    invalid(if error == InvalidPeriod::TooManyHours { "by" } else { "since" }, error)
}

/// `GET /api/v1/stats/messages`
#[utoipa::path(
    operation_id = "count_messages",
    get, path = "/api/v1/stats/messages", tag = "Statistics", params(SeriesParameters), security(("token" = [])),
    summary = "Messages by hour, day (without `by`) or week, by direction and type",
    responses((status = 200, description = "The counts", body = MessageStatistics), ListProblems),
)]
pub async fn messages(
    archive: Data<StoreHandle>,
    local: Data<LocalTime>,
    reader: Caller,
    answer: Answer,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (asked, unit) = parameters::read::<SeriesParameters>(&request)?.asked(&local)?;
    let calendar = asked.calendar(unit.unwrap_or(CalendarUnit::Day))?;
    let (range, wanted, grid) = (asked.range(), asked.instance_id, calendar.grid().clone());
    let counts =
        archive.ask(|store| async move { store.count_messages(&reader.scope, wanted.as_ref(), &grid).await }).await?;
    answer.json(&MessageStatistics::new(range, &calendar, BucketTraffic::of(&calendar, counts)))
}

/// `GET /api/v1/stats/delivery`
#[utoipa::path(
    operation_id = "count_deliveries",
    get, path = "/api/v1/stats/delivery", tag = "Statistics", params(SeriesParameters), security(("token" = [])),
    summary = "How far outgoing messages have come, and how long it took until they were delivered and read",
    responses((status = 200, description = "The figures", body = DeliveryStatistics), ListProblems),
)]
pub async fn delivery(
    archive: Data<StoreHandle>,
    local: Data<LocalTime>,
    reader: Caller,
    answer: Answer,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (asked, unit) = parameters::read::<SeriesParameters>(&request)?.asked(&local)?;
    let calendar = unit.map(|unit| asked.calendar(unit)).transpose()?;
    let grid = calendar.as_ref().map_or_else(|| Grid::undivided(asked.period), |calendar| calendar.grid().clone());
    let (range, wanted) = (asked.range(), asked.instance_id);
    let (acks, times) =
        archive.ask(|store| async move { store.count_deliveries(&reader.scope, wanted.as_ref(), &grid).await }).await?;
    let series = calendar.map_or_else(Vec::new, |calendar| {
        let deliveries = DeliveryFunnel::by_bucket(&calendar, &acks, &times);
        let spans = calendar.buckets().iter().zip(&deliveries);
        spans.map(|(bucket, delivery)| DeliverySpan::new(bucket, delivery)).collect()
    });
    answer.json(&DeliveryStatistics { range, data: (&DeliveryFunnel::of(&acks, &times)).into(), series })
}

/// `GET /api/v1/stats/responses`
#[utoipa::path(
    operation_id = "count_responses",
    get, path = "/api/v1/stats/responses", tag = "Statistics", params(StatisticsParameters), security(("token" = [])),
    summary = "How long people wait for the first answer, by hour and weekday, and who waits now",
    responses((status = 200, description = "The figures", body = ResponseStatistics), ListProblems),
)]
pub async fn responses(
    archive: Data<StoreHandle>,
    local: Data<LocalTime>,
    reader: Caller,
    answer: Answer,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let asked = parameters::read::<StatisticsParameters>(&request)?.asked(&local)?;
    let grid = Grid::hours_of_week(&asked.zone, asked.period);
    let (range, wanted) = (asked.range(), asked.instance_id);
    let (times, waiting) =
        archive.ask(|store| async move { store.count_responses(&reader.scope, wanted.as_ref(), &grid).await }).await?;
    let data = (&ResponseDurations::of(&times)).into();
    answer.json(&ResponseStatistics { range, data, waiting_now: waiting.into() })
}

/// `GET /api/v1/stats/hours`
#[utoipa::path(
    operation_id = "count_hours",
    get, path = "/api/v1/stats/hours", tag = "Statistics", params(StatisticsParameters), security(("token" = [])),
    summary = "The busiest hours: messages by weekday and hour",
    responses((status = 200, description = "The counts", body = HourStatistics), ListProblems),
)]
pub async fn hours(
    archive: Data<StoreHandle>,
    local: Data<LocalTime>,
    reader: Caller,
    answer: Answer,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let asked = parameters::read::<StatisticsParameters>(&request)?.asked(&local)?;
    let grid = Grid::hours_of_week(&asked.zone, asked.period);
    let (range, wanted) = (asked.range(), asked.instance_id);
    let counts =
        archive.ask(|store| async move { store.count_hours(&reader.scope, wanted.as_ref(), &grid).await }).await?;
    answer.json(&HourStatistics { range, data: (&WeekHours::of(&counts)).into() })
}
