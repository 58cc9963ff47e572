//! Sends events at a rate.

use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::sender::{SendAnswer, Sender};
use super::tally::SendTally;
use super::traffic::SimulatedDelivery;
use domain::access::signature::Keyring;

/// The maximum number of requests under way. A slow buzon is not sent more.
const AT_ONCE: usize = 64;
/// The number of failures after which sending ends, if no event was taken at all.
const HOPELESS: u64 = 20;

type Sent = (SimulatedDelivery, Result<SendAnswer, String>);

/// Sends `rate` events a second, signed with the keyring, until there are no more, `stop` is ready, or it is clear that
/// no event is taken. `on_answer` gets the tally after each answer.
pub async fn drive(
    traffic: impl Iterator<Item = SimulatedDelivery>,
    rate: f64,
    sender: &Sender,
    keyring: &Keyring,
    stop: impl Future<Output = ()>,
    on_answer: impl Fn(&SendTally),
) -> SendTally {
    let mut tally = SendTally::default();
    let mut under_way = JoinSet::new();
    let note = |tally: &mut SendTally, sent: Result<Sent, JoinError>| {
        let (delivery, outcome) = sent.expect("a sender does not panic");
        tally.note(&delivery, outcome);
        on_answer(tally);
    };
    let begun = Instant::now();
    let mut stop = std::pin::pin!(stop);
    for (nth, delivery) in traffic.enumerate() {
        let due = sleep_until(begun + Duration::from_secs_f64(nth as f64 / rate));
        tokio::select! {
            () = due => {}
            () = &mut stop => break,
        }
        if under_way.len() == AT_ONCE
            && let Some(sent) = under_way.join_next().await
        {
            note(&mut tally, sent);
        }
        while let Some(sent) = under_way.try_join_next() {
            note(&mut tally, sent);
        }
        if tally.not_taken() >= HOPELESS && tally.not_taken() == tally.sent() {
            break;
        }
        let (sender, secret) = (sender.clone(), keyring.signing(Some(&delivery.instance)).cloned());
        under_way.spawn(async move {
            let outcome = sender.send(Some(&delivery.instance), delivery.body.clone(), secret.as_ref()).await;
            (delivery, outcome)
        });
    }
    while let Some(sent) = under_way.join_next().await {
        note(&mut tally, sent);
    }
    tally
}
