//! Chats: `GET /api/v1/chats` and what hangs on it.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::{ListAnswer, shown};
use super::messages::{self, Message, visible};
use super::parameters::{self, ListOrder, ListParameters, PointInTime, flag, instance, number, text};
use super::statistics::LocalTime;
use super::store_handle::StoreHandle;
use crate::http::auth::access::Caller;
use crate::http::limits::answers::Answer;
use crate::http::openapi::problem_docs::{ItemProblems, ListProblems};
use crate::http::problem::Problem;
use domain::search::fold;
use store::{ChatFilter, ChatReport, MessageFilter};

/// A chat with its latest message.
#[derive(Serialize, ToSchema)]
pub struct Chat {
    #[schema(example = "123")]
    pub instance_id: String,
    #[schema(example = "573001112233@c.us")]
    pub chat_id: String,
    /// The sender's name of the latest incoming message that has one; null in groups.
    #[schema(example = "Juan Pérez")]
    pub name: Option<String>,
    /// The number of the person whose chat it is; null in groups and where only a `@lid` is known.
    #[schema(example = "573001112233")]
    pub contact: Option<String>,
    #[schema(example = false)]
    pub is_group: bool,
    #[schema(example = 42)]
    pub message_count: i64,
    #[schema(example = "2024-08-27T00:00:00Z", format = DateTime)]
    pub last_message_at: String,
    #[schema(example = "2024-08-27T00:00:00Z", format = DateTime)]
    pub last_incoming_at: Option<String>,
    #[schema(example = "2024-08-26T23:00:00Z", format = DateTime)]
    pub last_outgoing_at: Option<String>,
    /// The first incoming message after the last outgoing one; null where nobody waits for an answer.
    #[schema(example = "2024-08-27T00:00:00Z", format = DateTime)]
    pub unanswered_since: Option<String>,
    pub last_message: Option<Message>,
}

/// Which chats.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct ChatParameters {
    /// Of this instance.
    #[param(example = "123")]
    instance_id: Option<String>,
    /// Only chats in which somebody waits for an answer, ordered by since when. Groups never wait.
    #[param(value_type = Option<bool>, example = true)]
    unanswered: Option<String>,
    /// Whether it is a group.
    #[param(value_type = Option<bool>, example = false)]
    is_group: Option<String>,
    /// With the person of this phone number.
    #[param(example = "573001112233", pattern = r"^[0-9+() .-]*[0-9][0-9+() .-]*$")]
    contact: Option<String>,
    /// A part of the name or of the number; case and accents do not matter.
    #[param(example = "perez")]
    q: Option<String>,
    /// Chats whose latest message is from this time on: seconds since 1970, RFC 3339, or a date in the setting
    /// `time_zone`. With `unanswered`, `unanswered_since` counts instead.
    #[param(inline, value_type = Option<PointInTime>, example = "2024-08-27T00:00:00Z")]
    since: Option<String>,
    /// Chats whose latest message is before this time; a date is not included. With `unanswered`, `unanswered_since`
    /// counts instead.
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

/// `GET /api/v1/chats`
#[utoipa::path(
    operation_id = "list_chats",
    get, path = "/api/v1/chats", tag = "Chats", params(ChatParameters), security(("token" = [])),
    summary = "Chats by their latest messages, or those that wait for an answer",
    responses((status = 200, description = "A page of chats", body = ListAnswer<Chat>), ListProblems),
)]
pub async fn list(
    archive: Data<StoreHandle>,
    local: Data<LocalTime>,
    reader: Caller,
    answer: Answer,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let ChatParameters { instance_id, unanswered, is_group, contact, q, since, until, order, limit, cursor } =
        &parameters::read(&request)?;
    let filter = ChatFilter {
        instance_id: instance(instance_id),
        unanswered: flag("unanswered", unanswered)?.unwrap_or(false),
        is_group: flag("is_group", is_group)?,
        contact: number("contact", contact)?,
        search: text(q).map(|text| fold(text.trim())),
    };
    let name = if filter.unanswered { "chats that wait" } else { "chats" };
    let paging = ListParameters { limit, cursor, order, since, until }.paging(name, &local.zone)?;
    let page = archive.ask(|store| async move { store.list_chats(&reader.scope, &filter, &paging).await }).await?;
    answer.list(name, page.map(Chat::from))
}

