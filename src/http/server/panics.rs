//! A handler that panics answers 500, and no other request notices. The log has the panic already; this adds the request.

use std::panic::AssertUnwindSafe;

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use futures_util::FutureExt;
use tracing::error;

use crate::http::problem::Problem;

/// Answers 500 if the handler panics. The state that handlers share is safe to use afterwards: no lock guards anything that
/// a panic could leave half done.
pub async fn catch(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    AssertUnwindSafe(next.call(request)).catch_unwind().await.unwrap_or_else(|_| {
        error!("a request was answered 500: its handler panicked");
        Err(Problem::Internal.into())
    })
}
