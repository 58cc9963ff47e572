//! Separate threads for requests to servers that are not trusted. Such a server can keep a thread busy, for example
//! with an endless series of 103 responses, and must not keep one busy that handles events. Where all cores are busy, these
//! threads give way to those that handle events.

use rustix::process::setpriority_process;
use tokio::runtime::{Builder, Handle, Runtime};

/// The priority of these threads: a thread with the usual one, which is 0, gets nine times as much of a busy core.
const NICENESS: i32 = 10;

/// A runtime with threads of its own. When it is dropped, the threads end in the background, because one may be busy.
pub struct Threads(Option<Runtime>);

impl Threads {
    /// Starts `count` threads.
    ///
    /// # Errors
    /// If the system gives no more threads.
    pub fn start(name: &str, count: usize) -> std::io::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        builder
            .on_thread_start(give_way)
            .worker_threads(count)
            .thread_name(name)
            .enable_all()
            .build()
            .map(|runtime| Self(Some(runtime)))
    }

    /// Returns the handle with which tasks are spawned on these threads.
    pub fn handle(&self) -> Handle {
        self.0.as_ref().expect("the runtime is there until the drop").handle().clone()
    }
}

/// Lowers the priority of this thread. Only Linux has one for each thread: elsewhere it is that of the whole process.
fn give_way() {
    if cfg!(target_os = "linux") {
        // It is a matter of speed alone.
        let _ = setpriority_process(None, NICENESS);
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use limit::test;
    use rustix::process::getpriority_process;

    #[test]
    async fn the_threads_have_a_lower_priority_and_the_rest_of_the_process_keeps_its_own() {
        let usual = getpriority_process(None).unwrap();
        let threads = Threads::start("test", 1).unwrap();
        let lower = threads.handle().spawn(async { getpriority_process(None).unwrap() }).await.unwrap();
        assert_eq!((lower, getpriority_process(None).unwrap()), (NICENESS.max(usual), usual));
    }
}
