//! Threads of a part's own: a server that keeps one busy with what it sends, such as answers of the status 103 without
//! an end, keeps it from that part alone, and not from events.

use tokio::runtime::{Builder, Handle, Runtime};

/// End in the background when they are dropped: one may be busy.
pub struct Threads(Option<Runtime>);

impl Threads {
    /// # Errors
    /// If the system gives no more threads.
    pub fn start(name: &str, count: usize) -> std::io::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(count).thread_name(name).enable_all().build().map(|runtime| Self(Some(runtime)))
    }

    pub fn handle(&self) -> Handle {
        self.0.as_ref().expect("it is there until it is dropped").handle().clone()
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
