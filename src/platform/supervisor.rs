//! Tasks that last as long as the service. A task that panics is started again: its work can wait, and the rest of the
//! service must not end with it.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::meters;

/// The pause before the first restart. Each further pause is twice as long, unless the task lived for a while.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(60);

/// Runs the future that `start` makes until it ends by itself, which it does in its own way when `stop` is cancelled.
/// After a panic a new one is started, unless `stop` is cancelled first.
pub async fn keep<F: Future<Output = ()>>(task: &'static str, stop: CancellationToken, mut start: impl FnMut() -> F) {
    let mut pause = FIRST_PAUSE;
    loop {
        let begun = Instant::now();
        // Only what the task shares with others is used again, and no lock of theirs guards anything half done.
        if AssertUnwindSafe(async { start().await }).catch_unwind().await.is_ok() {
            return;
        }
        if begun.elapsed() > LAST_PAUSE {
            pause = FIRST_PAUSE;
        }
        meters::process::restart_task();
        error!(task, pause.seconds = pause.as_secs(), "a task panicked, which is a bug in buzon, and is started again");
        if stop.run_until_cancelled(sleep(pause)).await.is_none() {
            return;
        }
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

/// Does the same for a task that has nothing to finish: it is dropped when `stop` is cancelled.
pub async fn keep_until<F: Future<Output = ()>>(task: &'static str, stop: CancellationToken, start: impl FnMut() -> F) {
    stop.run_until_cancelled(keep(task, stop.clone(), start)).await;
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    async fn a_task_that_panics_is_started_again_and_one_that_ends_is_not() {
        let starts = AtomicU32::new(0);
        keep("of this test", CancellationToken::new(), async || {
            assert_eq!(starts.fetch_add(1, Ordering::SeqCst), 1, "a defect");
        })
        .await;
        assert_eq!(starts.load(Ordering::SeqCst), 2);
    }

    #[test]
    async fn it_is_not_started_again_once_the_service_is_to_end() {
        let (starts, stop) = (AtomicU32::new(0), CancellationToken::new());
        stop.cancel();
        keep("of this test", stop, async || {
            starts.fetch_add(1, Ordering::SeqCst);
            panic!("a defect");
        })
        .await;
        assert_eq!(starts.load(Ordering::SeqCst), 1);
    }

    #[test]
    async fn a_task_with_nothing_to_finish_is_dropped_when_the_service_is_to_end() {
        let stop = CancellationToken::new();
        keep_until("of this test", stop.clone(), async || {
            stop.cancel();
            std::future::pending().await
        })
        .await;
    }
}
