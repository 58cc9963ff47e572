//! What the benchmark needs of Rust: the events that are sent, the database's own limit, an open loop, and the servers
//! that media come from and go to. `bench/run` calls it.

mod batches;
mod pace;
mod servers;
mod traffic;

use std::io::{self, BufWriter, Write};

use clap::Parser;

/// One part of the benchmark; prints lines for `bench/run`.
#[derive(Parser)]
enum Command {
    /// Prints signed events, one a line: path, signature and body, with tabs between them.
    Requests {
        #[command(flatten)]
        range: Range,
    },
    /// Records events in a tight loop, without HTTP: what the database alone can take.
    Batches(batches::Arguments),
    /// Sends events at a steady rate, however slow the answers are.
    Pace(pace::Arguments),
    /// Serves files of this many bytes until standard input ends. Prints its URL.
    Files { size: usize },
    /// Serves a bucket until standard input ends. Prints the settings that reach it.
    Bucket,
}

/// Which events, by their places in the one sequence that is the same in every run.
#[derive(clap::Args)]
struct Range {
    first: u64,
    count: u64,
    /// Where the files of the events lie.
    #[arg(long, default_value = "http://127.0.0.1:9")]
    files: String,
    /// Nothing but messages with files.
    #[arg(long)]
    only_files: bool,
}

#[tokio::main]
async fn main() {
    match Command::parse() {
        Command::Requests { range } => requests(&range).expect("standard output takes it"),
        // On a thread of the pool, as the service's writer is: the main thread would hear of each answer by way of another.
        Command::Batches(arguments) => {
            println!("{}", tokio::spawn(batches::run(arguments)).await.expect("it does not panic"));
        }
        Command::Pace(arguments) => println!("{}", pace::run(&arguments).await),
        Command::Files { size } => servers::files(size).await,
        Command::Bucket => servers::bucket().await,
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

/// The value below which so many of a thousand lie, in milliseconds.
fn percentile(sorted: &[std::time::Duration], of_thousand: usize) -> f64 {
    let place = (sorted.len() * of_thousand / 1_000).min(sorted.len().saturating_sub(1));
    sorted.get(place).map_or(0.0, |time| time.as_secs_f64() * 1_000.0)
}

/// How long each of many took.
fn times(mut times: Vec<std::time::Duration>) -> serde_json::Value {
    times.sort_unstable();
    let [p50, p99, p999] = [500, 990, 999].map(|of_thousand| percentile(&times, of_thousand));
    serde_json::json!({"count": times.len(), "p50_ms": p50, "p99_ms": p99, "p999_ms": p999})
}
