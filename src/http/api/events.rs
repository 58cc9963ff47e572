//! The ledger: `GET /api/v1/events` and `GET /api/v1/events/{instance_id}/{id}`.

use std::string::FromUtf8Error;

use actix_web::HttpResponse;
use actix_web::web::Path;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::pages::{ListResponse, PageParameters};
use super::parameters::{instance, invalid, parsed, text};
use super::request::{ApiRequest, ListRequest};
use super::time::rfc3339;
use crate::http::json::encoded_len;
use crate::http::openapi::problems::{FeedProblems, ItemProblems};
use crate::http::problem::Problem;
use crate::http::stream::feed::{self, FeedPage, FeedResponse, after};
use domain::event::EventState;
use domain::event::event_id::EventId;
use domain::instance::InstanceId;
use domain::media::source::without_files;
use domain::page::PAGE_BYTES;
use domain::page::position::FeedStart;
use store::{EventDetail, EventFilter, EventReport};

/// An event of the ledger.
#[derive(Serialize, ToSchema)]
pub struct Event {
    /// The instance, percent-encoded, a slash, and the first 32 hexadecimal digits of the SHA-256 of the body. The event has this id in
    /// every copy of the database.
    #[schema(example = "123/5b1f3a9e0c7d42e68f1b2a3c4d5e6f70")]
    pub id: String,
    /// The instance of the event; `-` if none was stated.
    #[schema(example = "123")]
    pub instance_id: String,
    #[schema(example = "message_received")]
    pub event_type: Option<String>,
    /// The message that the event is about.
    #[schema(example = "ABCD1234")]
    pub message_id: Option<String>,
    #[schema(example = "573001112233@c.us")]
    pub chat_id: Option<String>,
    /// `received_at` in seconds since 1970.
    #[schema(example = 1724716801)]
    pub timestamp: i64,
    /// When the event first arrived.
    #[schema(example = "2024-08-27T00:00:01.204Z", format = DateTime)]
    pub received_at: String,
    /// When the same bytes last arrived.
    #[schema(example = "2024-08-27T00:00:01.204Z", format = DateTime)]
    pub last_received_at: String,
    /// The number of times that the same bytes arrived.
    #[schema(example = 1)]
    pub deliveries: i64,
    /// True if a signature was verified.
    #[schema(example = true)]
    pub signed: bool,
    /// `applied`: understood. `ignored`: of a type that buzon does not know. `quarantined`: unusable. `erased`: of a person who
    /// was erased. `expired`: older than what is kept. Of the last two, only the arrival is left.
    #[schema(example = "applied")]
    pub state: String,
    /// The reason why the event is quarantined; for an applied event, the fields that could not be used as they came.
    #[schema(example = json!(null))]
    pub reason: Option<String>,
    /// The size of the body in bytes.
    #[schema(example = 512)]
    pub size: Option<i64>,
}

/// An event of a list.
#[derive(Serialize, ToSchema)]
pub struct ListedEvent {
    #[serde(flatten)]
    pub event: Event,
    /// For an event that is not applied, the body or its first 16 KiB as text, without the bytes of a file in it. Bytes that are not UTF-8 are replaced.
    #[schema(example = json!(null))]
    pub body: Option<String>,
    /// True if the body is longer.
    #[schema(example = false)]
    pub body_truncated: bool,
}

/// An event with its whole body.
#[derive(Serialize, ToSchema)]
pub struct EventWithBody {
    #[serde(flatten)]
    pub event: Event,
    /// The body as it was received; null if it is not UTF-8 or consists mostly of control characters.
    #[schema(example = "{\"event_type\":\"message_received\",\"id\":\"ABCD1234\"}")]
    pub body: Option<String>,
    /// The body in Base64 if `body` is null.
    #[schema(example = json!(null))]
    pub body_base64: Option<String>,
}

/// A page of the list, or with `after` a page of the feed.
#[derive(ToSchema)]
#[serde(untagged)]
pub enum EventsResponse {
    List(ListResponse<ListedEvent>),
    Feed(FeedResponse),
}

