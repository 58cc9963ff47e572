//! The counters of the process. Its log and its tasks do not belong to one service.

use std::sync::atomic::{AtomicU64, Ordering};

static LOST_LOG_LINES: AtomicU64 = AtomicU64::new(0);
static RESTARTED_TASKS: AtomicU64 = AtomicU64::new(0);

/// Counts log lines that were not written.
pub fn lose_log_lines(count: u64) {
    LOST_LOG_LINES.fetch_add(count, Ordering::Relaxed);
}

pub(crate) fn lost_log_lines() -> u64 {
    LOST_LOG_LINES.load(Ordering::Relaxed)
}

/// Counts a task that panicked and is started again.
pub fn restart_task() {
    RESTARTED_TASKS.fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn restarted_tasks() -> u64 {
    RESTARTED_TASKS.load(Ordering::Relaxed)
}
