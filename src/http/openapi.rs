//! The contract of the read API: `GET /openapi.json`, and a page to try it at `/docs`.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::{acks, chats, media_lists, messages, reactions};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "buzon",
        description = "What a WhatsApp gateway's instances received and sent: messages, chats, reactions, acks and files. \
                       Read-only JSON.\n\n\
                       **Tokens.** Every request has the header `Authorization: Bearer TOKEN`. A token sees its instances \
                       only; to it, all else does not exist.\n\n\
                       **Lists** are newest first. A page has at most `limit` things, and `next_cursor` for the page that \
                       follows; a walk by cursors neither loses nor repeats anything while other things arrive. There are no \
                       totals.\n\n\
                       **Times** are RFC 3339 in UTC; as parameters, seconds since 1970 are taken too.\n\n\
                       **Errors** are `application/problem+json` (RFC 9457) with a stable `code`. An unknown parameter is \
                       refused by name.\n\n\
                       The API only grows: take no offence at fields that you do not know.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    servers((url = "/", description = "This server")),
    tags(
        (name = "Messages", description = "Messages, and what was said of them"),
        (name = "Chats", description = "Conversations, and who waits for an answer"),
        (name = "Media", description = "Pictures, voice notes, documents"),
    ),
    paths(
        messages::list, messages::one, chats::list, chats::one, chats::messages, acks::list, reactions::list,
        media_lists::list,
    ),
    modifiers(&BearerToken),
)]
struct Contract;

struct BearerToken;

impl utoipa::Modify for BearerToken {
    fn modify(&self, contract: &mut utoipa::openapi::OpenApi) {
        let components = contract.components.get_or_insert_default();
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        components.add_security_scheme("token", scheme);
    }
}

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

/// `GET /docs/`: Swagger UI, all of it from this server.
pub fn page() -> SwaggerUi {
    let config = Config::new(["/openapi.json"]).validator_url("none").try_it_out_enabled(true);
    SwaggerUi::new("/docs/{_:.*}").config(config)
}
