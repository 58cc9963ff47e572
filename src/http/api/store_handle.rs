//! What was stored, for requests that read it.

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::timeout;
use tracing::warn;

use crate::http::problem::Problem;
use store::{Store, StoreError};

/// How long a request waits for an answer. The database gives a question up before that; a host that is silent does not.
const PATIENCE: Duration = Duration::from_secs(10);

/// The way from a request to the database: its connections live in the service's own runtime, for a request's may end
/// before them. A question runs to its end, also when the client that asked has gone.
#[derive(Clone)]
pub struct StoreHandle {
    store: Arc<dyn Store>,
    runtime: Handle,
}

impl StoreHandle {
    /// Asks in the runtime that this is called in.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, runtime: Handle::current() }
    }

    /// Asks the database.
    ///
    /// # Errors
    /// 503 where it does not answer. Why is logged, and not told: it names hosts and paths.
    pub async fn ask<T, F>(&self, question: impl FnOnce(Arc<dyn Store>) -> F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        self.run(question(self.store.clone())).await
    }

    /// The same for a question to something else, such as the media store.
    ///
    /// # Errors
    /// What the error stands for; it is logged.
    pub async fn run<T, E>(&self, question: impl Future<Output = Result<T, E>> + Send + 'static) -> Result<T, Problem>
    where
        T: Send + 'static,
        E: Display + Into<Problem> + Send + 'static,
    {
        let answer = timeout(PATIENCE, self.runtime.spawn(question)).await.map_err(|_| Problem::QueryTimeout)?;
        let answer = answer.map_err(|_| Problem::NotReady("it is shutting down"))?;
        answer.map_err(|error| {
            warn!(%error, "a request could not be answered");
            error.into()
        })
    }

    /// Has something done that nobody waits for. `what` is for the log, should it fail.
    pub fn leave<F>(&self, what: &'static str, work: impl FnOnce(Arc<dyn Store>) -> F)
    where
        F: Future<Output = Result<(), StoreError>> + Send + 'static,
    {
        let work = work(self.store.clone());
        self.runtime.spawn(async move {
            if let Err(error) = work.await {
                warn!(%error, "{what}");
            }
        });
    }
}