/// The state of an event.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum StateOfEvent {
    Applied,
    Ignored,
    Quarantined,
    Erased,
    Expired,
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct EventParameters {
    /// Selects the feed: everything after this position, in the order of its commits, with the messages that it changed.
    /// `beginning` stands for the position before the first event. Only `instance_id`, `event_type` and `limit` can be
    /// used with it.
    #[serde(deserialize_with = "after")]
    #[param(value_type = Option<String>, example = "beginning")]
    after: Option<FeedStart>,
    /// Only events of this instance; `-` stands for those that came without one.
    #[serde(deserialize_with = "instance")]
    #[param(value_type = Option<String>, example = "123")]
    instance_id: Option<InstanceId>,
    /// Only events in this state: applied, ignored, quarantined, erased or expired.
    #[serde(deserialize_with = "state")]
    #[param(inline, value_type = Option<StateOfEvent>, example = "quarantined")]
    state: Option<EventState>,
    /// Only events of exactly this type. The feed takes several types, separated by commas, and `media` for files.
    #[serde(deserialize_with = "text")]
    #[param(example = "message_received")]
    event_type: Option<String>,
    /// Only events about this message.
    #[serde(deserialize_with = "text")]
    #[param(example = "ABCD1234")]
    message_id: Option<String>,
}

fn state<'de, D: Deserializer<'de>>(value: D) -> Result<Option<EventState>, D::Error> {
    parsed(value, |text| EventState::parse(text).ok_or("expected applied, ignored, quarantined, erased or expired"))
}

/// `GET /api/v1/events`
#[utoipa::path(
    operation_id = "list_events",
    get, path = "/api/v1/events", tag = "Ledger", params(EventParameters, PageParameters), security(("token" = [])),
    summary = "Every event as it came, newest first; or with after, everything since you last looked",
    description = "**List.** Ordered by `received_at`. A search for rare events stops after a part of the ledger: a page can \
                   have fewer events than `limit`, even none. The last page is the one whose `next_cursor` is null.\n\n\
                   **Feed.** Begin with `after=beginning`, or with the last position from a stream or a feed, and continue \
                   with the `next_after` of each response; at once while `more` is true. Nothing is missed: nothing ever \
                   appears before a position that was visible. Positions are opaque, and valid in one history of one \
                   database: after a restore, `position_of_another_history` (400) says that what you have may lack events \
                   and may have some that buzon no longer has. Begin again with `after=beginning`; the ids of events and \
                   messages are the same as before. An item of the `kind` `media` says that a file has been \
                   stored, or that buzon gave it up; `event_type=media` selects only these. A file appears once, with its \
                   latest state.",
    responses((status = 200, description = "A page of events", body = EventsResponse), FeedProblems),
)]
pub async fn list(request: ListRequest<EventParameters>) -> Result<HttpResponse, Problem> {
    let (EventParameters { after, instance_id, state, event_type, message_id }, request) = request.split();
    if let Some(start) = after {
        refuse_beside_after(&request.parameters, state.is_some(), message_id.is_some())?;
        let filter = feed::filter(instance_id, event_type);
        let page = FeedPage { start, limit: request.parameters.limit(), bytes: PAGE_BYTES };
        let page = feed::read(&request.api.store, &request.caller.scope, &filter, page).await?;
        return request.response.json(&page);
    }
    let filter = EventFilter { instance_id, state, event_type, message_id };
    request
        .page("events", ListedEvent::from, |store, scope, paging| async move {
            store.list_events(&scope, &filter, &paging).await
        })
        .await
}

impl From<EventParameters> for EventFilter {
    fn from(EventParameters { instance_id, state, event_type, message_id, .. }: EventParameters) -> Self {
        Self { instance_id, state, event_type, message_id }
    }
}

