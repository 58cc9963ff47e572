//! Times as the API shows and reads them.

use std::sync::Arc;

use utoipa::ToSchema;

use super::parameters::invalid;
use crate::http::problem::Problem;
use domain::time::timestamp::Timestamp;
use domain::time::zone::Zone;
use platform::clock::Clock;

/// The current time, and the zone in which the owner's days begin.
#[derive(Clone)]
pub struct LocalTime {
    pub clock: Arc<dyn Clock>,
    pub zone: Zone,
}

/// Formats a time as RFC 3339 in UTC, with milliseconds if there are any.
pub fn rfc3339(at: Timestamp) -> String {
    let text = at.to_rfc3339();
    match text.strip_suffix(".000Z") {
        Some(seconds) => format!("{seconds}Z"),
        None => text,
    }
}

/// Reads the value of the parameter `name` with `read`.
///
/// # Errors
/// A value that is no time.
pub fn point_in_time(
    name: &str,
    value: Option<&str>,
    read: impl FnOnce(&str) -> Option<Timestamp>,
) -> Result<Option<Timestamp>, Problem> {
    let Some(text) = value else { return Ok(None) };
    // A plus sign in a URL stands for a space.
    let at = read(&text.replace(' ', "+"));
    let expected = "expected seconds since 1970, a time such as 2024-08-27T00:00:00Z, or a date such as 2024-08-27";
    at.map(Some).ok_or_else(|| invalid(name, expected))
}

/// A point in time.
#[derive(ToSchema)]
#[serde(untagged)]
pub enum PointInTime {
    /// RFC 3339.
    #[schema(format = DateTime)]
    Text(String),
    /// The moment at which that day begins in the setting `time_zone`.
    #[schema(format = Date)]
    Day(String),
    /// Seconds since 1970.
    Seconds(i64),
}
