//! Chats: `GET /api/v1/chats`, a single chat, and its messages.

use actix_web::HttpResponse;
use actix_web::web::Path;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::messages::{self, Message};
use super::pages::{ListResponse, PageParameters};
use super::parameters::{chat_kinds, flag, groups_or_others, instance, phone_number, text};
use super::request::{ApiRequest, ListRequest, visible};
use super::time::rfc3339;
use crate::http::openapi::problems::{ItemProblems, ListProblems};
use crate::http::problem::Problem;
use domain::chat::chat_id;
use domain::chat::chat_kind::{ChatKind, ChatKinds};
use domain::instance::InstanceId;
use domain::search::fold;
use store::{ChatFilter, ChatReport, MessageFilter};

/// A chat with its latest message.
#[derive(Serialize, ToSchema)]
pub struct Chat {
    #[schema(example = "123")]
    pub instance_id: String,
    #[schema(example = "573001112233@c.us")]
    pub chat_id: String,
    /// The name that you gave the chat; otherwise the sender's name in the latest incoming message that has one, or null if
    /// the chat is not that of a person.
    #[schema(example = "Juan Pérez")]
    pub name: Option<String>,
    /// The phone number of the person in the chat; null in groups, and if only a `@lid` is known that is linked to none.
    #[schema(example = "573001112233")]
    pub contact: Option<String>,
    /// person, group, status (the stories of all contacts), broadcast, channel or other
    #[schema(example = "person")]
    pub kind: String,
    #[schema(example = false)]
    pub is_group: bool,
    /// The number of messages, without service messages.
    #[schema(example = 42)]
    pub message_count: i64,
    /// Null in a chat with service messages alone, which no list has.
    #[schema(example = "2024-08-27T00:00:00Z", format = DateTime)]
    pub last_message_at: Option<String>,
    #[schema(example = "2024-08-27T00:00:00Z", format = DateTime)]
    pub last_incoming_at: Option<String>,
    #[schema(example = "2024-08-26T23:00:00Z", format = DateTime)]
    pub last_outgoing_at: Option<String>,
    /// The time of the first incoming message after the last outgoing one that was not deleted; null if nobody waits for
    /// an answer.
    #[schema(example = "2024-08-27T00:00:00Z", format = DateTime)]
    pub unanswered_since: Option<String>,
    pub last_message: Option<Message>,
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct ChatParameters {
    /// Only chats of this instance.
    #[serde(deserialize_with = "instance")]
    #[param(value_type = Option<String>, example = "123")]
    instance_id: Option<InstanceId>,
    /// Only chats in which somebody waits for an answer, ordered by `unanswered_since`. Groups never wait.
    #[serde(deserialize_with = "flag")]
    #[param(example = true)]
    unanswered: Option<bool>,
    /// Only chats of these kinds, with commas between them: person, group, status, broadcast, channel, other. The default
    /// is `person,group`.
    #[serde(deserialize_with = "chat_kinds")]
    #[param(value_type = Option<String>, example = "person,group", pattern = r"^(person|group|status|broadcast|channel|other)(,(person|group|status|broadcast|channel|other))*$")]
    kind: Option<ChatKinds>,
    /// Only groups (`true`), or only others (`false`), of the wanted kinds.
    #[serde(deserialize_with = "flag")]
    #[param(example = false)]
    is_group: Option<bool>,
    /// Only chats with the person with this phone number.
    #[serde(deserialize_with = "phone_number")]
    #[param(example = "573001112233", pattern = r"^[0-9+() .-]*[0-9][0-9+() .-]*$")]
    contact: Option<String>,
    /// Only chats whose name or number contains this text. Case and accents do not matter.
    #[serde(deserialize_with = "text")]
    #[param(example = "perez")]
    q: Option<String>,
}

/// `GET /api/v1/chats`
#[utoipa::path(
    operation_id = "list_chats",
    get, path = "/api/v1/chats", tag = "Chats", params(ChatParameters, PageParameters), security(("token" = [])),
    summary = "Chats by their latest message, or those that wait for an answer",
    description = "Ordered by `last_message_at`, or with `unanswered` by `unanswered_since`; `since` and `until` are about \
                   the same time.",
    responses((status = 200, description = "A page of chats", body = ListResponse<Chat>), ListProblems),
)]
pub async fn list(request: ListRequest<ChatParameters>) -> Result<HttpResponse, Problem> {
    let (parameters, request) = request.split();
    let filter = ChatFilter::from(parameters);
    // Cursors of the two orders, and of different kinds, are not interchangeable.
    let list = format!("chats {}{}", filter.kinds, if filter.unanswered { " that wait" } else { "" });
    request
        .page(&list, Chat::from, |store, scope, paging| async move { store.list_chats(&scope, &filter, &paging).await })
        .await
}

