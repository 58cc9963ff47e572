//! Background maintenance of a database. A task beside the writer learns of commits, so that events do not wait for it.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::debug;

use crate::StoreError;
use platform::supervisor;

/// A kind of maintenance, which is done after commits if that is worth it.
#[async_trait]
pub(crate) trait MaintenanceTask: Send + 'static {
    async fn run(&mut self) -> Result<(), StoreError>;

    /// Releases what the maintenance holds.
    async fn close(&mut self) {}
}

/// The handle of the task, which ends when it is closed or dropped.
pub(crate) struct Maintenance {
    committed: Arc<Notify>,
    stop: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
    _stopped_on_drop: DropGuard,
}

impl Maintenance {
    /// Starts the task; `name` is for the log.
    pub(crate) fn start(name: &'static str, chore: impl MaintenanceTask) -> Self {
        let (committed, stop) = (Arc::<Notify>::default(), CancellationToken::new());
        let chore = Arc::new(tokio::sync::Mutex::new(chore));
        let (woken, stopped) = (committed.clone(), stop.clone());
        let run = move || run(chore.clone(), woken.clone(), stopped.clone());
        let task = tokio::spawn(supervisor::keep(name, stop.clone(), run));
        Self { committed, task: Mutex::new(Some(task)), _stopped_on_drop: stop.clone().drop_guard(), stop }
    }

    /// Tells the task that something was committed.
    pub(crate) fn wake(&self) {
        self.committed.notify_one();
    }

    /// Ends the task after the work that is under way.
    pub(crate) async fn close(&self) {
        self.stop.cancel();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            // An error does not matter, because nothing uses the task any more.
            let _ = task.await;
        }
    }
}

async fn run(chore: Arc<tokio::sync::Mutex<impl MaintenanceTask>>, committed: Arc<Notify>, stop: CancellationToken) {
    let mut chore = chore.lock().await;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = committed.notified() => {}
        }
        if let Err(error) = chore.run().await {
            debug!(%error, "the database's chores were not done; the writer does them in time");
        }
    }
    chore.close().await;
}
