//! Spans of requests. A span has the route's template, never the path or query, which can name people and hold tickets.

use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage};
use tracing::{Level, Span, debug, enabled, info_span};
use tracing_actix_web::{RequestId, RootSpanBuilder};

/// The header of every response with the id that the log has for the request.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Adds the request's id to the response.
pub async fn add_request_id(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let id = request.extensions().get::<RequestId>().map(ToString::to_string);
    let id = id.and_then(|id| HeaderValue::try_from(id).ok());
    let add = |headers: &mut HeaderMap| id.and_then(|id| headers.insert(REQUEST_ID, id).next());
    match next.call(request).await {
        Ok(mut response) => {
            add(response.headers_mut());
            Ok(response)
        }
        Err(error) => {
            let mut response = error.error_response();
            add(response.headers_mut());
            Err(InternalError::from_response(error, response).into())
        }
    }
}

/// The span of a request, and at its end a line at DEBUG.
pub struct RequestSpan;

struct StartedAt(Instant);

/// The template of a request's route, for later middleware. A request without a route has none.
#[derive(Clone)]
pub(crate) struct Route(pub(crate) String);

impl RootSpanBuilder for RequestSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        if enabled!(Level::DEBUG) {
            request.extensions_mut().insert(StartedAt(Instant::now()));
        }
        let route = request.match_pattern();
        let span = info_span!(
            "request",
            request.id = request.extensions().get::<RequestId>().map(tracing::field::display),
            http.method = %request.method(),
            http.route = route.as_deref().unwrap_or("-"),
        );
        if let Some(route) = route {
            request.extensions_mut().insert(Route(route));
        }
        span
    }

    fn on_request_end<B: MessageBody>(span: Span, outcome: &Result<ServiceResponse<B>, Error>) {
        let (status, started_at) = match outcome {
            Ok(response) => {
                let extensions = response.request().extensions();
                (response.status(), extensions.get::<StartedAt>().map(|started| started.0))
            }
            Err(error) => (error.as_response_error().status_code(), None),
        };
        span.in_scope(|| {
            let milliseconds = started_at.map(|at| at.elapsed().as_secs_f64() * 1e3);
            debug!(http.status_code = status.as_u16(), duration_ms = milliseconds, "request finished");
        });
    }
}
