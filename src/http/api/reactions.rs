//! Reactions: `GET /api/v1/reactions`.

use actix_web::HttpResponse;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::pages::{ListResponse, PageParameters};
use super::parameters::{chat, instance, text};
use super::request::ListRequest;
use super::time::rfc3339;
use crate::http::openapi::problems::ListProblems;
use crate::http::problem::Problem;
use domain::instance::InstanceId;
use domain::message::reaction::MessageReaction;
use store::ReactionFilter;

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
    /// When the latest event arrived that says this. Of a person's reactions of the same time, the later one counts.
    #[schema(example = "2024-08-27T00:03:21.004Z", format = DateTime)]
    pub last_received_at: String,
}

/// A person's current reaction to a message.
#[derive(Serialize, ToSchema)]
pub struct CurrentReaction {
    #[schema(example = "573001112233@c.us")]
    pub from_number: String,
    #[schema(example = "👍")]
    pub reaction: String,
    #[schema(example = "2024-08-27T00:03:20Z", format = DateTime)]
    pub reacted_at: String,
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct ReactionParameters {
    /// Only reactions of this instance.
    #[serde(deserialize_with = "instance")]
    #[param(value_type = Option<String>, example = "123")]
    instance_id: Option<InstanceId>,
    /// Only reactions to this message.
    #[serde(deserialize_with = "text")]
    #[param(example = "ABCD1234")]
    message_id: Option<String>,
    /// Only reactions of this person, by any id.
    #[serde(deserialize_with = "chat")]
    #[param(example = "573001112233@c.us")]
    from_number: Option<String>,
}

/// `GET /api/v1/reactions`
#[utoipa::path(
    operation_id = "list_reactions",
    get, path = "/api/v1/reactions", tag = "Messages", params(ReactionParameters, PageParameters),
    security(("token" = [])),
    summary = "Reactions to messages and their removals, newest first",
    description = "Ordered by `reacted_at`.",
    responses((status = 200, description = "A page of reactions", body = ListResponse<Reaction>), ListProblems),
)]
pub async fn list(request: ListRequest<ReactionParameters>) -> Result<HttpResponse, Problem> {
    let (parameters, request) = request.split();
    let filter = ReactionFilter::from(parameters);
    request
        .page("reactions", Reaction::from, |store, scope, paging| async move {
            store.list_reactions(&scope, &filter, &paging).await
        })
        .await
}

impl From<ReactionParameters> for ReactionFilter {
    fn from(ReactionParameters { instance_id, message_id, from_number }: ReactionParameters) -> Self {
        Self { instance_id, message_id, from_number }
    }
}

impl From<MessageReaction> for CurrentReaction {
    fn from(reaction: MessageReaction) -> Self {
        Self {
            from_number: reaction.from_number,
            reaction: reaction.reaction,
            reacted_at: rfc3339(reaction.reacted_at),
        }
    }
}

impl From<MessageReaction> for Reaction {
    fn from(reaction: MessageReaction) -> Self {
        Self {
            instance_id: reaction.instance_id.as_str().to_owned(),
            message_id: reaction.message_id,
            from_number: reaction.from_number,
            reaction: reaction.reaction,
            timestamp: reaction.reacted_at.seconds(),
            reacted_at: rfc3339(reaction.reacted_at),
            received_at: rfc3339(reaction.received_at),
            last_received_at: rfc3339(reaction.last_received_at),
        }
    }
}
