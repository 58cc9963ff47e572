//! Work that a database needs now and then, and that events do not wait for: a task beside the writer, told of commits.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tracing::debug;

use crate::StoreError;
use platform::supervisor;

/// What is done after commits, if it is worth it.
#[async_trait]
pub(crate) trait MaintenanceTask: Send + 'static {
    async fn run(&mut self) -> Result<(), StoreError>;

    /// Gives back what it holds.
    async fn close(&mut self) {}
}

/// The task. It ends when it is told to, or dropped.
pub(crate) struct Maintenance {
    committed: Arc<Notify>,
    closing: Arc<Notify>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Maintenance {
    /// Starts the task; `name` is for the log.
    pub(crate) fn start(name: &'static str, chore: impl MaintenanceTask) -> Self {
        let (committed, closing) = (Arc::<Notify>::default(), Arc::<Notify>::default());
        let chore = Arc::new(tokio::sync::Mutex::new(chore));
        let (woken, closed) = (committed.clone(), closing.clone());
        let run = move || run(chore.clone(), woken.clone(), closed.clone());
        let task = tokio::spawn(supervisor::keep(name, closing.clone(), run));
        Self { committed, closing, task: Mutex::new(Some(task)) }
    }

    /// Something was committed.
    pub(crate) fn wake(&self) {
        self.committed.notify_one();
    }

    /// Waits for what is under way.
    pub(crate) async fn close(&self) {
        self.closing.notify_one();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            // It is of no use any more either way.
            let _ = task.await;
        }
    }
}

impl Drop for Maintenance {
    fn drop(&mut self) {
        self.closing.notify_one();
    }
}

async fn run(chore: Arc<tokio::sync::Mutex<impl MaintenanceTask>>, committed: Arc<Notify>, closing: Arc<Notify>) {
    let mut chore = chore.lock().await;
    loop {
        tokio::select! {
            biased;
            () = closing.notified() => break,
            () = committed.notified() => {}
        }
        if let Err(error) = chore.run().await {
            debug!(%error, "the database's chores were not done; the writer does them in time");
        }
    }
    chore.close().await;
}
