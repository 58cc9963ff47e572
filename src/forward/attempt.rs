//! One attempt at an event.

use std::sync::Arc;

use super::ForwardContext;
use super::delivery::{Delivery, DeliveryReply};
use super::window::QueuedDelivery;
use domain::event::Interpretation;
use domain::forward::max_age::event_time;
use store::StoreError;

/// The end of an attempt.
pub(super) enum AttemptEnd {
    Answered(DeliveryReply),
    /// The event is too old.
    Stale,
    /// The event has no body any more.
    Gone,
    /// The body could not be read.
    Unread(StoreError),
}

pub(super) type EndedAttempt = (i64, AttemptEnd);

/// Returns an attempt at an event.
pub(super) fn attempt(
    context: Arc<ForwardContext>,
    seq: i64,
    queued: &mut QueuedDelivery,
) -> impl Future<Output = EndedAttempt> + Send + 'static {
    let body = queued.body.take();
    let (instance_id, event, signed) = (queued.instance_id.clone(), queued.event.clone(), queued.signed);
    let (received_at, even_old, replay, kind) = (queued.received_at, queued.even_old, queued.replay, queued.kind);
    let attempt = queued.tally.attempts.saturating_add(1);
    async move {
        let body = match body {
            Some(body) => Ok(Some(body)),
            None => {
                let read = context.ask(move |store| async move { store.ledger_bodies(&[seq]).await }).await;
                read.map(|mut found| found.pop().map(|(_, body)| body))
            }
        };
        let body = match body {
            Ok(Some(body)) => body,
            Ok(None) => return (seq, AttemptEnd::Gone),
            Err(error) => return (seq, AttemptEnd::Unread(error)),
        };
        let at = event_time(&Interpretation::of_ledger(&body, &instance_id, received_at), received_at);
        if !even_old && context.config.max_age.is_over(kind, at, context.clock.now()) {
            return (seq, AttemptEnd::Stale);
        }
        let reply = context.client.deliver(Delivery { event, instance_id, signed, kind, body, attempt, replay }).await;
        (seq, AttemptEnd::Answered(reply))
    }
}
