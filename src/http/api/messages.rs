//! Messages: `GET /api/v1/messages` and `GET /api/v1/messages/{instance_id}/{id}`.

use actix_web::HttpResponse;
use actix_web::web::Path;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::acks::AckOfMessage;
use super::media::MessageFile;
use super::pages::{ListResponse, PageParameters};
use super::parameters::{chat, chat_kinds, flag, groups_or_others, instance, invalid, parsed, phone_number, text};
use super::reactions::CurrentReaction;
use super::request::{ApiRequest, ListRequest, visible};
use super::time::rfc3339;
use crate::http::openapi::problems::{ItemProblems, ListProblems};
use crate::http::problem::Problem;
use domain::chat::chat_id;
use domain::chat::chat_kind::ChatKinds;
use domain::instance::InstanceId;
use domain::message::version::Version;
use domain::search::SearchQuery;
use domain::time::timestamp::Timestamp;
use store::{MessageDetail, MessageFilter, MessageReport};

/// A message with the gateway's field names, and what buzon adds.
#[derive(Serialize, ToSchema)]
pub struct Message {
    /// The instance that the message came through; `-` if none was stated.
    #[schema(example = "123")]
    pub instance_id: String,
    #[schema(example = "ABCD1234")]
    pub id: String,
    #[schema(example = "573001112233@c.us")]
    pub chat_id: Option<String>,
    #[schema(example = "573001112233@c.us")]
    pub from: Option<String>,
    #[schema(example = "573009998877@c.us")]
    pub to: Option<String>,
    /// The author: in a group the person, otherwise the same as `from`.
    #[schema(example = "573001112233@c.us")]
    pub author: Option<String>,
    /// The phone number of the person in the chat, also if the message came under a `@lid` that is linked to it; null in
    /// groups, and if no number is known.
    #[schema(example = "573001112233")]
    pub contact: Option<String>,
    /// True for outgoing messages.
    #[schema(example = false)]
    pub from_me: bool,
    #[schema(example = "Juan Pérez")]
    pub sender_name: Option<String>,
    #[schema(example = "Hola")]
    pub body: Option<String>,
    /// text, image, video, audio, document, sticker, location, vcard, or another word of the gateway.
    #[schema(example = "text")]
    pub r#type: Option<String>,
    /// `sent_at` in seconds since 1970.
    #[schema(example = 1724716800)]
    pub timestamp: Option<i64>,
    /// When the message was first sent, according to the gateway; null if its time was unusable.
    #[schema(example = "2024-08-27T00:00:00Z", format = DateTime)]
    pub sent_at: Option<String>,
    /// The earlier one of `sent_at` and the second of `received_at`. Lists are ordered by this time.
    #[schema(example = "2024-08-27T00:00:00Z", format = DateTime)]
    pub occurred_at: String,
    /// When the message arrived here.
    #[schema(example = "2024-08-27T00:00:01.204Z", format = DateTime)]
    pub received_at: String,
    /// The kind of the chat: person, group, status (the stories of all contacts), broadcast, channel or other.
    #[schema(example = "person")]
    pub kind: String,
    /// True if the chat is a group; where it is unknown, the gateway's word.
    #[schema(example = false)]
    pub is_group: bool,
    #[schema(example = json!(null))]
    pub quoted_message_id: Option<String>,
    #[schema(example = json!(null))]
    pub reaction: Option<String>,
    /// The file of the message; null if it came without one.
    pub media: Option<MessageFile>,
    pub location: Option<Location>,
    #[schema(example = json!(null))]
    pub vcard: Option<String>,
    #[schema(example = "received")]
    pub status: Option<String>,
    /// The progress of an outgoing message: pending, sent, failed, delivered, read or played. Incoming messages stay
    /// pending.
    #[schema(example = "pending")]
    pub ack: String,
    /// When the message was first known to be delivered.
    #[schema(example = json!(null), format = DateTime)]
    pub delivered_at: Option<String>,
    /// When the message was first known to be read.
    #[schema(example = json!(null), format = DateTime)]
    pub read_at: Option<String>,
    /// True if nobody wrote the message: it is a notice, such as a missed call or a change of security codes. Nobody
    /// waits for an answer to it, and no statistic counts it.
    #[schema(example = false)]
    pub is_service: bool,
    /// When the text was last changed; null if it never was.
    #[schema(example = json!(null), format = DateTime)]
    pub edited_at: Option<String>,
    /// When the message was deleted; null if it was not. What was known of it stays.
    #[schema(example = json!(null), format = DateTime)]
    pub revoked_at: Option<String>,
    #[schema(example = json!(null))]
    pub group_sender: Option<String>,
    /// The current reaction of each person, from at most 200 entries of `/reactions` of this message.
    pub reactions: Vec<CurrentReaction>,
    /// True if there are more reactions: `GET /api/v1/reactions?message_id=…` has them all.
    #[schema(example = false)]
    pub reactions_truncated: bool,
}

