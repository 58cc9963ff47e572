//! The only way from a request to the store.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::warn;

use crate::http::problem::Problem;
use store::{Store, StoreError};

/// The maximum time that a request waits for a result. The database cancels a query earlier; this is for a silent host.
const PATIENCE: Duration = Duration::from_secs(10);

/// A handle of the store for request handlers. The store's connections live in the service's runtime, and the runtime of
/// a request can end before them: every query therefore runs as a task of the service's runtime. It runs to its end even
/// if the client has gone.
#[derive(Clone)]
pub struct StoreHandle {
    store: Arc<dyn Store>,
    runtime: Handle,
}

impl StoreHandle {
    /// Runs queries on the runtime that this is called in.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, runtime: Handle::current() }
    }

    /// Runs a query: `handle.ask(|store| async move { store.chat(&instance_id, &chat_id).await })`.
    ///
    /// # Errors
    /// 503 if the database does not answer. The cause is logged and not in the response: it names hosts and paths.
    pub async fn ask<T: Send + 'static, F>(&self, query: impl FnOnce(Arc<dyn Store>) -> F) -> Result<T, Problem>
    where
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        wait_for(self.spawn(query)).await
    }

    /// Runs a query that nobody waits for. A failure is logged as `failure`.
    pub fn run_in_background<F>(&self, failure: &'static str, query: impl FnOnce(Arc<dyn Store>) -> F)
    where
        F: Future<Output = Result<(), StoreError>> + Send + 'static,
    {
        let query = self.spawn(query);
        self.runtime.spawn(async move {
            if let Ok(Err(error)) = query.await {
                warn!(%error, "{failure}");
            }
        });
    }

    /// Starts a query, for callers that have a time limit or a log line of their own. It is boxed, or the compiler would
    /// make the runtime's code anew for each query.
    pub fn spawn<T: Send + 'static, F>(&self, query: impl FnOnce(Arc<dyn Store>) -> F) -> JoinHandle<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        self.runtime.spawn(query(self.store.clone()).boxed())
    }

    /// Runs something else on the service's runtime, such as a read from the media store.
    ///
    /// # Errors
    /// The problem that the error stands for. The error is logged.
    pub async fn run<T, E>(&self, work: impl Future<Output = Result<T, E>> + Send + 'static) -> Result<T, Problem>
    where
        T: Send + 'static,
        E: Display + Into<Problem> + Send + 'static,
    {
        wait_for(self.runtime.spawn(work.boxed())).await
    }
}

async fn wait_for<T, E: Display + Into<Problem>>(task: JoinHandle<Result<T, E>>) -> Result<T, Problem> {
    let result = timeout(PATIENCE, task).await.map_err(|_| Problem::QueryTimeout)?;
    let result = result.map_err(|_| Problem::NotReady("it is shutting down"))?;
    result.map_err(|error| {
        warn!(%error, "a request could not be answered");
        error.into()
    })
}
