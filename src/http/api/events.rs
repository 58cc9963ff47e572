//! The ledger: `GET /api/v1/events` and `GET /api/v1/events/{seq}`.

use std::string::FromUtf8Error;

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::{ListAnswer, shown};
use super::parameters::{self, ListOrder, ListParameters, PointInTime, instance, text};
use super::statistics::LocalTime;
use super::store_handle::StoreHandle;
use crate::http::auth::access::Caller;
use crate::http::limits::answers::{Answer, encoded_len};
use crate::http::openapi::problem_docs::{ItemProblems, ListProblems};
use crate::http::problem::Problem;
use crate::http::stream::feed;
use crate::http::stream::feed::{FeedAnswer, FeedPage};
use domain::event::EventState;
use domain::page::PAGE_BYTES;
use store::{EventDetail, EventFilter, EventReport};

const LIST: &str = "events";

/// An event as it came.
#[derive(Serialize, ToSchema)]
pub struct Event {
    /// Its number: no event ever appears below a number that was seen; numbers may be left out.
    #[schema(example = 4711)]
    pub seq: i64,
    /// Whose it is; `-` where nobody said.
    #[schema(example = "123")]
    pub instance_id: String,
    #[schema(example = "message_received")]
    pub event_type: Option<String>,
    /// The message that it is about.
    #[schema(example = "ABCD1234")]
    pub message_id: Option<String>,
    #[schema(example = "573001112233@c.us")]
    pub chat_id: Option<String>,
    /// `received_at` in seconds since 1970.
    #[schema(example = 1724716801)]
    pub timestamp: i64,
    /// When it arrived first.
    #[schema(example = "2024-08-27T00:00:01.204Z", format = DateTime)]
    pub received_at: String,
    /// When the very same bytes arrived last.
    #[schema(example = "2024-08-27T00:00:01.204Z", format = DateTime)]
    pub last_received_at: String,
    /// How often they arrived.
    #[schema(example = 1)]
    pub deliveries: i64,
    /// Whether a signature was verified.
    #[schema(example = true)]
    pub signed: bool,
    /// `applied`: understood. `ignored`: of a type that buzon does not know. `quarantined`: not usable.
    #[schema(example = "applied")]
    pub state: String,
    /// Why it is quarantined; of an applied one, which fields could not be taken as they came.
    #[schema(example = json!(null))]
    pub reason: Option<String>,
    /// The bytes of its body.
    #[schema(example = 512)]
    pub size: Option<i64>,
}

/// An event of a list.
#[derive(Serialize, ToSchema)]
pub struct ListedEvent {
    #[serde(flatten)]
    pub event: Event,
    /// Of an event that is not applied, its body or the first 16 KiB of it, as text: what is no UTF-8 is replaced.
    #[schema(example = json!(null))]
    pub body: Option<String>,
    /// Whether there is more of the body.
    #[schema(example = false)]
    pub body_truncated: bool,
}

/// An event with all of its body.
#[derive(Serialize, ToSchema)]
pub struct EventWithBody {
    #[serde(flatten)]
    pub event: Event,
    /// The bytes as they were received, where they are UTF-8 and not mostly control characters.
    #[schema(example = "{\"event_type\":\"message_received\",\"id\":\"ABCD1234\"}")]
    pub body: Option<String>,
    /// The same in Base64, where they are not.
    #[schema(example = json!(null))]
    pub body_base64: Option<String>,
}

/// A page of the list, or with `since_seq` of the feed.
#[derive(ToSchema)]
#[serde(untagged)]
pub enum EventsAnswer {
    List(ListAnswer<ListedEvent>),
    Feed(FeedAnswer),
}

/// What became of an event.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum StateOfEvent {
    Applied,
    Ignored,
    Quarantined,
}

/// Which events.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct EventParameters {
    /// Makes it the feed: everything after this number, in the order of the numbers, with what it changed. Goes with
    /// `instance_id`, `event_type` and `limit` alone.
    #[param(value_type = Option<i64>, minimum = 0, example = 4711)]
    since_seq: Option<String>,
    /// Of this instance; `-` for those that came without one.
    #[param(example = "123")]
    instance_id: Option<String>,
    /// applied, ignored or quarantined
    #[param(inline, value_type = Option<StateOfEvent>, example = "quarantined")]
    state: Option<String>,
    /// Events of exactly this type. The feed takes several types, separated by commas, and `media` for files.
    #[param(example = "message_received")]
    event_type: Option<String>,
    /// About this message.
    #[param(example = "ABCD1234")]
    message_id: Option<String>,
    /// Events that arrived from this time on: seconds since 1970, RFC 3339, or a date in the setting `time_zone`.
    #[param(inline, value_type = Option<PointInTime>, example = "2024-08-27T00:00:00Z")]
    since: Option<String>,
    /// Events that arrived before this time; a date is not included.
    #[param(inline, value_type = Option<PointInTime>, example = "2024-08-28T00:00:00Z")]
    until: Option<String>,
    /// `desc` (newest first) or `asc`.
    #[param(inline, value_type = Option<ListOrder>, example = "desc")]
    order: Option<String>,
    /// How many at most.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200, example = 50)]
    limit: Option<String>,
    /// `next_cursor` or `prev_cursor` of an answer.
    cursor: Option<String>,
}

