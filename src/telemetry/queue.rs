//! The queue of lines for the thread that writes them. Logging never waits; if the queue is full, the line is lost.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Builder};
use std::time::{Duration, Instant};

use tracing::Level;

use super::line::{LineFormat, LogLine};
use super::repeats::Throttle;
use platform::meters;

/// The maximum number of lines that wait, and of their bytes. As many again can be in the hands of the thread.
const MOST_LINES: usize = 8_192;
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// The maximum length of a line. A longer line is lost, because a line that is cut off is not valid JSON.
const LONGEST_LINE: usize = 64 * 1024;
/// The time for which the end of the process waits for lines that are still to be written.
const LAST_LINES: Duration = Duration::from_millis(500);
/// The pause before a write that would block is retried. Another process can switch stderr to non-blocking mode.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// The queue, and the thread that writes its lines.
pub(super) struct LineQueue(Arc<Shared>);

#[derive(Default)]
struct Shared {
    waiting: Mutex<QueuedLines>,
    changed: Condvar,
}

#[derive(Default)]
struct QueuedLines {
    lines: VecDeque<LogLine>,
    bytes: usize,
    /// The number of lines that were lost and not reported yet.
    lost: u64,
    /// True when no further lines are taken.
    is_closed: bool,
    /// True when everything is written.
    is_finished: bool,
}

impl LineQueue {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system gives no more threads.
    pub(super) fn start(out: impl Write + Send + 'static, form: LineFormat) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let printer = Printer { out, form, throttle: Throttle::new(form), is_torn: false, lost: 0 };
        let theirs = shared.clone();
        Builder::new().name("log".to_owned()).spawn(move || printer.run(&theirs))?;
        Ok(Self(shared))
    }

    /// Adds a line, unless too many wait.
    pub(super) fn push(&self, line: LogLine) {
        let bytes = line.text.len();
        let mut waiting = self.0.lock();
        let has_room = waiting.lines.len() < MOST_LINES && waiting.bytes + bytes <= MOST_BYTES;
        if has_room && bytes <= LONGEST_LINE && !waiting.is_closed {
            waiting.bytes += bytes;
            waiting.lines.push_back(line);
        } else {
            waiting.lost = waiting.lost.saturating_add(1);
            meters::process::lose_log_lines(1);
        }
        self.0.changed.notify_all();
    }

    /// Takes no more lines, and waits a moment until those in the queue are written.
    pub(super) fn finish(&self) {
        let mut waiting = self.0.lock();
        waiting.is_closed = true;
        self.0.changed.notify_all();
        // If nobody reads stderr, the process must still end.
        drop(self.0.changed.wait_timeout_while(waiting, LAST_LINES, |waiting| !waiting.is_finished));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, QueuedLines> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for lines until `due`. Returns all lines, the number of lost ones, and whether these are the last.
    fn take(&self, due: Option<Instant>) -> (VecDeque<LogLine>, u64, bool) {
        const NO_LIMIT: Duration = Duration::from_secs(3_600);
        let patience = due.map_or(NO_LIMIT, |due| due.saturating_duration_since(Instant::now()));
        let is_idle = |waiting: &mut QueuedLines| waiting.lines.is_empty() && waiting.lost == 0 && !waiting.is_closed;
        let waited = self.changed.wait_timeout_while(self.lock(), patience, is_idle);
        let (mut waiting, _) = waited.unwrap_or_else(PoisonError::into_inner);
        waiting.bytes = 0;
        (std::mem::take(&mut waiting.lines), std::mem::take(&mut waiting.lost), waiting.is_closed)
    }
}

/// The state of the thread.
struct Printer<W> {
    out: W,
    form: LineFormat,
    throttle: Throttle,
    /// True if the last line was written only in part.
    is_torn: bool,
    /// The number of lines that were lost and not reported yet.
    lost: u64,
}

impl<W: Write> Printer<W> {
    fn run(mut self, shared: &Shared) {
        loop {
            let (lines, lost, is_last) = shared.take(self.throttle.due());
            self.lost = self.lost.saturating_add(lost);
            for line in lines {
                let admitted = self.throttle.admit(line, Instant::now());
                self.print_all(admitted);
            }
            let late = self.throttle.late(Instant::now());
            self.print_all(late);
            if is_last {
                let rest = self.throttle.rest();
                self.print_all(rest);
            }
            self.report_lost();
            if is_last {
                shared.lock().is_finished = true;
                shared.changed.notify_all();
                return;
            }
        }
    }

    fn print_all(&mut self, lines: Vec<String>) {
        for line in lines {
            if self.print(&line).is_err() {
                self.lost = self.lost.saturating_add(1);
                meters::process::lose_log_lines(1);
            }
        }
    }

    /// Writes how many lines were lost, if that can be written.
    fn report_lost(&mut self) {
        const MESSAGE: &str = "log lines were lost: they could not be written, or nobody read those before them";
        if self.lost == 0 {
            return;
        }
        let line = self.form.line(Level::WARN, MESSAGE, &[("lost", &self.lost.to_string())]);
        if self.print(&line).is_ok() {
            self.lost = 0;
        }
    }

