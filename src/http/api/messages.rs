//! Messages: `GET /api/v1/messages` and what hangs on it.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::acks::AckView;
use super::answer::{ListAnswer, shown};
use super::parameters::{self, ListOrder, ListParameters, PointInTime, flag, instance, number, text};
use super::statistics::LocalTime;
use super::store_handle::StoreHandle;
use crate::http::auth::access::Caller;
use crate::http::limits::answers::Answer;
use crate::http::openapi::problem_docs::{ItemProblems, ListProblems};
use crate::http::problem::Problem;
use domain::chat::chat_id;
use domain::instance::InstanceId;
use domain::message::reaction::MessageReaction;
use domain::page::{Paging, SortKey};
use domain::search::SearchQuery;
use domain::time::timestamp::Timestamp;
use domain::time::zone::Zone;
use store::{JobReport, MessageDetail, MessageFilter, MessageReport};

/// A message under the provider's names, and what buzon knows besides.
#[derive(Serialize, ToSchema)]
pub struct Message {
    /// The instance that it came through; `-` where nobody stated one.
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
    /// Who wrote it: in a group the person, else as `from`.
    #[schema(example = "573001112233@c.us")]
    pub author: Option<String>,
    /// The number of the person whose chat it is; null in groups and where only a `@lid` is known.
    #[schema(example = "573001112233")]
    pub contact: Option<String>,
    /// Whether we sent it.
    #[schema(example = false)]
    pub from_me: bool,
    #[schema(example = "Juan Pérez")]
    pub sender_name: Option<String>,
    #[schema(example = "Hola")]
    pub body: Option<String>,
    /// text, image, video, audio, document, sticker, location, vcard, or another word of the gateway's.
    #[schema(example = "text")]
    pub r#type: Option<String>,
    /// `sent_at` in seconds since 1970.
    #[schema(example = 1724716800)]
    pub timestamp: Option<i64>,
    /// When it was sent, by the gateway's word; null where that was unusable.
    #[schema(example = "2024-08-27T00:00:00Z", format = DateTime)]
    pub sent_at: Option<String>,
    /// `sent_at`, else `received_at`: what lists are ordered by.
    #[schema(example = "2024-08-27T00:00:00Z", format = DateTime)]
    pub occurred_at: String,
    /// When it arrived here.
    #[schema(example = "2024-08-27T00:00:01.204Z", format = DateTime)]
    pub received_at: String,
    #[schema(example = false)]
    pub is_group: bool,
    #[schema(example = json!(null))]
    pub quoted_message_id: Option<String>,
    #[schema(example = json!(null))]
    pub reaction: Option<String>,
    /// Its file; null where it came without one.
    pub media: Option<MessageFile>,
    pub location: Option<MessageLocation>,
    #[schema(example = json!(null))]
    pub vcard: Option<String>,
    #[schema(example = "received")]
    pub status: Option<String>,
    /// How far it has come: pending, sent, failed, delivered, read, played. Incoming ones stay pending.
    #[schema(example = "pending")]
    pub ack: String,
    /// When it was first known to be delivered.
    #[schema(example = json!(null), format = DateTime)]
    pub delivered_at: Option<String>,
    /// When it was first known to be read.
    #[schema(example = json!(null), format = DateTime)]
    pub read_at: Option<String>,
    #[schema(example = json!(null))]
    pub group_sender: Option<String>,
    /// Each person's current one, as far as 200 rows of `/reactions` of this message say.
    pub reactions: Vec<CurrentReaction>,
    /// True if there are more reactions: `GET /api/v1/reactions?message_id=…` has them all.
    #[schema(example = false)]
    pub reactions_truncated: bool,
}

/// The file of a message.
#[derive(Serialize, ToSchema)]
pub struct MessageFile {
    /// pending, stored, expired, refused, too_large or failed
    #[schema(example = "stored")]
    pub state: String,
    /// Why it is not stored; of a pending one, what came of the last attempt.
    #[schema(example = json!(null))]
    pub reason: Option<String>,
    /// Where its bytes are, once it is stored.
    #[schema(example = "/api/v1/media/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub url: Option<String>,
    /// What its first bytes say that it is.
    #[schema(example = "image/jpeg")]
    pub content_type: Option<String>,
    /// In bytes.
    #[schema(example = 70011)]
    pub size: Option<u64>,
    #[schema(example = "menu.jpg")]
    pub filename: Option<String>,
}

/// A place on the earth, in degrees.
#[derive(Serialize, ToSchema)]
pub struct MessageLocation {
    #[schema(example = 4.7)]
    pub latitude: f64,
    #[schema(example = -74.1)]
    pub longitude: f64,
}

