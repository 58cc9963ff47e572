//! Separate threads for requests to servers that are not trusted. Such a server can keep a thread busy, for example
//! with an endless series of 103 responses, and must not keep one busy that handles events.

use tokio::runtime::{Builder, Handle, Runtime};

/// A runtime with threads of its own. When it is dropped, the threads end in the background, because one may be busy.
pub struct Threads(Option<Runtime>);

impl Threads {
    /// Starts `count` threads.
    ///
    /// # Errors
    /// If the system gives no more threads.
    pub fn start(name: &str, count: usize) -> std::io::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(count).thread_name(name).enable_all().build().map(|runtime| Self(Some(runtime)))
    }

    /// Returns the handle with which tasks are spawned on these threads.
    pub fn handle(&self) -> Handle {
        self.0.as_ref().expect("the runtime is there until the drop").handle().clone()
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