    /// Writes a complete line, which begins on a new line.
    fn print(&mut self, line: &str) -> io::Result<()> {
        if self.is_torn {
            self.write(b"\n")?;
            self.is_torn = false;
        }
        self.write(line.as_bytes())
    }

    #[expect(clippy::disallowed_methods, reason = "this thread is there to wait")]
    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.out.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    bytes = &bytes[written..];
                    self.is_torn = !bytes.is_empty();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(AGAIN_AFTER),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A writer that takes as many bytes at each write as it is told. A 0 stands for a full disk, and the end of the
    /// channel for a reader that has gone.
    struct Out {
        takes: mpsc::Receiver<usize>,
        written: mpsc::Sender<Vec<u8>>,
    }

    impl Write for Out {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.takes.recv() {
                Ok(0) => Err(ErrorKind::StorageFull.into()),
                Err(_) => Err(ErrorKind::BrokenPipe.into()),
                Ok(most) => {
                    let taken = most.min(bytes.len());
                    self.written.send(bytes[..taken].to_vec()).unwrap();
                    Ok(taken)
                }
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn out() -> (mpsc::Sender<usize>, mpsc::Receiver<Vec<u8>>, Out) {
        let ((allow, takes), (written, read)) = (mpsc::channel(), mpsc::channel());
        (allow, read, Out { takes, written })
    }

    fn plain(text: &str) -> LogLine {
        LogLine::plain(format!("{text}\n"))
    }

    /// Waits until the queue is empty because its thread is stuck in the middle of a line.
    fn stuck(queue: &LineQueue) {
        queue.push(plain("stuck"));
        while !queue.0.lock().lines.is_empty() {
            thread::yield_now();
        }
    }

    fn all(read: &mpsc::Receiver<Vec<u8>>) -> String {
        String::from_utf8(read.try_iter().flatten().collect()).unwrap()
    }

    #[test]
    fn lines_that_found_a_full_disk_are_counted_and_told_of_when_there_is_room() {
        let (allow, read, out) = out();
        let queue = LineQueue::start(out, LineFormat::Text).unwrap();
        // The second line is torn. Then the disk is full for it, for the third line and for the report about them.
        for takes in [100, 3, 0, 0, 0, 1_000, 1_000, 1_000] {
            allow.send(takes).unwrap();
        }
        let mut waiting = queue.0.lock();
        waiting.lines.extend(["first", "second", "third"].map(plain));
        drop(waiting);
        queue.0.changed.notify_all();
        assert_eq!(read.recv().unwrap(), b"first\n");
        assert_eq!(read.recv().unwrap(), b"sec");
        queue.push(plain("fourth"));
        queue.finish();
        let rest = all(&read);
        assert!(rest.starts_with("\nfourth\n") && rest.ends_with(" lost=2\n"), "{rest}");
    }

    #[test]
    fn a_reader_that_does_not_read_holds_up_neither_the_lines_nor_the_end() {
        let (allow, read, out) = out();
        let queue = LineQueue::start(out, LineFormat::Text).unwrap();
        stuck(&queue);
        let long = "x".repeat(LONGEST_LINE - 1);
        (0..3 * MOST_BYTES / LONGEST_LINE).for_each(|_| queue.push(plain(&long)));
        let waiting = queue.0.lock();
        assert_eq!((waiting.bytes, waiting.lost as usize), (MOST_BYTES, 2 * MOST_BYTES / LONGEST_LINE));
        drop(waiting);
        queue.finish();
        assert!(!queue.0.lock().is_finished);
        drop(allow);
        assert_eq!(all(&read), "");
    }

    #[test]
    fn short_lines_are_bounded_too_and_one_that_is_too_long_is_lost() {
        let (_allow, _read, out) = out();
        let queue = LineQueue::start(out, LineFormat::Text).unwrap();
        stuck(&queue);
        queue.push(plain(&"x".repeat(LONGEST_LINE)));
        assert!(queue.0.lock().lines.is_empty());
        (0..3 * MOST_LINES).for_each(|_| queue.push(plain("x")));
        assert_eq!(queue.0.lock().lines.len(), MOST_LINES);
    }

    #[test]
    fn the_end_waits_for_what_can_be_written_and_for_what_was_left_out() {
        let (allow, read, out) = out();
        (0..100).for_each(|_| allow.send(1_000).unwrap());
        let queue = LineQueue::start(out, LineFormat::Text).unwrap();
        let repeats = super::super::line::Repeats::Warning { module: 1, key: 1 };
        (0..5).for_each(|_| queue.push(LogLine { text: "again\n".to_owned(), repeats }));
        queue.push(plain("the last"));
        queue.finish();
        assert!(queue.0.lock().is_finished);
        assert_eq!(all(&read), "again\nthe last\nagain repeated=4\n");
    }
}