/// A person's reaction to a message.
#[derive(Serialize, ToSchema)]
pub struct CurrentReaction {
    #[schema(example = "573001112233@c.us")]
    pub from_number: String,
    #[schema(example = "👍")]
    pub reaction: String,
    #[schema(example = "2024-08-27T00:03:20Z", format = DateTime)]
    pub reacted_at: String,
}

/// A message with its history.
#[derive(Serialize, ToSchema)]
pub struct MessageWithHistory {
    #[serde(flatten)]
    pub message: Message,
    /// The acks that were stated of it, in the order in which they came; at most 200.
    pub acks: Vec<AckView>,
    /// True if there are more acks: `GET /api/v1/acks?message_id=…` has them all.
    #[schema(example = false)]
    pub acks_truncated: bool,
    /// The message that it answers, if that is known.
    pub quoted_message: Option<Message>,
}

/// Which time of a message.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum TimeAxis {
    /// When it was sent.
    Occurred,
    /// When it arrived here.
    Received,
}

/// Which messages.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct MessageParameters {
    /// Of this instance.
    #[param(example = "123")]
    instance_id: Option<String>,
    /// With the person of this phone number: `573001112233` or `+57 300 111 2233`.
    #[param(example = "573001112233", pattern = r"^[0-9+() .-]*[0-9][0-9+() .-]*$")]
    contact: Option<String>,
    /// In this chat.
    #[param(example = "573001112233@c.us")]
    chat_id: Option<String>,
    /// `from`, verbatim.
    #[param(example = "573001112233@c.us")]
    from: Option<String>,
    /// `to`, verbatim.
    #[param(example = "573009998877@c.us")]
    to: Option<String>,
    /// Whether we sent it.
    #[param(value_type = Option<bool>, example = false)]
    from_me: Option<String>,
    /// text, image, video, audio, document, sticker, location, vcard …
    #[param(example = "text")]
    r#type: Option<String>,
    /// pending, sent, failed, delivered, read, played, verbatim
    #[param(example = "read")]
    ack: Option<String>,
    /// Verbatim.
    #[param(example = "received")]
    status: Option<String>,
    /// Whether it is in a group.
    #[param(value_type = Option<bool>, example = false)]
    is_group: Option<String>,
    /// Whether it came with a file.
    #[param(value_type = Option<bool>, example = false)]
    has_media: Option<String>,
    /// Answers to this message.
    #[param(example = "ABCD1234")]
    quoted_message_id: Option<String>,
    /// Words of the body, all of which must be there, and `"quoted phrases"`; case and accents do not matter. At most
    /// 1,000 characters and 32 words. A page of a long search can have few rows, or none, and a `next_cursor` to go on
    /// with.
    #[param(example = "menú \"del día\"")]
    q: Option<String>,
    /// Messages from this time on: seconds since 1970, RFC 3339, or a date in the setting `time_zone`.
    #[param(inline, value_type = Option<PointInTime>, example = "2024-08-27T00:00:00Z")]
    since: Option<String>,
    /// Messages before this time; a date is not included.
    #[param(inline, value_type = Option<PointInTime>, example = "2024-08-28T00:00:00Z")]
    until: Option<String>,
    /// Which time `since`, `until` and the order are about: `occurred` (when it was sent) or `received` (when it arrived).
    #[param(inline, value_type = Option<TimeAxis>, example = "occurred")]
    time: Option<String>,
    /// `desc` (newest first) or `asc`.
    #[param(inline, value_type = Option<ListOrder>, example = "desc")]
    order: Option<String>,
    /// How many at most; 50 where nobody says.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200, example = 50)]
    limit: Option<String>,
    /// `next_cursor` or `prev_cursor` of an answer.
    cursor: Option<String>,
}

/// `GET /api/v1/messages`
#[utoipa::path(
    operation_id = "list_messages",
    get, path = "/api/v1/messages", tag = "Messages", params(MessageParameters), security(("token" = [])),
    summary = "Messages, the newest first",
    responses((status = 200, description = "A page of messages", body = ListAnswer<Message>), ListProblems),
)]
pub async fn list(
    archive: Data<StoreHandle>,
    local: Data<LocalTime>,
    reader: Caller,
    answer: Answer,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let parameters: MessageParameters = parameters::read(&request)?;
    let filter = parameters.filter()?;
    if filter.search.is_some() && filter.by_arrival {
        let expected = "what q finds is ordered by when it was sent; leave out one of the two";
        return Err(parameters::invalid("time", expected));
    }
    let paging = parameters.paging(list_name(&filter), &local.zone)?;
    page(&archive, reader, answer, filter, paging).await
}

