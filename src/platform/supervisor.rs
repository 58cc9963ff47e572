//! Tasks that last as long as the service. One that panics is started again: what it does can wait, and the rest of the
//! service must not end with it.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tracing::error;

use crate::meters;

/// The pause before the first restart. Each further pause is twice as long, unless the task lived for a while.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(60);

/// Runs what `start` gives until it ends by itself. After a panic it is started anew, unless `closing` is notified
/// first.
pub async fn keep<F: Future<Output = ()>>(task: &'static str, closing: Arc<Notify>, mut start: impl FnMut() -> F) {
    let mut pause = FIRST_PAUSE;
    loop {
        let begun = Instant::now();
        // Nothing of it is used again but what it shares with others, whose locks hold nothing half done.
        if AssertUnwindSafe(async { start().await }).catch_unwind().await.is_ok() {
            return;
        }
        if begun.elapsed() > LAST_PAUSE {
            pause = FIRST_PAUSE;
        }
        meters::process::restart_task();
        error!(task, pause.seconds = pause.as_secs(), "a task died of a mistake in buzon, and is started again");
        tokio::select! {
            () = sleep(pause) => {}
            () = closing.notified() => return,
        }
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_is_started_again_and_one_that_ends_is_not() {
        let starts = AtomicU32::new(0);
        keep("of this test", Arc::default(), async || {
            assert_eq!(starts.fetch_add(1, Ordering::SeqCst), 1, "a defect");
        })
        .await;
        assert_eq!(starts.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn it_is_not_started_again_once_the_service_is_to_end() {
        let (starts, closing) = (AtomicU32::new(0), Arc::new(Notify::new()));
        closing.notify_one();
        keep("of this test", closing, async || {
            starts.fetch_add(1, Ordering::SeqCst);
            panic!("a defect");
        })
        .await;
        assert_eq!(starts.load(Ordering::SeqCst), 1);
    }
}