/// A geographic location in degrees.
#[derive(Serialize, ToSchema)]
pub struct Location {
    #[schema(example = 4.7)]
    pub latitude: f64,
    #[schema(example = -74.1)]
    pub longitude: f64,
}

/// A message with its history.
#[derive(Serialize, ToSchema)]
pub struct MessageWithHistory {
    #[serde(flatten)]
    pub message: Message,
    /// The acks of the message in the order of their arrival, at most 200.
    pub acks: Vec<AckOfMessage>,
    /// True if there are more acks: `GET /api/v1/acks?message_id=…` has them all.
    #[schema(example = false)]
    pub acks_truncated: bool,
    /// The texts that the message had, the first one first, from at most 200 of its copies.
    pub versions: Vec<MessageVersion>,
    /// True if the message has more copies than these come from.
    #[schema(example = false)]
    pub versions_truncated: bool,
    /// The message that this one quotes, if it is known.
    pub quoted_message: Option<Message>,
}

/// A text that a message had.
#[derive(Serialize, ToSchema)]
pub struct MessageVersion {
    #[schema(example = "Hola")]
    pub body: String,
    /// The time that the gateway states with this text, which may be that of the message.
    #[schema(example = "2024-08-27T00:00:00Z", format = DateTime)]
    pub sent_at: Option<String>,
    /// When the text arrived here.
    #[schema(example = "2024-08-27T00:00:01.204Z", format = DateTime)]
    pub received_at: String,
    /// The event that brought it: `GET /api/v1/events/` followed by this id.
    #[schema(example = "123/5b1f3a9e0c7d42e68f1b2a3c4d5e6f70")]
    pub event_id: String,
}

