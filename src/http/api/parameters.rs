//! Query parameters: those that a route documents and no others, each at most once, each understood or refused by name.

use std::fmt::Display;

use actix_web::HttpRequest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::form_urlencoded;
use utoipa::openapi::path::ParameterIn;
use utoipa::{IntoParams, ToSchema};

use crate::http::problem::Problem;
use domain::instance::InstanceId;
use domain::page::{Cursor, Paging, SortOrder};
use domain::time::timestamp::Timestamp;
use domain::time::zone::Zone;

const MAX_LIMIT: u32 = 200;
const DEFAULT_LIMIT: u32 = 50;

/// Reads the parameters of a route into its struct, whose fields are all optional text.
///
/// # Errors
/// A parameter that the route does not have, or one that is given twice.
pub fn read<P: IntoParams + DeserializeOwned>(request: &HttpRequest) -> Result<P, Problem> {
    let known: Vec<String> = P::into_params(|| Some(ParameterIn::Query)).into_iter().map(|it| it.name).collect();
    let mut values = Map::new();
    for (name, value) in form_urlencoded::parse(request.query_string().as_bytes()) {
        if !known.iter().any(|known| *known == name) {
            return Err(Problem::UnknownParameter { name: name.into_owned(), known: known.join(", ") });
        }
        // No column holds a NUL, and PostgreSQL refuses the very question: what is asked for is then not there.
        let value = value.replace('\0', "\u{FFFD}");
        if values.insert(name.clone().into_owned(), Value::String(value)).is_some() {
            return Err(invalid(&name, "it is given twice"));
        }
    }
    serde_json::from_value(Value::Object(values)).map_err(|error| invalid("", error))
}

/// Refuses any parameter, for a route that has none.
pub fn none(request: &HttpRequest) -> Result<(), Problem> {
    #[derive(Deserialize, IntoParams)]
    struct NoParameters {}
    read::<NoParameters>(request).map(|_| ())
}

/// Gives a parameter its type.
pub fn parse<T, E: Display>(
    name: &str,
    text: &Option<String>,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<Option<T>, Problem> {
    text.as_deref().map(parse).transpose().map_err(|error| invalid(name, error))
}

pub fn invalid(name: &str, detail: impl Display) -> Problem {
    Problem::InvalidParameter { name: name.to_owned(), detail: detail.to_string() }
}

/// Text that is compared as it is; empty text counts as not given, for a form sends it so.
pub fn text(text: &Option<String>) -> Option<String> {
    text.clone().filter(|text| !text.is_empty())
}

pub fn flag(name: &str, value: &Option<String>) -> Result<Option<bool>, Problem> {
    parse(name, value, |text| match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("expected true or false"),
    })
}

/// What is no instance's id is asked for like any other, and not there.
pub fn instance(value: &Option<String>) -> Option<InstanceId> {
    text(value).map(|id| InstanceId::from_store(&id))
}

/// A point in time, as `read` understands it.
pub fn time(
    name: &str,
    value: &Option<String>,
    read: impl FnOnce(&str) -> Option<Timestamp>,
) -> Result<Option<Timestamp>, Problem> {
    parse(name, value, |text| {
        // A plus sign in a URL stands for a space.
        let text = text.replace(' ', "+");
        read(&text)
            .ok_or("expected seconds since 1970, a time such as 2024-08-27T00:00:00Z, or a date such as 2024-08-27")
    })
}

/// The digits of a phone number as people write it.
pub fn number(name: &str, value: &Option<String>) -> Result<Option<String>, Problem> {
    parse(name, value, |text| {
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        let number = !digits.is_empty() && text.chars().all(|c| c.is_ascii_digit() || " +-().".contains(c));
        if number { Ok(digits) } else { Err("expected a phone number, such as 573001112233 or +57 300 111 2233") }
    })
}

/// The order of a list.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum ListOrder {
    /// The newest first.
    Desc,
    /// The oldest first.
    Asc,
}

/// RFC 3339.
#[derive(ToSchema)]
#[schema(value_type = String, format = DateTime)]
pub struct TimeText(#[expect(dead_code, reason = "it stands in the contract alone")] String);

/// The moment in which that day begins in the setting `time_zone`.
#[derive(ToSchema)]
#[schema(value_type = String, format = Date)]
pub struct DateText(#[expect(dead_code, reason = "it stands in the contract alone")] String);

/// A point in time.
#[derive(ToSchema)]
#[serde(untagged)]
pub enum PointInTime {
    Text(#[schema(inline)] TimeText),
    Day(#[schema(inline)] DateText),
    /// Seconds since 1970.
    Seconds(i64),
}

/// The parameters of every list.
#[derive(Debug)]
pub struct ListParameters<'p> {
    pub limit: &'p Option<String>,
    pub cursor: &'p Option<String>,
    pub order: &'p Option<String>,
    pub since: &'p Option<String>,
    pub until: &'p Option<String>,
}

impl ListParameters<'_> {
    /// `list` names the list for its cursors, and days begin as in `zone`.
    pub fn paging<K: Serialize + for<'k> Deserialize<'k>>(
        &self,
        list: &str,
        zone: &Zone,
    ) -> Result<Paging<K>, Problem> {
        // A time beyond the years of a calendar is no mistake here: it is before or after everything.
        let time = |name: &str, value: &Option<String>| {
            time(name, value, |text| zone.read(text).or_else(|| Timestamp::from_person(text)))
        };
        let (since, until) = (time("since", self.since)?, time("until", self.until)?);
        if since.zip(until).is_some_and(|(since, until)| since >= until) {
            return Err(invalid("since", "it must be before until, which is not included"));
        }
        Ok(Paging {
            order: order(self.order)?,
            limit: limit(self.limit)?,
            cursor: parse("cursor", &text(self.cursor), |text| Cursor::decode(list, text))?,
            since,
            until,
        })
    }
}

pub fn limit(value: &Option<String>) -> Result<u32, Problem> {
    let limit = parse("limit", value, |text| {
        let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
        limit.ok_or_else(|| format!("expected a number from 1 to {MAX_LIMIT}"))
    });
    Ok(limit?.unwrap_or(DEFAULT_LIMIT))
}

fn order(value: &Option<String>) -> Result<SortOrder, Problem> {
    let order = parse("order", value, |text| match text {
        "desc" => Ok(SortOrder::NewestFirst),
        "asc" => Ok(SortOrder::OldestFirst),
        _ => Err("expected desc (newest first) or asc"),
    });
    Ok(order?.unwrap_or_default())
}