/// `GET /api/v1/events`
#[utoipa::path(
    operation_id = "list_events",
    get, path = "/api/v1/events", tag = "Ledger", params(EventParameters), security(("token" = [])),
    summary = "Every event as it came, the newest first; or with since_seq, everything since you last looked",
    description = "**List.** What is rare is looked for a stretch at a time: a page can have fewer events than `limit`, \
                   even none; the walk is over when `next_cursor` is null.\n\n\
                   **Feed.** Begin with `since_seq=0`, or with what a stream or a feed gave you last, and go on with each \
                   answer's `next_since_seq`; at once while `more` is true. Nothing is missed: nothing ever appears \
                   below a number that was visible. An item of the `kind` `media` says that a file has been stored, or \
                   that it was given up; `event_type=media` asks for these alone. A file is there once, with its latest \
                   end.",
    responses((status = 200, description = "A page of events", body = EventsAnswer), ListProblems),
)]
pub async fn list(
    archive: Data<StoreHandle>,
    local: Data<LocalTime>,
    reader: Caller,
    answer: Answer,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let parameters: EventParameters = parameters::read(&request)?;
    if let Some(since) = feed::since_seq(&parameters.since_seq)? {
        parameters.refuse_beside_since_seq()?;
        let filter = feed::filter(instance(&parameters.instance_id), text(&parameters.event_type));
        let limit = parameters::limit(&parameters.limit)?;
        let stretch = FeedPage { since, limit, bytes: PAGE_BYTES };
        return answer.json(&feed::read(&archive, &reader.scope, &filter, stretch).await?);
    }
    let filter = parameters.filter()?;
    let EventParameters { limit, cursor, order, since, until, .. } = &parameters;
    let paging = ListParameters { limit, cursor, order, since, until }.paging(LIST, &local.zone)?;
    let page = archive.ask(|store| async move { store.list_events(&reader.scope, &filter, &paging).await }).await?;
    answer.list(LIST, page.map(ListedEvent::from))
}

impl EventParameters {
    fn filter(&self) -> Result<EventFilter, Problem> {
        let state = |text: &str| EventState::parse(text).ok_or("expected applied, ignored or quarantined");
        Ok(EventFilter {
            instance_id: instance(&self.instance_id),
            state: parameters::parse("state", &self.state, state)?,
            event_type: text(&self.event_type),
            message_id: text(&self.message_id),
        })
    }

    fn refuse_beside_since_seq(&self) -> Result<(), Problem> {
        let others = [
            ("state", &self.state),
            ("message_id", &self.message_id),
            ("since", &self.since),
            ("until", &self.until),
            ("order", &self.order),
            ("cursor", &self.cursor),
        ];
        let given = others.into_iter().find(|(_, value)| text(value).is_some());
        given.map_or(Ok(()), |(name, _)| Err(parameters::invalid(name, "it does not go with since_seq")))
    }
}

/// `GET /api/v1/events/{seq}`
#[utoipa::path(
    operation_id = "get_event",
    get, path = "/api/v1/events/{seq}", tag = "Ledger", security(("token" = [])),
    summary = "An event with all of its body",
    params(("seq" = i64, Path, description = "Its number", minimum = 1, example = 4711)),
    responses((status = 200, description = "The event", body = EventWithBody), ItemProblems),
)]
pub async fn one(
    archive: Data<StoreHandle>,
    reader: Caller,
    answer: Answer,
    seq: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    parameters::none(&request)?;
    let unknown = || Problem::NotFound("there is no event with this number".to_owned());
    let seq: i64 = seq.parse().map_err(|_| unknown())?;
    let detail = archive.ask(|store| async move { store.event(seq).await }).await?;
    let detail = detail.filter(|detail| reader.scope.allows(&detail.event.instance_id));
    answer.item(&request, &EventWithBody::from(detail.ok_or_else(unknown)?))
}

impl From<EventReport> for Event {
    fn from(report: EventReport) -> Self {
        Self {
            seq: report.seq,
            instance_id: report.instance_id.as_str().to_owned(),
            event_type: report.event_type,
            message_id: report.message_id,
            chat_id: report.chat_id,
            timestamp: report.received_at.seconds(),
            received_at: shown(report.received_at),
            last_received_at: shown(report.last_received_at),
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
        Self { body: beginning.map(|bytes| readable(&bytes, body_truncated)), body_truncated, event: report.into() }
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

/// Bytes as text, if they are text. JSON has six bytes for a control character: what would be more than twice as long is
/// shorter in Base64.
fn text_of(bytes: Vec<u8>) -> Result<String, Vec<u8>> {
    let text = String::from_utf8(bytes).map_err(FromUtf8Error::into_bytes)?;
    let quotes = 2;
    if encoded_len(&text) <= 2 * text.len() + quotes { Ok(text) } else { Err(text.into_bytes()) }
}

/// Text for a person, without the piece of a character at which it was cut.
fn readable(bytes: &[u8], cut: bool) -> String {
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    if cut && bytes.utf8_chunks().last().is_some_and(|chunk| !chunk.invalid().is_empty()) {
        text.pop();
    }
    text
}