/// The time of a message.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum TimeAxis {
    /// The time when the message was sent.
    Occurred,
    /// The time when the message arrived here.
    Received,
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct MessageParameters {
    /// Only messages of this instance.
    #[serde(deserialize_with = "instance")]
    #[param(value_type = Option<String>, example = "123")]
    instance_id: Option<InstanceId>,
    /// Only messages from or to the person with this phone number: `573001112233` or `+57 300 111 2233`.
    #[serde(deserialize_with = "phone_number")]
    #[param(example = "573001112233", pattern = r"^[0-9+() .-]*[0-9][0-9+() .-]*$")]
    contact: Option<String>,
    /// Only messages in this chat. Of a person, any id will do.
    #[serde(deserialize_with = "chat")]
    #[param(example = "573001112233@c.us")]
    chat_id: Option<String>,
    /// Only messages with this `from`, or another id of the same person.
    #[serde(deserialize_with = "chat")]
    #[param(example = "573001112233@c.us")]
    from: Option<String>,
    /// Only messages with this `to`, or another id of the same person.
    #[serde(deserialize_with = "chat")]
    #[param(example = "573009998877@c.us")]
    to: Option<String>,
    /// Only messages that this person wrote: in a group its sender, elsewhere `from`.
    #[serde(deserialize_with = "chat")]
    #[param(example = "573001112233@c.us")]
    author: Option<String>,
    /// Only outgoing messages (`true`), or only incoming ones (`false`).
    #[serde(deserialize_with = "flag")]
    #[param(example = false)]
    from_me: Option<bool>,
    /// Only messages of this type: text, image, video, audio, document, sticker, location, vcard …
    #[serde(deserialize_with = "text")]
    #[param(example = "text")]
    r#type: Option<String>,
    /// Only messages with this `ack`: pending, sent, failed, delivered, read or played, verbatim.
    #[serde(deserialize_with = "text")]
    #[param(example = "read")]
    ack: Option<String>,
    /// Only messages with this `status`, verbatim.
    #[serde(deserialize_with = "text")]
    #[param(example = "received")]
    status: Option<String>,
    /// Only messages in chats of these kinds, with commas between them: person, group, status, broadcast, channel, other.
    #[serde(deserialize_with = "chat_kinds")]
    #[param(value_type = Option<String>, example = "person,group", pattern = r"^(person|group|status|broadcast|channel|other)(,(person|group|status|broadcast|channel|other))*$")]
    kind: Option<ChatKinds>,
    /// Only messages in groups (`true`), or only others (`false`), of the wanted kinds.
    #[serde(deserialize_with = "flag")]
    #[param(example = false)]
    is_group: Option<bool>,
    /// Only messages with a file (`true`), or only others (`false`).
    #[serde(deserialize_with = "flag")]
    #[param(example = false)]
    has_media: Option<bool>,
    /// Only replies that quote this message.
    #[serde(deserialize_with = "text")]
    #[param(example = "ABCD1234")]
    quoted_message_id: Option<String>,
    /// Only messages that have all of these words and `"quoted phrases"` in their text or caption, in the name of their
    /// file, or in the names, companies and numbers of their contact cards. Case and accents do not matter. Words are
    /// whole; a `*` at the end of one word, of three letters or more or with a syllable of Hangul, asks for its
    /// beginning. Text in a script without spaces between words (Chinese, Japanese, Thai, Lao, Khmer, Myanmar) is found
    /// anywhere. At most 1,000 characters and 32 words. A page of a long search can have few messages, or none, and still a `next_cursor`.
    #[serde(deserialize_with = "search")]
    #[param(value_type = Option<String>, example = "menú \"del día\"")]
    q: Option<SearchQuery>,
    /// The time that `since`, `until` and `order` are about: `occurred` (when the message was sent, the default) or
    /// `received` (when it arrived).
    #[serde(deserialize_with = "by_arrival")]
    #[param(inline, value_type = Option<TimeAxis>, example = "occurred")]
    time: Option<bool>,
}

fn search<'de, D: Deserializer<'de>>(value: D) -> Result<Option<SearchQuery>, D::Error> {
    let query = text(value)?.as_deref().map(SearchQuery::parse);
    query.transpose().map_err(serde::de::Error::custom)
}

fn by_arrival<'de, D: Deserializer<'de>>(value: D) -> Result<Option<bool>, D::Error> {
    parsed(value, |text| match text {
        "occurred" => Ok(false),
        "received" => Ok(true),
        _ => Err("expected occurred or received"),
    })
}

/// `GET /api/v1/messages`
#[utoipa::path(
    operation_id = "list_messages",
    get, path = "/api/v1/messages", tag = "Messages", params(MessageParameters, PageParameters),
    security(("token" = [])),
    summary = "Messages, newest first",
    responses((status = 200, description = "A page of messages", body = ListResponse<Message>), ListProblems),
)]
pub async fn list(request: ListRequest<MessageParameters>) -> Result<HttpResponse, Problem> {
    let (parameters, request) = request.split();
    page(request, parameters.try_into()?).await
}

pub(super) async fn page(request: ApiRequest<PageParameters>, filter: MessageFilter) -> Result<HttpResponse, Problem> {
    // Cursors of the two orders, and of different kinds of chats, are not interchangeable.
    let kinds = filter.kinds.as_ref().map(|kinds| format!(" {kinds}")).unwrap_or_default();
    let list = format!("messages{kinds}{}", if filter.by_arrival { " by arrival" } else { "" });
    request
        .page(&list, Message::from, |store, scope, paging| async move {
            store.list_messages(&scope, &filter, &paging).await
        })
        .await
}

impl TryFrom<MessageParameters> for MessageFilter {
    type Error = Problem;