/// Refuses the parameters of the list that the feed does not have.
fn refuse_beside_after(page: &PageParameters, state: bool, message_id: bool) -> Result<(), Problem> {
    let is_given = |value: &Option<String>| value.as_ref().is_some_and(|text| !text.is_empty());
    let others = [
        ("state", state),
        ("message_id", message_id),
        ("since", is_given(&page.since)),
        ("until", is_given(&page.until)),
        ("order", page.order.is_some()),
        ("cursor", page.cursor.is_some()),
    ];
    let given = others.into_iter().find(|(_, is_given)| *is_given);
    given.map_or(Ok(()), |(name, _)| Err(invalid(name, "it does not go with after")))
}

/// `GET /api/v1/events/{instance_id}/{id}`
#[utoipa::path(
    operation_id = "get_event",
    get, path = "/api/v1/events/{instance_id}/{id}", tag = "Ledger", security(("token" = [])),
    summary = "An event with its whole body",
    params(
        ("instance_id" = String, Path, description = "The instance of the event, percent-encoded", example = "123"),
        ("id" = String, Path, description = "The part of the event's id after the last slash",
            example = "5b1f3a9e0c7d42e68f1b2a3c4d5e6f70"),
    ),
    responses((status = 200, description = "The event", body = EventWithBody), ItemProblems),
)]
pub async fn one(request: ApiRequest, path: Path<(String, String)>) -> Result<HttpResponse, Problem> {
    let unknown = || Problem::NotFound("there is no event with this id".to_owned());
    let id = EventId::parse(&path.0, &path.1).filter(|id| request.caller.scope.allows(&id.instance_id));
    let id = id.ok_or_else(unknown)?;
    let detail = request.ask(|store, _| async move { store.event(&id).await }).await?;
    request.item(&EventWithBody::from(detail.ok_or_else(unknown)?))
}

impl From<EventReport> for Event {
    fn from(report: EventReport) -> Self {
        Self {
            id: report.id().to_string(),
            instance_id: report.instance_id.as_str().to_owned(),
            event_type: report.event_type,
            message_id: report.message_id,
            chat_id: report.chat_id,
            timestamp: report.received_at.seconds(),
            received_at: rfc3339(report.received_at),
            last_received_at: rfc3339(report.last_received_at),
            deliveries: report.deliveries,
            signed: report.signed,
            state: report.state,
            reason: report.reason,
            size: report.size,
        }
    }
}

impl From<EventReport> for ListedEvent {
    fn from(mut report: EventReport) -> Self {
        let beginning = report.beginning.take();
        let whole = |bytes: &Vec<u8>| i64::try_from(bytes.len()).ok() == report.size;
        let body_truncated = beginning.as_ref().is_some_and(|bytes| !whole(bytes));
        Self {
            body: beginning.map(|bytes| without_files(&readable(&bytes, body_truncated)).into_owned()),
            body_truncated,
            event: report.into(),
        }
    }
}

impl From<EventDetail> for EventWithBody {
    fn from(detail: EventDetail) -> Self {
        let (body, body_base64) = match detail.body.map(text_of) {
            None => (None, None),
            Some(Ok(text)) => (Some(text), None),
            Some(Err(bytes)) => (None, Some(BASE64_STANDARD.encode(bytes))),
        };
        Self { event: detail.event.into(), body, body_base64 }
    }
}

/// Returns bytes as text, if they are text. JSON needs six bytes for a control character: a text that would become more
/// than twice as long is shorter in Base64.
fn text_of(bytes: Vec<u8>) -> Result<String, Vec<u8>> {
    let text = String::from_utf8(bytes).map_err(FromUtf8Error::into_bytes)?;
    let quotes = 2;
    if encoded_len(&text) <= 2 * text.len() + quotes { Ok(text) } else { Err(text.into_bytes()) }
}

/// Returns text for a person, without an incomplete last character where the bytes were cut.
fn readable(bytes: &[u8], cut: bool) -> String {
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    if cut && bytes.utf8_chunks().last().is_some_and(|chunk| !chunk.invalid().is_empty()) {
        text.pop();
    }
    text
}
