//! A handler that panics answers 500, and no other request notices. What panicked is in the log already; which request
//! it was, is said here.

use std::panic::AssertUnwindSafe;

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use futures_util::FutureExt;
use tracing::error;

use crate::http::problem::Problem;

/// What handlers share is safe to use afterwards: its locks hold nothing half done.
pub async fn answer(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    AssertUnwindSafe(next.call(request)).catch_unwind().await.unwrap_or_else(|_| {
        error!("a request was answered 500: its handler panicked");
        Err(Problem::Internal.into())
    })
}