    fn try_from(parameters: MessageParameters) -> Result<Self, Problem> {
        let by_arrival = parameters.time.unwrap_or(false);
        if parameters.q.is_some() && by_arrival {
            let expected = "results of q are ordered by when messages were sent; leave out one of the two";
            return Err(invalid("time", expected));
        }
        let is_narrowed = parameters.kind.is_some() || parameters.is_group.is_some();
        let kinds = parameters.kind.unwrap_or_else(ChatKinds::all);
        let kinds = is_narrowed.then(|| groups_or_others(&kinds, parameters.is_group));
        Ok(Self {
            instance_id: parameters.instance_id,
            contact: parameters.contact,
            chat_id: parameters.chat_id,
            from_id: parameters.from,
            to_id: parameters.to,
            author: parameters.author,
            from_me: parameters.from_me,
            kind: parameters.r#type,
            ack: parameters.ack,
            status: parameters.status,
            kinds,
            has_media: parameters.has_media,
            quoted_message_id: parameters.quoted_message_id,
            search: parameters.q,
            by_arrival,
            until_seq: None,
        })
    }
}

/// `GET /api/v1/messages/{instance_id}/{id}`
#[utoipa::path(
    operation_id = "get_message",
    get, path = "/api/v1/messages/{instance_id}/{id}", tag = "Messages", security(("token" = [])),
    summary = "A message with its versions, reactions, acks, file and the message that it quotes",
    params(
        ("instance_id" = String, Path, description = "The instance of the message", example = "123"),
        ("id" = String, Path, description = "The id of the message", example = "ABCD1234"),
    ),
    responses((status = 200, description = "The message", body = MessageWithHistory), ItemProblems),
)]
pub async fn one(request: ApiRequest, key: Path<(String, String)>) -> Result<HttpResponse, Problem> {
    let (instance_id, id) = key.into_inner();
    let unknown = || Problem::NotFound("there is no message with this id".to_owned());
    let instance_id = visible(&request.caller, &instance_id, &id).ok_or_else(unknown)?;
    let detail = request.ask(|store, _| async move { store.message(&instance_id, &id).await }).await?;
    request.item(&MessageWithHistory::from(detail.ok_or_else(unknown)?))
}

impl From<MessageReport> for Message {
    fn from(report: MessageReport) -> Self {
        let fields = report.fields;
        Self {
            instance_id: report.instance_id.as_str().to_owned(),
            id: report.id,
            author: fields.group_sender.clone().or_else(|| fields.from_id.clone()),
            contact: fields.chat_id.as_deref().and_then(chat_id::contact).map(str::to_owned),
            chat_id: fields.chat_id,
            from: fields.from_id,
            to: fields.to_id,
            from_me: fields.from_me,
            sender_name: fields.sender_name,
            body: fields.body,
            r#type: fields.kind,
            timestamp: fields.sent_at.map(Timestamp::seconds),
            sent_at: fields.sent_at.map(rfc3339),
            occurred_at: rfc3339(report.occurred_at),
            received_at: rfc3339(report.received_at),
            kind: report.chat_kind.as_str().to_owned(),
            is_group: report.is_group,
            quoted_message_id: fields.quoted_message_id,
            reaction: fields.reaction,
            media: report.media.map(MessageFile::from),
            location: fields.location.map(|at| Location { latitude: at.latitude, longitude: at.longitude }),
            vcard: fields.vcard,
            status: fields.status,
            ack: report.ack,
            delivered_at: report.delivered_at.map(rfc3339),
            read_at: report.read_at.map(rfc3339),
            is_service: report.is_service,
            edited_at: report.edited_at.map(rfc3339),
            revoked_at: report.revoked_at.map(rfc3339),
            group_sender: fields.group_sender,
            reactions: report.reactions.into_iter().map(CurrentReaction::from).collect(),
            reactions_truncated: report.reactions_truncated,
        }
    }
}

impl From<Version> for MessageVersion {
    fn from(version: Version) -> Self {
        Self {
            body: version.body,
            sent_at: version.sent_at.map(rfc3339),
            received_at: rfc3339(version.received_at),
            event_id: version.event.to_string(),
        }
    }
}

impl From<MessageDetail> for MessageWithHistory {
    fn from(detail: MessageDetail) -> Self {
        Self {
            message: detail.message.into(),
            acks: detail.acks.into_iter().map(AckOfMessage::from).collect(),
            acks_truncated: detail.acks_truncated,
            versions: detail.versions.into_iter().map(MessageVersion::from).collect(),
            versions_truncated: detail.versions_truncated,
            quoted_message: detail.quoted.map(Message::from),
        }
    }
}
