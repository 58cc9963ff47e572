//! The list of the files that came with messages: `GET /api/v1/media`. [`super::media_files`] sends their bytes.

use actix_web::HttpResponse;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::pages::{ListResponse, PageParameters};
use super::parameters::{chat, chat_kinds, instance, parsed, phone_number, text};
use super::request::ListRequest;
use super::time::rfc3339;
use crate::http::openapi::problems::ListProblems;
use crate::http::problem::Problem;
use domain::chat::chat_kind::ChatKinds;
use domain::instance::InstanceId;
use domain::media::MediaState;
use store::{JobReport, MediaFilter};

/// The file of a message, and the message.
#[derive(Serialize, ToSchema)]
pub struct MediaItem {
    #[schema(example = "123")]
    pub instance_id: String,
    #[schema(example = "ABCD1234")]
    pub message_id: String,
    #[serde(flatten)]
    pub file: MessageFile,
    /// The number of download attempts so far.
    #[schema(example = 1)]
    pub attempts: u32,
    /// The time of the message.
    #[schema(example = "2024-08-27T00:00:00Z", format = DateTime)]
    pub occurred_at: String,
    #[schema(example = "2024-08-27T00:00:02.512Z", format = DateTime)]
    pub stored_at: Option<String>,
}

/// The file of a message.
#[derive(Serialize, ToSchema)]
pub struct MessageFile {
    /// pending, stored, expired, refused, too_large or failed
    #[schema(example = "stored")]
    pub state: String,
    /// The reason why the file is not stored; for a pending file, the result of the last attempt; for a stored one, the
    /// reason why it could not be fetched anew.
    #[schema(example = json!(null))]
    pub reason: Option<String>,
    /// The address of the file once it is stored, also while it is fetched anew.
    #[schema(example = "/api/v1/media/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub url: Option<String>,
    /// The type according to the first bytes of the file.
    #[schema(example = "image/jpeg")]
    pub content_type: Option<String>,
    /// The size in bytes.
    #[schema(example = 70011)]
    pub size: Option<u64>,
    /// The name under which the file is served. It has the extension of the type if the original name had none.
    #[schema(example = "menu.jpg")]
    pub filename: Option<String>,
}

/// The state of a file.
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

#[derive(Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct MediaParameters {
    /// Only files of this instance.
    #[serde(deserialize_with = "instance")]
    #[param(value_type = Option<String>, example = "123")]
    instance_id: Option<InstanceId>,
    /// Only files of this message.
    #[serde(deserialize_with = "text")]
    #[param(example = "ABCD1234")]
    message_id: Option<String>,
    /// Only files of the person with this phone number: `573001112233` or `+57 300 111 2233`.
    #[serde(deserialize_with = "phone_number")]
    #[param(example = "573001112233", pattern = r"^[0-9+() .-]*[0-9][0-9+() .-]*$")]
    contact: Option<String>,
    /// Only files in this chat.
    #[serde(deserialize_with = "chat")]
    #[param(example = "573001112233@c.us")]
    chat_id: Option<String>,
    /// Only files in this state: pending, stored, expired, refused, too_large or failed.
    #[serde(deserialize_with = "state")]
    #[param(inline, value_type = Option<FileState>, example = "stored")]
    state: Option<MediaState>,
    /// Only files of messages in chats of these kinds, with commas between them: person, group, status, broadcast,
    /// channel, other.
    #[serde(deserialize_with = "chat_kinds")]
    #[param(value_type = Option<String>, example = "person,group", pattern = r"^(person|group|status|broadcast|channel|other)(,(person|group|status|broadcast|channel|other))*$")]
    kind: Option<ChatKinds>,
    /// Only files of this content type: `image/jpeg`, or the first part of several (`image`).
    #[serde(deserialize_with = "text")]
    #[param(example = "image")]
    r#type: Option<String>,
    /// The minimum size in bytes.
    #[serde(deserialize_with = "bytes")]
    #[param(value_type = Option<u64>, example = 1000)]
    min_size: Option<i64>,
    /// The maximum size in bytes.
    #[serde(deserialize_with = "bytes")]
    #[param(value_type = Option<u64>, example = 1000000)]
    max_size: Option<i64>,
}

fn state<'de, D: Deserializer<'de>>(value: D) -> Result<Option<MediaState>, D::Error> {
    let expected = || format!("expected one of {}", MediaState::ALL.map(MediaState::as_str).join(", "));
    parsed(value, |text| MediaState::parse(text).ok_or_else(expected))
}

fn bytes<'de, D: Deserializer<'de>>(value: D) -> Result<Option<i64>, D::Error> {
    let bytes = parsed(value, |text| text.parse::<u64>().map_err(|_| "expected a number of bytes"))?;
    Ok(bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)))
}

/// `GET /api/v1/media`
#[utoipa::path(
    operation_id = "list_media",
    get, path = "/api/v1/media", tag = "Media", params(MediaParameters, PageParameters), security(("token" = [])),
    summary = "Files that came with messages, those of the newest messages first",
    description = "Ordered by `occurred_at`, the time of the message.",
    responses((status = 200, description = "A page of files", body = ListResponse<MediaItem>), ListProblems),
)]
pub async fn list(request: ListRequest<MediaParameters>) -> Result<HttpResponse, Problem> {
    let (parameters, request) = request.split();
    let filter = MediaFilter::from(parameters);
    // Cursors of different kinds of chats are not interchangeable.
    let list = filter.kinds.as_ref().map_or_else(|| "media".to_owned(), |kinds| format!("media {kinds}"));
    request
        .page(
            &list,
            MediaItem::from,
            |store, scope, paging| async move { store.list_media(&scope, &filter, &paging).await },
        )
        .await
}

impl From<MediaParameters> for MediaFilter {
    fn from(parameters: MediaParameters) -> Self {
        let content_type = parameters.r#type.map(|text| if text.contains('/') { text } else { text + "/" });
        Self {
            instance_id: parameters.instance_id,
            message_id: parameters.message_id,
            chat_id: parameters.chat_id,
            contact: parameters.contact,
            state: parameters.state,
            kinds: parameters.kind,
            content_type,
            min_size: parameters.min_size,
            max_size: parameters.max_size,
        }
    }
}

impl From<JobReport> for MessageFile {
    fn from(job: JobReport) -> Self {
        let file = job.file;
        Self {
            state: job.state.as_str().to_owned(),
            reason: job.reason,
            url: file.as_ref().map(|file| format!("/api/v1/media/{}", file.object_key)),
            content_type: file.as_ref().map(|file| file.content_type.clone()),
            size: file.as_ref().map(|file| file.size),
            filename: file.and_then(|file| file.served_name()),
        }
    }
}

impl From<JobReport> for MediaItem {
    fn from(job: JobReport) -> Self {
        Self {
            instance_id: job.instance_id.clone(),
            message_id: job.message_id.clone(),
            attempts: job.attempts,
            occurred_at: rfc3339(job.occurred_at),
            stored_at: job.stored_at.map(rfc3339),
            file: job.into(),
        }
    }
}
