//! The parts of the benchmark that are written in Rust: the events that are sent, the limit of the database alone, an
//! open loop, and the servers that media come from and go to, and that events are forwarded to. `bench/run` calls it.

mod batches;
mod pace;
mod servers;
mod traffic;

use std::io::{self, BufWriter, Write};
use std::time::Duration;

use clap::Parser;

/// One part of the benchmark, which prints lines for `bench/run`.
#[derive(Parser)]
enum Command {
    /// Prints signed events, one per line: path, signature and body, separated by tabs.
    Requests {
        #[command(flatten)]
        range: Range,
    },
    /// Records events in a tight loop, without HTTP, which shows the limit of the database alone.
    Batches(batches::Arguments),
    /// Sends events at a steady rate, however slow the answers are.
    Pace(pace::Arguments),
    /// Serves files of this many bytes until standard input is closed. Prints its URL.
    Files { size: usize },
    /// Serves a bucket until standard input is closed. Prints the settings that reach it.
    Bucket,
    /// Takes events until standard input is closed, and answers each after so many milliseconds. Prints its URL.
    Receiver { delay: u64 },
}

/// A range of events by their positions in the one sequence that is the same in every run.
#[derive(clap::Args)]
struct Range {
    first: u64,
    count: u64,
    /// The origin of the events' files.
    #[arg(long, default_value = "http://127.0.0.1:9")]
    files: String,
    /// Makes messages with files only.
    #[arg(long)]
    only_files: bool,
}

#[tokio::main]
async fn main() {
    match Command::parse() {
        Command::Requests { range } => requests(&range).expect("standard output takes it"),
        // The task runs on a thread of the pool, as the service's writer does. On the main thread, every answer would
        // arrive by way of another thread.
        Command::Batches(arguments) => {
            println!("{}", tokio::spawn(batches::run(arguments)).await.expect("it does not panic"));
        }
        Command::Pace(arguments) => println!("{}", pace::run(&arguments).await),
        Command::Files { size } => servers::files(size).await,
        Command::Bucket => servers::bucket().await,
        Command::Receiver { delay } => servers::receiver(Duration::from_millis(delay)).await,
    }
}

fn requests(range: &Range) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    for index in range.first..range.first + range.count {
        let request = match range.only_files {
            true => traffic::file(index, &range.files),
            false => traffic::request(index, &range.files),
        };
        writeln!(out, "{}\t{}\t{}", request.path(), request.signature(), request.body)?;
    }
    out.flush()
}

/// Returns the value below which this many of a thousand lie, in milliseconds.
fn percentile(sorted: &[Duration], of_thousand: usize) -> f64 {
    let place = (sorted.len() * of_thousand / 1_000).min(sorted.len().saturating_sub(1));
    sorted.get(place).map_or(0.0, |time| time.as_secs_f64() * 1_000.0)
}

/// Returns the number and the percentiles of these times.
fn times(mut times: Vec<Duration>) -> serde_json::Value {
    times.sort_unstable();
    let [p50, p99, p999] = [500, 990, 999].map(|of_thousand| percentile(&times, of_thousand));
    serde_json::json!({"count": times.len(), "p50_ms": p50, "p99_ms": p99, "p999_ms": p999})
}