pub(crate) async fn page(
    archive: &StoreHandle,
    reader: Caller,
    answer: Answer,
    filter: MessageFilter,
    paging: Paging<SortKey>,
) -> Result<HttpResponse, Problem> {
    let list = list_name(&filter);
    let page = archive.ask(|store| async move { store.list_messages(&reader.scope, &filter, &paging).await }).await?;
    answer.list(list, page.map(Message::from))
}

/// Cursors of different orders do not mix.
fn list_name(filter: &MessageFilter) -> &'static str {
    if filter.by_arrival { "messages by arrival" } else { "messages" }
}

impl MessageParameters {
    fn filter(&self) -> Result<MessageFilter, Problem> {
        let by_arrival = parameters::parse("time", &self.time, |text| match text {
            "occurred" => Ok(false),
            "received" => Ok(true),
            _ => Err("expected occurred or received"),
        });
        Ok(MessageFilter {
            instance_id: instance(&self.instance_id),
            contact: number("contact", &self.contact)?,
            chat_id: text(&self.chat_id),
            from_id: text(&self.from),
            to_id: text(&self.to),
            from_me: flag("from_me", &self.from_me)?,
            kind: text(&self.r#type),
            ack: text(&self.ack),
            status: text(&self.status),
            is_group: flag("is_group", &self.is_group)?,
            has_media: flag("has_media", &self.has_media)?,
            quoted_message_id: text(&self.quoted_message_id),
            search: parameters::parse("q", &text(&self.q), SearchQuery::parse)?,
            by_arrival: by_arrival?.unwrap_or(false),
        })
    }

    fn paging(&self, list: &str, zone: &Zone) -> Result<Paging<SortKey>, Problem> {
        let Self { limit, cursor, order, since, until, .. } = self;
        ListParameters { limit, cursor, order, since, until }.paging(list, zone)
    }
}

/// `GET /api/v1/messages/{instance_id}/{id}`
#[utoipa::path(
    operation_id = "get_message",
    get, path = "/api/v1/messages/{instance_id}/{id}", tag = "Messages", security(("token" = [])),
    summary = "A message with its reactions, acks, file and the message that it answers",
    params(
        ("instance_id" = String, Path, description = "Its instance", example = "123"),
        ("id" = String, Path, description = "Its id", example = "ABCD1234"),
    ),
    responses((status = 200, description = "The message", body = MessageWithHistory), ItemProblems),
)]
pub async fn one(
    archive: Data<StoreHandle>,
    reader: Caller,
    answer: Answer,
    key: Path<(String, String)>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    parameters::none(&request)?;
    let (instance_id, id) = key.into_inner();
    let unknown = || Problem::NotFound("there is no message with this id".to_owned());
    let instance_id = visible(&reader, &instance_id, &id).ok_or_else(unknown)?;
    let detail = archive.ask(|store| async move { store.message(&instance_id, &id).await }).await?;
    answer.item(&request, &MessageWithHistory::from(detail.ok_or_else(unknown)?))
}

/// The instance of a key, if the reader may see it. No column holds a NUL, and PostgreSQL refuses the very question.
pub(crate) fn visible(reader: &Caller, instance_id: &str, id: &str) -> Option<InstanceId> {
    let instance_id = InstanceId::new(instance_id).ok()?;
    (reader.scope.allows(&instance_id) && !id.contains('\0')).then_some(instance_id)
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
            sent_at: fields.sent_at.map(shown),
            occurred_at: shown(report.occurred_at),
            received_at: shown(report.received_at),
            is_group: report.is_group,
            quoted_message_id: fields.quoted_message_id,
            reaction: fields.reaction,
            media: report.media.map(MessageFile::from),
            location: fields.location.map(|at| MessageLocation { latitude: at.latitude, longitude: at.longitude }),
            vcard: fields.vcard,
            status: fields.status,
            ack: report.ack,
            delivered_at: report.delivered_at.map(shown),
            read_at: report.read_at.map(shown),
            group_sender: fields.group_sender,
            reactions: report.reactions.into_iter().map(CurrentReaction::from).collect(),
            reactions_truncated: report.reactions_truncated,
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
            filename: file.and_then(|file| file.file_name),
        }
    }
}

impl From<MessageReaction> for CurrentReaction {
    fn from(reaction: MessageReaction) -> Self {
        Self { from_number: reaction.from_number, reaction: reaction.reaction, reacted_at: shown(reaction.reacted_at) }
    }
}

impl From<MessageDetail> for MessageWithHistory {
    fn from(detail: MessageDetail) -> Self {
        Self {
            message: detail.message.into(),
            acks: detail.acks.into_iter().map(AckView::from).collect(),
            acks_truncated: detail.acks_truncated,
            quoted_message: detail.quoted.map(Message::from),
        }
    }
}