/// `GET /api/v1/chats/{instance_id}/{chat_id}`
#[utoipa::path(
    operation_id = "get_chat",
    get, path = "/api/v1/chats/{instance_id}/{chat_id}", tag = "Chats", security(("token" = [])),
    summary = "A chat with its latest message",
    params(
        ("instance_id" = String, Path, description = "Its instance", example = "123"),
        ("chat_id" = String, Path, description = "Its id", example = "573001112233@c.us"),
    ),
    responses((status = 200, description = "The chat", body = Chat), ItemProblems),
)]
pub async fn one(
    archive: Data<StoreHandle>,
    reader: Caller,
    answer: Answer,
    key: Path<(String, String)>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    parameters::none(&request)?;
    let (instance_id, chat_id) = key.into_inner();
    let unknown = || Problem::NotFound("there is no chat with this id".to_owned());
    let instance_id = visible(&reader, &instance_id, &chat_id).ok_or_else(unknown)?;
    let chat = archive.ask(|store| async move { store.chat(&instance_id, &chat_id).await }).await?;
    answer.item(&request, &Chat::from(chat.ok_or_else(unknown)?))
}

/// Which messages of a chat.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct ChatMessageParameters {
    /// Messages from this time on: seconds since 1970, RFC 3339, or a date in the setting `time_zone`.
    #[param(inline, value_type = Option<PointInTime>, example = "2024-08-27T00:00:00Z")]
    since: Option<String>,
    /// Messages before this time; a date is not included.
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

/// `GET /api/v1/chats/{instance_id}/{chat_id}/messages`
#[utoipa::path(
    operation_id = "list_chat_messages",
    get, path = "/api/v1/chats/{instance_id}/{chat_id}/messages", tag = "Chats", security(("token" = [])),
    summary = "The messages of a chat, the newest first",
    params(
        ("instance_id" = String, Path, description = "Its instance", example = "123"),
        ("chat_id" = String, Path, description = "Its id", example = "573001112233@c.us"),
        ChatMessageParameters,
    ),
    responses(
        (status = 200, description = "A page of messages; of a chat that is not there, an empty one",
            body = ListAnswer<Message>),
        ListProblems,
    ),
)]
pub async fn messages(
    archive: Data<StoreHandle>,
    local: Data<LocalTime>,
    reader: Caller,
    answer: Answer,
    key: Path<(String, String)>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let ChatMessageParameters { since, until, order, limit, cursor } = &parameters::read(&request)?;
    let paging = ListParameters { limit, cursor, order, since, until }.paging("messages", &local.zone)?;
    let (instance_id, chat_id) = key.into_inner();
    let Some(instance_id) = visible(&reader, &instance_id, &chat_id) else {
        return answer.json(&ListAnswer::<Message>::empty());
    };
    let filter = MessageFilter { instance_id: Some(instance_id), chat_id: Some(chat_id), ..MessageFilter::default() };
    messages::page(&archive, reader, answer, filter, paging).await
}

impl From<ChatReport> for Chat {
    fn from(chat: ChatReport) -> Self {
        Self {
            instance_id: chat.instance_id.as_str().to_owned(),
            chat_id: chat.chat_id,
            name: chat.name,
            contact: chat.contact,
            is_group: chat.is_group,
            message_count: chat.message_count,
            last_message_at: shown(chat.last_message_at),
            last_incoming_at: chat.last_incoming_at.map(shown),
            last_outgoing_at: chat.last_outgoing_at.map(shown),
            unanswered_since: chat.waiting_since.map(shown),
            last_message: chat.last_message.map(Message::from),
        }
    }
}