/// `GET /api/v1/chats/{instance_id}/{chat_id}`
#[utoipa::path(
    operation_id = "get_chat",
    get, path = "/api/v1/chats/{instance_id}/{chat_id}", tag = "Chats", security(("token" = [])),
    summary = "A chat with its latest message",
    params(
        ("instance_id" = String, Path, description = "The instance of the chat", example = "123"),
        ("chat_id" = String, Path, description = "The id of the chat; of a person, any id", example = "573001112233@c.us"),
    ),
    responses((status = 200, description = "The chat", body = Chat), ItemProblems),
)]
pub async fn one(request: ApiRequest, key: Path<(String, String)>) -> Result<HttpResponse, Problem> {
    let (instance_id, chat_id) = key.into_inner();
    let chat_id = chat_id::canonical(chat_id);
    let unknown = || Problem::NotFound("there is no chat with this id".to_owned());
    let instance_id = visible(&request.caller, &instance_id, &chat_id).ok_or_else(unknown)?;
    let chat = request.ask(|store, _| async move { store.chat(&instance_id, &chat_id).await }).await?;
    request.item(&Chat::from(chat.ok_or_else(unknown)?))
}

/// `GET /api/v1/chats/{instance_id}/{chat_id}/messages`
#[utoipa::path(
    operation_id = "list_chat_messages",
    get, path = "/api/v1/chats/{instance_id}/{chat_id}/messages", tag = "Chats", security(("token" = [])),
    summary = "The messages of a chat, newest first",
    params(
        ("instance_id" = String, Path, description = "The instance of the chat", example = "123"),
        ("chat_id" = String, Path, description = "The id of the chat; of a person, any id", example = "573001112233@c.us"),
        PageParameters,
    ),
    responses(
        (status = 200, description = "A page of messages; an empty page if there is no such chat",
            body = ListResponse<Message>),
        ListProblems,
    ),
)]
pub async fn messages(
    request: ApiRequest<PageParameters>,
    key: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let (instance_id, chat_id) = key.into_inner();
    let chat_id = chat_id::canonical(chat_id);
    let Some(instance_id) = visible(&request.caller, &instance_id, &chat_id) else {
        return request.empty_page::<Message>("messages");
    };
    let filter = MessageFilter { instance_id: Some(instance_id), chat_id: Some(chat_id), ..MessageFilter::default() };
    messages::page(request, filter).await
}

impl From<ChatParameters> for ChatFilter {
    fn from(ChatParameters { instance_id, unanswered, kind, is_group, contact, q }: ChatParameters) -> Self {
        let (unanswered, search) = (unanswered.unwrap_or(false), q.map(|text| fold(text.trim())));
        let kinds = groups_or_others(&kind.unwrap_or_else(ChatKinds::conversations), is_group);
        Self { instance_id, unanswered, kinds, contact, search }
    }
}

impl From<ChatReport> for Chat {
    fn from(chat: ChatReport) -> Self {
        Self {
            instance_id: chat.instance_id.as_str().to_owned(),
            chat_id: chat.chat_id,
            name: chat.name,
            contact: chat.contact,
            kind: chat.kind.as_str().to_owned(),
            is_group: chat.kind == ChatKind::Group,
            message_count: chat.message_count,
            last_message_at: chat.last_message_at.map(rfc3339),
            last_incoming_at: chat.last_incoming_at.map(rfc3339),
            last_outgoing_at: chat.last_outgoing_at.map(rfc3339),
            unanswered_since: chat.waiting_since.map(rfc3339),
            last_message: chat.last_message.map(Message::from),
        }
    }
}
