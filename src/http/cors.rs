//! Pages of other origins that may read the API with a token of their own. Without a configured one, none.

use actix_cors::{Cors, CorsError};
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{
    ACCEPT_RANGES, AUTHORIZATION, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName,
    IF_NONE_MATCH, RANGE, RETRY_AFTER,
};
use actix_web::middleware::{Condition, Next};
use actix_web::{Error, ResponseError};

use super::problem::Problem;
use super::trace::REQUEST_ID;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Seconds for which a browser need not ask again.
const MAX_AGE: usize = 60 * 60;

/// Lets pages of these origins read, each with the token that it sends itself: no cookie counts. It wraps what asks for
/// the token, since a browser asks beforehand without one.
pub fn allow(origins: &[String]) -> Condition<Cors> {
    let cors = Cors::default()
        .allowed_methods([Method::GET, Method::HEAD, Method::POST])
        .allowed_headers([AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, IF_NONE_MATCH, RANGE, LAST_EVENT_ID])
        .expose_headers([ETAG, ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_RANGE, RETRY_AFTER, REQUEST_ID])
        .max_age(MAX_AGE);
    let cors = origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin));
    Condition::new(!origins.is_empty(), cors)
}

/// Gives the refusals of [`allow`] the form that all refusals have.
pub async fn explain(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let response = next.call(request).await?;
    let refusal = response.response().error().and_then(|error| error.as_error::<CorsError>());
    match refusal.map(|refusal| Problem::CorsRefused(refusal.to_string())) {
        Some(problem) => Ok(response.into_response(problem.error_response()).map_into_right_body()),
        None => Ok(response.map_into_left_body()),
    }
}
