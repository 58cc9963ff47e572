//! Pages of a list: their parameters and their responses.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::parameters::{invalid, parsed, text};
use super::time::{PointInTime, point_in_time};
use crate::http::json::encoded_len;
use crate::http::problem::Problem;
use domain::page::{Cursor, PAGE_BYTES, Page, Paging, SortOrder};
use domain::time::timestamp::Timestamp;
use domain::time::zone::Zone;

const MAX_LIMIT: u32 = 200;
const DEFAULT_LIMIT: u32 = 50;
/// The maximum size of the rows of a page. The rest is for brackets and cursors.
const ROWS_BYTES: usize = PAGE_BYTES - 32 * 1024;

/// The parameters that every list has.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct PageParameters {
    /// Only items from this time on: seconds since 1970, RFC 3339, or a date, which begins in the setting `time_zone`.
    /// The time of an item is the one that the list is ordered by.
    #[param(inline, value_type = Option<PointInTime>, example = "2024-08-27T00:00:00Z")]
    pub since: Option<String>,
    /// Only items before this time, in the same formats. The time itself, or the date, is not included.
    #[param(inline, value_type = Option<PointInTime>, example = "2024-08-28T00:00:00Z")]
    pub until: Option<String>,
    /// `desc` (newest first, the default) or `asc`.
    #[serde(deserialize_with = "order")]
    #[param(inline, value_type = Option<ListOrder>, example = "desc")]
    pub order: Option<SortOrder>,
    /// The maximum number of items. The default is 50.
    #[serde(deserialize_with = "limit")]
    #[param(minimum = 1, maximum = 200, example = 50)]
    pub limit: Option<u32>,
    /// The `next_cursor` or `prev_cursor` of another page of this list.
    #[serde(deserialize_with = "text")]
    pub cursor: Option<String>,
}

impl PageParameters {
    /// Returns the page that is asked for. `list` names the list for its cursors; dates begin as in `zone`.
    ///
    /// # Errors
    /// A time or cursor that cannot be read, or an empty range.
    pub fn paging<K: Serialize + DeserializeOwned>(&self, list: &str, zone: &Zone) -> Result<Paging<K>, Problem> {
        // A time beyond the years of a calendar is accepted: it is before or after everything.
        let read = |text: &str| zone.read(text).or_else(|| Timestamp::from_person(text));
        let since = point_in_time("since", self.since.as_deref(), read)?;
        let until = point_in_time("until", self.until.as_deref(), read)?;
        if since.zip(until).is_some_and(|(since, until)| since >= until) {
            return Err(invalid("since", "it must be before until, which is not included"));
        }
        let cursor = self.cursor.as_deref().map(|text| Cursor::decode(list, text)).transpose();
        let cursor = cursor.map_err(|error| invalid("cursor", error))?;
        Ok(Paging { order: self.order.unwrap_or_default(), limit: self.limit(), cursor, since, until })
    }

    pub fn limit(&self) -> u32 {
        self.limit.unwrap_or(DEFAULT_LIMIT)
    }
}

fn limit<'de, D: Deserializer<'de>>(value: D) -> Result<Option<u32>, D::Error> {
    parsed(value, |text| {
        let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
        limit.ok_or_else(|| format!("expected a number from 1 to {MAX_LIMIT}"))
    })
}

fn order<'de, D: Deserializer<'de>>(value: D) -> Result<Option<SortOrder>, D::Error> {
    parsed(value, |text| match text {
        "desc" => Ok(SortOrder::NewestFirst),
        "asc" => Ok(SortOrder::OldestFirst),
        _ => Err("expected desc (newest first) or asc"),
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

/// A page of a list. The last page has no `next_cursor`.
#[derive(Serialize, ToSchema)]
pub struct ListResponse<T> {
    pub data: Vec<T>,
    /// The value of `cursor` for the next page; null on the last one.
    #[schema(example = "eyJsaXN0IjoibWVzc2FnZXMifQ", required = true)]
    pub next_cursor: Option<String>,
    /// The value of `cursor` for the previous page; null on the first one.
    #[schema(example = json!(null), required = true)]
    pub prev_cursor: Option<String>,
}

impl<T: Serialize> ListResponse<T> {
    pub fn empty() -> Self {
        Self { data: vec![], next_cursor: None, prev_cursor: None }
    }

    /// Returns the rows that fit into a page of [`PAGE_BYTES`], but at least the first. `list` names the list for its
    /// cursors.
    pub fn new<K: Serialize + DeserializeOwned + Clone>(list: &str, page: Page<T, K>) -> Self {
        let sizes: Vec<usize> = page.rows.iter().map(|row| encoded_len(row) + 1).collect();
        let page = page.within(ROWS_BYTES, &sizes);
        Self {
            next_cursor: page.next.map(|cursor| cursor.encode(list)),
            prev_cursor: page.previous.map(|cursor| cursor.encode(list)),
            data: page.rows,
        }
    }
}
