//! CORS: pages of configured origins may read the API with a token of their own.

use actix_cors::{Cors, CorsError};
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{
    ACCEPT_RANGES, AUTHORIZATION, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName,
    IF_NONE_MATCH, ORIGIN, RANGE, RETRY_AFTER,
};
use actix_web::middleware::Next;
use actix_web::{Error, ResponseError};
use url::Url;

use super::trace::REQUEST_ID;
use crate::http::problem::Problem;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// The seconds for which a browser can use the result of a preflight request again.
const MAX_AGE: usize = 60 * 60;

/// The `Origin` that a browser sends for a page that has none: a file on a disk, or a sandboxed frame.
const OPAQUE_ORIGIN: &str = "null";

/// Lets pages of these origins read, each with the token that it sends itself; cookies do not count. This wraps the
/// authentication, because a preflight request has no token.
pub fn allow(origins: &[String]) -> Cors {
    if origins.is_empty() {
        // Preflight requests are refused, and all other responses stay as they are.
        return Cors::default().disable_vary_header();
    }
    let cors = Cors::default()
        .allowed_methods([Method::GET, Method::HEAD, Method::POST])
        .allowed_headers([AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, IF_NONE_MATCH, RANGE, LAST_EVENT_ID])
        .expose_headers([ETAG, ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_RANGE, RETRY_AFTER, REQUEST_ID])
        .max_age(MAX_AGE);
    origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin))
}

/// Turns the refusals of [`allow`] into problems.
pub async fn explain(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let response = next.call(request).await?;
    let refusal = response.response().error().and_then(|error| error.as_error::<CorsError>());
    let origin = response.request().headers().get(ORIGIN).and_then(|origin| origin.to_str().ok());
    match refusal.map(|refusal| Problem::CorsRefused(detail(refusal, origin))) {
        Some(problem) => Ok(response.into_response(problem.error_response()).map_into_right_body()),
        None => Ok(response.map_into_left_body()),
    }
}

/// Explains why a page may not read, and which setting would let it.
fn detail(refusal: &CorsError, origin: Option<&str>) -> String {
    match (refusal, origin) {
        (CorsError::OriginNotAllowed, Some(OPAQUE_ORIGIN)) => {
            "the page has no origin (Origin: null), as a file on a disk or a sandboxed frame has none, and so no setting \
             can name it; serve it from an address, and name that one in cors_origins"
                .to_owned()
        }
        (CorsError::OriginNotAllowed, Some(origin)) if is_origin(origin) => format!(
            "pages of {origin} may not read; to let them, write cors_origins = [\"{origin}\"] in buzon.toml or \
             BUZON_CORS_ORIGINS={origin} in the environment, beside the origins that are there, and start buzon again"
        ),
        (CorsError::OriginNotAllowed, _) => {
            "pages of this origin may not read; cors_origins names those that may, such as https://panel.example.com"
                .to_owned()
        }
        _ => format!(
            "{refusal}; a page may send GET, HEAD and POST, with Authorization, Cache-Control, Content-Type, \
             If-None-Match, Range and Last-Event-ID"
        ),
    }
}

/// Returns true if `cors_origins` would accept the text.
fn is_origin(text: &str) -> bool {
    Url::parse(text)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == text)
}
