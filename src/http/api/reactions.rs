//! Reactions: `GET /api/v1/reactions`.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::{ListAnswer, shown};
use super::parameters::{self, ListOrder, ListParameters, PointInTime, instance, text};
use super::statistics::LocalTime;
use super::store_handle::StoreHandle;
use crate::http::auth::access::Caller;
use crate::http::limits::answers::Answer;
use crate::http::openapi::problem_docs::ListProblems;
use crate::http::problem::Problem;
use domain::message::reaction::MessageReaction;
use store::ReactionFilter;

const LIST: &str = "reactions";

/// A reaction to a message, or its removal.
#[derive(Serialize, ToSchema)]
pub struct Reaction {
    #[schema(example = "123")]
    pub instance_id: String,
    #[schema(example = "ABCD1234")]
    pub message_id: String,
    #[schema(example = "573001112233@c.us")]
    pub from_number: String,
    /// The emoji; empty for a removal.
    #[schema(example = "👍")]
    pub reaction: String,
    /// `reacted_at` in seconds since 1970.
    #[schema(example = 1724717000)]
    pub timestamp: i64,
    #[schema(example = "2024-08-27T00:03:20Z", format = DateTime)]
    pub reacted_at: String,
    #[schema(example = "2024-08-27T00:03:21.004Z", format = DateTime)]
    pub received_at: String,
}

/// Which reactions.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct ReactionParameters {
    /// Of this instance.
    #[param(example = "123")]
    instance_id: Option<String>,
    /// To this message.
    #[param(example = "ABCD1234")]
    message_id: Option<String>,
    /// Of this person, verbatim.
    #[param(example = "573001112233@c.us")]
    from_number: Option<String>,
    /// Reactions made from this time on: seconds since 1970, RFC 3339, or a date in the setting `time_zone`.
    #[param(inline, value_type = Option<PointInTime>, example = "2024-08-27T00:00:00Z")]
    since: Option<String>,
    /// Reactions made before this time; a date is not included.
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

/// `GET /api/v1/reactions`
#[utoipa::path(
    operation_id = "list_reactions",
    get, path = "/api/v1/reactions", tag = "Messages", params(ReactionParameters), security(("token" = [])),
    summary = "Every reaction and removal, the newest first",
    responses((status = 200, description = "A page of reactions", body = ListAnswer<Reaction>), ListProblems),
)]
pub async fn list(
    archive: Data<StoreHandle>,
    local: Data<LocalTime>,
    reader: Caller,
    answer: Answer,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let ReactionParameters { instance_id, message_id, from_number, since, until, order, limit, cursor } =
        &parameters::read(&request)?;
    let filter = ReactionFilter {
        instance_id: instance(instance_id),
        message_id: text(message_id),
        from_number: text(from_number),
    };
    let paging = ListParameters { limit, cursor, order, since, until }.paging(LIST, &local.zone)?;
    let page = archive.ask(|store| async move { store.list_reactions(&reader.scope, &filter, &paging).await }).await?;
    answer.list(LIST, page.map(Reaction::from))
}

impl From<MessageReaction> for Reaction {
    fn from(reaction: MessageReaction) -> Self {
        Self {
            instance_id: reaction.instance_id.as_str().to_owned(),
            message_id: reaction.message_id,
            from_number: reaction.from_number,
            reaction: reaction.reaction,
            timestamp: reaction.reacted_at.seconds(),
            reacted_at: shown(reaction.reacted_at),
            received_at: shown(reaction.received_at),
        }
    }
}
