//! A gate that holds callers until the test lets them pass.

use std::sync::Arc;

use tokio::sync::Semaphore;

#[derive(Clone)]
pub struct Gate(Arc<Semaphore>);

impl Gate {
    pub fn closed() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Lets this many callers pass.
    pub fn let_pass(&self, requests: usize) {
        self.0.add_permits(requests);
    }

    /// Lets all callers pass from now on.
    pub fn open(&self) {
        // A closed semaphore lets everybody pass: see below.
        self.0.close();
    }

    pub async fn pass(&self) {
        if let Ok(permit) = self.0.acquire().await {
            permit.forget();
        }
    }
}
