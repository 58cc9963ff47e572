//! The files that came with messages, as a list: `GET /api/v1/media`. Their bytes are the business of [`super::media`].

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::{ListAnswer, shown};
use super::messages::MessageFile;
use super::parameters::{self, ListOrder, ListParameters, PointInTime, instance, parse, text};
use super::statistics::LocalTime;
use super::store_handle::StoreHandle;
use crate::http::auth::access::Caller;
use crate::http::limits::answers::Answer;
use crate::http::openapi::problem_docs::ListProblems;
use crate::http::problem::Problem;
use domain::media::MediaState;
use store::{JobReport, MediaFilter};

const LIST: &str = "media";

/// The file of a message, and the message.
#[derive(Serialize, ToSchema)]
pub struct MediaItem {
    #[schema(example = "123")]
    pub instance_id: String,
    #[schema(example = "ABCD1234")]
    pub message_id: String,
    #[serde(flatten)]
    pub file: MessageFile,
    /// Tries so far.
    #[schema(example = 1)]
    pub attempts: u32,
    /// When the message was.
    #[schema(example = "2024-08-27T00:00:00Z", format = DateTime)]
    pub occurred_at: String,
    #[schema(example = "2024-08-27T00:00:02.512Z", format = DateTime)]
    pub stored_at: Option<String>,
}

/// Where a file stands.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum FileState {
    Pending,
    Stored,
    Expired,
    Refused,
    TooLarge,
    Failed,
}

/// Which files.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct MediaParameters {
    /// Of this instance.
    #[param(example = "123")]
    instance_id: Option<String>,
    /// Of this message.
    #[param(example = "ABCD1234")]
    message_id: Option<String>,
    /// pending, stored, expired, refused, too_large or failed
    #[param(inline, value_type = Option<FileState>, example = "stored")]
    state: Option<String>,
    /// A content type (`image/jpeg`), or the first part of some (`image`).
    #[param(example = "image")]
    r#type: Option<String>,
    /// At least this many bytes.
    #[param(value_type = Option<u64>, example = 1000)]
    min_size: Option<String>,
    /// At most this many bytes.
    #[param(value_type = Option<u64>, example = 1000000)]
    max_size: Option<String>,
    /// Files of messages from this time on: seconds since 1970, RFC 3339, or a date in the setting `time_zone`.
    #[param(inline, value_type = Option<PointInTime>, example = "2024-08-27T00:00:00Z")]
    since: Option<String>,
    /// Files of messages before this time; a date is not included.
    #[param(inline, value_type = Option<PointInTime>, example = "2024-08-28T00:00:00Z")]
    until: Option<String>,
    /// `desc` (newest first) or `asc`.
    #[param(inline, value_type = Option<ListOrder>, example = "desc")]
    order: Option<String>,
    /// How many at most; 50 where nobody says.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200, example = 50)]
    limit: Option<String>,
    /// `next_cursor` or `prev_cursor` of an answer.
    cursor: Option<String>,
}

/// `GET /api/v1/media`
#[utoipa::path(
    operation_id = "list_media",
    get, path = "/api/v1/media", tag = "Media", params(MediaParameters), security(("token" = [])),
    summary = "The files that came with messages, those of the newest messages first",
    responses((status = 200, description = "A page of files", body = ListAnswer<MediaItem>), ListProblems),
)]
pub async fn list(
    archive: Data<StoreHandle>,
    local: Data<LocalTime>,
    reader: Caller,
    answer: Answer,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let parameters: MediaParameters = parameters::read(&request)?;
    let filter = parameters.filter()?;
    let MediaParameters { since, until, order, limit, cursor, .. } = &parameters;
    let paging = ListParameters { limit, cursor, order, since, until }.paging(LIST, &local.zone)?;
    let page = archive.ask(|store| async move { store.list_media(&reader.scope, &filter, &paging).await }).await?;
    answer.list(LIST, page.map(MediaItem::from))
}

impl MediaParameters {
    fn filter(&self) -> Result<MediaFilter, Problem> {
        let state = |text: &str| {
            let known = || format!("expected one of {}", MediaState::ALL.map(MediaState::as_str).join(", "));
            MediaState::parse(text).ok_or_else(known)
        };
        let bytes = |text: &str| -> Result<i64, &str> {
            let bytes = text.parse::<u64>().map_err(|_| "expected a number of bytes");
            bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX))
        };
        let content_type = text(&self.r#type).map(|text| if text.contains('/') { text } else { text + "/" });
        Ok(MediaFilter {
            instance_id: instance(&self.instance_id),
            message_id: text(&self.message_id),
            state: parse("state", &self.state, state)?,
            content_type,
            min_size: parse("min_size", &self.min_size, bytes)?,
            max_size: parse("max_size", &self.max_size, bytes)?,
        })
    }
}

impl From<JobReport> for MediaItem {
    fn from(job: JobReport) -> Self {
        Self {
            instance_id: job.instance_id.clone(),
            message_id: job.message_id.clone(),
            attempts: job.attempts,
            occurred_at: shown(job.occurred_at),
            stored_at: job.stored_at.map(shown),
            file: job.into(),
        }
    }
}
