//! The OpenAPI document of the read API at `/openapi.json`, and a page to try it at `/docs`.

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

use crate::http::api::credentials::{session, tickets};
use crate::http::api::operations::{backups, forwards};
use crate::http::api::{acks, chats, events, exports, instances, media, media_files, messages, reactions, statistics};
use crate::http::problem::{Problem, ProblemBody};
use crate::http::stream;

pub mod problems;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "buzon",
        description = "What the instances of a WhatsApp gateway received and sent: messages, chats, reactions, acks and files. \
                       Read-only JSON, and exports.\n\n\
                       **Tokens.** Every request needs the header `Authorization: Bearer TOKEN`. The owner's token is in the \
                       file `api-token` of the data folder (`cat data/api-token`), or in the setting `api_token`; \
                       `buzon token create --name NAME` creates others. A token can see only its instances; to it, nothing \
                       else exists.\n\n\
                       **Lists** are newest first. A page has at most `limit` items, and `next_cursor` for the next page. \
                       Following the cursors neither skips nor repeats items while new ones arrive. A page ends at 4 MiB, \
                       however few items it has by then, so only a page whose `next_cursor` is null is the last one. There \
                       are no totals.\n\n\
                       **Responses under way** share 64 MiB, of which one token can use a quarter. Read a response to its \
                       end within 60 seconds, or it is cut off. If there is no memory for another response, a request waits \
                       for up to 5 seconds and is then answered 503 `too_many_answers`.\n\n\
                       **Times** are RFC 3339 in UTC. Parameters also accept seconds since 1970, and dates: `2024-08-27` is \
                       the moment at which that day begins in the setting `time_zone`. `until` is never included, so \
                       `since=2024-08-27&until=2024-08-28` is one day.\n\n\
                       **Ids in a path** are percent-encoded: the `/` of a message id is `%2F`. `encodeURIComponent` does \
                       that.\n\n\
                       **Errors** are `application/problem+json` (RFC 9457) with a stable `code`. An unknown parameter is \
                       refused by name.\n\n\
                       **Pages of other origins** may read once the setting `cors_origins` names their origin. Until then a \
                       preflight request is answered 400 `cors_refused`, and the detail has the setting to write. `Origin: \
                       null`, which a file on a disk or a sandboxed frame sends, is always refused. JSON responses are \
                       compressed for clients that accept it. A URL has at most 64 KiB.\n\n\
                       The API only grows: clients must ignore unknown fields.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    servers((url = "/", description = "This server")),
    tags(
        (name = "Messages", description = "Messages, their acks and reactions"),
        (name = "Chats", description = "Conversations, and which of them wait for an answer"),
        (name = "Statistics", description = "Counts and durations"),
        (name = "Media", description = "Pictures, voice notes, documents"),
        (name = "Tickets", description = "Credentials of browsers: tickets in URLs, and sessions"),
        (name = "Exports", description = "Lists as files, for tokens with the right to export"),
        (name = "Ledger", description = "Every event as it came, the feed of new ones, and the instances"),
    ),
    paths(
        messages::list, messages::one, chats::list, chats::one, chats::messages, acks::list, reactions::list,
        media::list, media_files::by_key, media_files::of_message, tickets::issue,
        session::begin, session::show, session::end,
        statistics::messages, statistics::delivery, statistics::responses, statistics::hours,
        events::list, events::one, stream::follow, instances::list, forwards::list, backups::list,
        exports::start, exports::list, exports::one, exports::file,
    ),
    components(schemas(ProblemBody)),
    modifiers(&SecuritySchemes, &EmptyFields),
)]
struct Contract;

struct SecuritySchemes;

impl utoipa::Modify for SecuritySchemes {
    fn modify(&self, contract: &mut utoipa::openapi::OpenApi) {
        let components = contract.components.get_or_insert_default();
        let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(
            "The owner's token is in the file `api-token` of the data folder: `cat data/api-token`. \
             `buzon token create --name NAME` creates others.",
        ));
        components.add_security_scheme("token", SecurityScheme::Http(token.build()));
        let ticket = ApiKeyValue::with_description("ticket", "A ticket from `POST /api/v1/tickets`");
        components.add_security_scheme("ticket", SecurityScheme::ApiKey(ApiKey::Query(ticket)));
        let session = ApiKeyValue::with_description(
            "__Host-buzon",
            "The cookie of `POST /api/v1/session`, for GET and HEAD, and for the orders that the page at / gives",
        );
        components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(session)));
    }
}

/// Moves the examples of optional parameters. Swagger UI types the `example` of a parameter into its field and sends it, so
/// that a list would be filtered by every example at once. The examples are therefore where the page does not look: in the
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

/// Edits the parameter as JSON, because utoipa has no access to its example.
fn empty_field(parameter: &mut Parameter) -> serde_json::Result<()> {
    let mut json = serde_json::to_value(&*parameter)?;
    let Some(example) = json.as_object_mut().and_then(|fields| fields.remove("example")) else { return Ok(()) };
    // The page offers the values of an enumeration, and true and false, itself.
    let is_offered = !json["schema"]["enum"].is_null() || example.is_boolean();
    if let (false, Some(description)) = (is_offered, json["description"].as_str()) {
        let shown = example.as_str().map_or_else(|| example.to_string(), str::to_owned);
        json["description"] = format!("{description}\n\nFor example `{shown}`.").into();
    }
    json["schema"]["examples"] = json!([example]);
    *parameter = serde_json::from_value(json)?;
    Ok(())
}

/// The page sends the token that somebody typed, and never the cookie of a session of the page at `/`.
const NO_COOKIES: (&str, &str) = (
    "SwaggerUIBundle({",
    "SwaggerUIBundle({ requestInterceptor: (it) => ({ ...it, credentials: 'omit', curlOptions: [] }),",
);

/// Keeps the page from loading anything from another server, and from sending anything there.
const PAGE_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                           object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

static PAGE: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    // A token that is typed in stays in the page only, and is lost with it.
    Arc::new(Config::new(["/openapi.json"]).validator_url("none").try_it_out_enabled(true))
});

static CONTRACT: LazyLock<String> = LazyLock::new(contract);

/// Returns the document as JSON, exactly as docs/openapi.json has it.
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

/// `GET /docs/`: Swagger UI, served entirely from here.
pub async fn page(file: Path<String>) -> Result<HttpResponse, Problem> {
    let found = utoipa_swagger_ui::serve(&file, PAGE.clone()).ok().flatten();
    let found = found.ok_or_else(|| Problem::NotFound("there is no such file".to_owned()))?;
    let bytes = match file.as_str() {
        "swagger-initializer.js" => {
            let (beginning, with_interceptor) = NO_COOKIES;
            String::from_utf8_lossy(&found.bytes).replacen(beginning, with_interceptor, 1).into_bytes()
        }
        _ => found.bytes.into_owned(),
    };
    Ok(HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((CONTENT_SECURITY_POLICY, PAGE_POLICY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .content_type(found.content_type)
        .body(bytes))
}
