//! The contract of the read API: `GET /openapi.json`, and a page to try it at `/docs`.

use std::sync::{Arc, LazyLock};

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION, X_CONTENT_TYPE_OPTIONS};
use actix_web::web::Path;
use serde_json::json;
use utoipa::OpenApi;
use utoipa::openapi::path::Parameter;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{RefOr, Required};
use utoipa_swagger_ui::Config;

use super::problem::Problem;
use super::stream;
use crate::http::api::{acks, chats, events, media, media_lists, messages, reactions, statistics};
use crate::http::auth::tickets;
use crate::http::webhook::instances;

pub mod problem_docs;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "buzon",
        description = "What a WhatsApp gateway's instances received and sent: messages, chats, reactions, acks and files. \
                       Read-only JSON.\n\n\
                       **Tokens.** Every request has the header `Authorization: Bearer TOKEN`. The owner's token is in the \
                       file `api-token` of the data folder (`cat data/api-token`), or is what the setting `api_token` says; \
                       `buzon token create --name NAME` makes others. A token sees its instances only; to it, all else does \
                       not exist.\n\n\
                       **Lists** are newest first. A page has at most `limit` things, and `next_cursor` for the page that \
                       follows; a walk by cursors neither loses nor repeats anything while other things arrive. A page ends \
                       at 4 MiB, however few things it has by then, so the walk is over when `next_cursor` is null and not \
                       before. There are no totals.\n\n\
                       **Answers under way** have 64 MiB together, a quarter of that for one token: read one to its end \
                       within 60 seconds, or it is cut off. When there is no room for another, a request waits for up to 5 \
                       seconds and is then answered 503 `too_many_answers`.\n\n\
                       **Times** are RFC 3339 in UTC. Parameters take seconds since 1970 too, and dates: `2024-08-27` is the \
                       moment in which that day begins in the setting `time_zone`. `until` is never included, so \
                       `since=2024-08-27&until=2024-08-28` is one day.\n\n\
                       **Ids in a path** are percent-encoded: the `/` of a message id is `%2F`. `encodeURIComponent` does \
                       that.\n\n\
                       **Errors** are `application/problem+json` (RFC 9457) with a stable `code`. An unknown parameter is \
                       refused by name.\n\n\
                       **Pages of other origins** may read once the setting `cors_origins` names theirs. Until then a \
                       browser that asks beforehand is answered 400 `cors_refused`, and the detail has the setting to \
                       write. `Origin: null`, of a file on a disk or a sandboxed frame, is always refused. Answers of JSON \
                       are compressed for who accepts it. A URL has at most 64 KiB.\n\n\
                       The API only grows: take no offence at fields that you do not know.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    servers((url = "/", description = "This server")),
    tags(
        (name = "Messages", description = "Messages, and what was said of them"),
        (name = "Chats", description = "Conversations, and who waits for an answer"),
        (name = "Statistics", description = "Counts, and how long things take"),
        (name = "Media", description = "Pictures, voice notes, documents"),
        (name = "Tickets", description = "For URLs that no header goes with"),
        (name = "Ledger", description = "Every event as it came, what is new, and where it comes from"),
    ),
    paths(
        messages::list, messages::one, chats::list, chats::one, chats::messages, acks::list, reactions::list,
        media_lists::list, media::by_key, media::of_message, tickets::issue,
        statistics::messages, statistics::delivery, statistics::responses, statistics::hours,
        events::list, events::one, stream::follow, instances::list,
    ),
    modifiers(&BearerToken, &EmptyFields),
)]
struct Contract;

struct BearerToken;

impl utoipa::Modify for BearerToken {
    fn modify(&self, contract: &mut utoipa::openapi::OpenApi) {
        let components = contract.components.get_or_insert_default();
        let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(
            "The owner's token is in the file `api-token` of the data folder: `cat data/api-token`. \
             `buzon token create --name NAME` makes others.",
        ));
        components.add_security_scheme("token", SecurityScheme::Http(token.build()));
        let ticket = ApiKeyValue::with_description("ticket", "A ticket from `POST /api/v1/tickets`");
        components.add_security_scheme("ticket", SecurityScheme::ApiKey(ApiKey::Query(ticket)));
    }
}

/// Swagger UI types the `example` of a parameter into its field and sends it, so that a list would be filtered by every
/// example at once. Where a parameter can be left out, its example therefore stands where the page does not look: in the
/// schema for programs, and in the description for people.
struct EmptyFields;

impl utoipa::Modify for EmptyFields {
    fn modify(&self, contract: &mut utoipa::openapi::OpenApi) {
        let operations = contract.paths.paths.values_mut().filter_map(|item| item.get.as_mut());
        let parameters = operations.filter_map(|operation| operation.parameters.as_mut()).flatten();
        for parameter in parameters {
            if let RefOr::T(parameter) = parameter
                && parameter.required == Required::False
            {
                empty_field(parameter).expect("a parameter is JSON");
            }
        }
    }
}

/// utoipa gives its example to nobody but JSON.
fn empty_field(parameter: &mut Parameter) -> serde_json::Result<()> {
    let mut json = serde_json::to_value(&*parameter)?;
    let Some(example) = json.as_object_mut().and_then(|fields| fields.remove("example")) else { return Ok(()) };
    // The page itself offers the words of an enumeration, and true and false.
    let is_offered = !json["schema"]["enum"].is_null() || example.is_boolean();
    if let (false, Some(description)) = (is_offered, json["description"].as_str()) {
        let shown = example.as_str().map_or_else(|| example.to_string(), str::to_owned);
        json["description"] = format!("{description}\n\nFor example `{shown}`.").into();
    }
    json["schema"]["examples"] = json!([example]);
    *parameter = serde_json::from_value(json)?;
    Ok(())
}

/// Nothing of the page comes from, or goes to, another server.
const PAGE_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                           object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

static PAGE: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    // A token that is typed in stays in the page, and goes with it.
    Arc::new(Config::new(["/openapi.json"]).validator_url("none").try_it_out_enabled(true))
});

static CONTRACT: LazyLock<String> = LazyLock::new(contract);

/// The contract as JSON, in the form in which docs/openapi.json keeps it.
pub fn contract() -> String {
    Contract::openapi().to_pretty_json().expect("the contract is JSON") + "\n"
}

/// `GET /openapi.json`
pub async fn document() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-cache"))
        .content_type("application/json")
        .body(CONTRACT.as_str())
}

/// `GET /docs`
pub async fn to_page() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((LOCATION, "docs/")).finish()
}

/// `GET /docs/`: Swagger UI, all of it from this server, and nothing from any other.
pub async fn page(file: Path<String>) -> Result<HttpResponse, Problem> {
    let found = utoipa_swagger_ui::serve(&file, PAGE.clone()).ok().flatten();
    let found = found.ok_or_else(|| Problem::NotFound("there is no such file".to_owned()))?;
    Ok(HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((CONTENT_SECURITY_POLICY, PAGE_POLICY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .content_type(found.content_type)
        .body(found.bytes.into_owned()))
}
